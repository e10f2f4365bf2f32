"""The spool: what the sources read is durable here until the gateway has acknowledged it.  Bounded.

Guarantee: what `commit` returned for, and every batch that `head` gives, was fsync'd; its bytes never change, its id
is never used again.  Nothing leaves but acknowledged, set aside with its reason, or dropped by policy: counted, and
announced by a tombstone for its seq.

Puts, deletes, cursors and tombstones gather in memory and become one transaction a period (`run`), so that an SD
card sees few writes.  A put waits while what is gathered is as much as may be, that is: while the disk takes
nothing, or while the spool is full and its policy is `block`.  Here is who may put what and who sees what;
`edge._spool` brings it to the file and back.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from ulid import ULID

from edge._spool import fullness
from edge._spool.committer import Committer
from edge._spool.drafts import settled
from edge._spool.keeper import Keeper, disk_free_bytes
from edge._spool.offered import Offered
from edge._spool.pending import Pending
from edge._spool.transaction import FREES_MAX
from edge._spool.words import Faulty, Full, encoded
from edge.batcher import Cut, CutLimits
from edge.journal import Journal, NoJournal
from edge.settings import SpoolSettings
from edge.spooled import Depth, Epoch, Lane, Refused, Spooled
from telemetry import failpoints
from telemetry.batch import BatchId
from telemetry.clock import Clock
from telemetry.errors import NotReady

HEAD_TRIES = 3  # a torn file becomes a new one meanwhile, or the session another
RETRIED_AT_ONCE = 50  # refused batches put back in one transaction


class Spool:
    """One device's, in one folder, which its agent has locked."""

    def __init__(
        self,
        keeper: Keeper,
        settings: SpoolSettings,
        *,
        clock: Clock,
        limits: CutLimits,
        new_session: Callable[[], str],
        inline: bool,
    ) -> None:
        """Use `open`."""
        self._keeper, self._settings, self._clock, self._limits = keeper, settings, clock, limits
        self._pending, self._offered = Pending(), Offered()
        self._committer = Committer(
            keeper,
            self._pending,
            settings,
            clock=clock,
            new_session=new_session,
            renewed=self._offered.forget,
            inline=inline,
        )
        self._settling = self._closed = False

    @classmethod
    async def open(
        cls,
        folder: Path,
        settings: SpoolSettings,
        *,
        device: str,
        clock: Clock,
        limits: CutLimits,
        epoch: Epoch,
        vfs: str | None = None,
        journal: Journal | None = None,
        inline: bool = False,
        synchronous: str = "FULL",
        free_bytes: Callable[[Path], int] = disk_free_bytes,
        new_session: Callable[[], str] = lambda: str(ULID()),
    ) -> Self:
        """The spool in `folder`, with a new live session; all that is there is backlog.

        `inline` runs SQLite in the event loop.  `synchronous` is FULL but where a test shows what else would lose.
        A disk that is full or fails is no error here: it is tried again.  Raises `Misconfigured`.
        """
        keeper = Keeper(
            folder,
            settings,
            device=device,
            journal=journal or NoJournal(),
            vfs=vfs,
            synchronous=synchronous,
            disk_free_bytes=free_bytes,
            now_ns=clock.now_ns,
            new_session=new_session,
            limits=limits,
        )
        spool = cls(keeper, settings, clock=clock, limits=limits, new_session=new_session, inline=inline)
        await spool._committer.start()
        failpoints.passing("edge.opened")
        return spool

    @property
    def session(self) -> str:
        """The live session's id."""
        return self._committer.live

    def cursor(self, source: str) -> str | None:
        """Where the source's durable readings end."""
        return self._committer.state.cursors.get(source)

    # in

    async def put(
        self, cuts: Sequence[Cut], *, epoch: Epoch, cursors: Mapping[str, str] | None = None, draft: bool = False
    ) -> None:
        """Take cuts, each to become the session's next batch, and the cursors that become durable with them.

        Returns when they are gathered for the next transaction; waits while there is no room (`on_full = block`) or
        the disk takes nothing.  `draft`: they get a seq only from `settle`.  A put larger than a quarter of the
        spool is not one transaction: its cursors go with its last cut.  Raises `NotReady` when closed.
        """
        parts = tuple(encoded(cut) for cut in cuts)
        is_whole = sum(len(part.tail) for part in parts) <= self._settings.size_bytes_max // 4
        groups = [parts] if is_whole else [(part,) for part in parts]
        for i, group in enumerate(groups, 1):
            given = dict(cursors or {}) if i == len(groups) else {}
            if group or given:
                drop = await self._until_room()
                self._pending.add(self._committer.live, group, given, epoch, self._clock, is_draft=draft, drop=drop)
                self._committer.wake()

    async def settle(self, shift_ns: int, epoch: Epoch) -> None:
        """Make batches of all drafts, in order, with their times shifted; puts wait meanwhile.

        Bounded transactions: a crash in between leaves the rest as drafts.  Waits while the disk takes nothing.
        """
        while self._settling:
            await self._committer.pause()
        self._settling = True
        try:
            while not await self._settled(shift_ns, epoch):
                await self._committer.pause()
            self._pending.change(lambda unit: settled(unit, self._committer.live, shift_ns, epoch, self._limits))
        finally:
            self._settling = False
            self._committer.wake()
            self._committer.tell()

    async def rotate(self, epoch: Epoch) -> str:
        """A new live session; what is there and what is gathered becomes backlog.  Writes nothing."""
        return self._committer.rotate()

    async def commit(self) -> None:
        """Everything put, freed or set aside so far is durable on return; waits while that cannot be.

        Raises `NotReady` when closed meanwhile.
        """
        last, ended = self._pending.last, set(self._pending.ended)

        def is_open() -> bool:
            return self._pending.waits(last) or bool(ended & self._pending.ended.keys())

        while is_open():
            await self._committer.commit_some()
            if is_open():
                await self._committer.pause()

    async def run(self) -> None:
        """Commit for ever: a period after the first put, or at once when enough is gathered.  Cancel, then close."""
        await self._committer.run()

    # out

    async def head(self, lane: Lane) -> Spooled | None:
        """The lane's oldest committed batch that is neither freed nor set aside; None when there is none, or while the
        disk cannot be read."""
        now, ended = self._committer, self._pending.ended
        if (offered := self._offered.batch(lane)) is not None:
            return offered
        if len(ended) >= FREES_MAX:
            await now.commit_some()
        if len(ended) >= FREES_MAX:
            return None
        for _ in range(HEAD_TRIES):
            seen = now.live, now.generation
            try:
                found = await now.call(self._keeper.head, lane, now.live, tuple(ended), self._offered.start(lane))
            except (Full, Faulty):
                now.notice()
                return None
            now.notice()
            if seen == (now.live, now.generation) and (found is None or found[0] not in ended):
                self._offered.show(lane, found)
                return found[1] if found else None
        return None

    async def wait(self, lane: Lane) -> None:
        """Until the lane has a head."""
        while True:
            news = self._committer.news
            if await self.head(lane) is not None:
                return
            if self._committer.fault or len(self._pending.ended) >= FREES_MAX:
                await self._committer.pause()
            else:
                await news.wait()

    async def free(self, id_: BatchId) -> None:
        """Acknowledged: never offered again in this run; the delete rides on the next transaction."""
        failpoints.passing("edge.before_free")
        self._end(id_, None)

    async def set_aside(self, id_: BatchId, reason: str) -> None:
        """Refused for good: kept for a person, with the reason."""
        self._end(id_, reason)

    async def aside(self, limit: int = 100) -> list[Refused]:
        """What was set aside, newest first; [] while the disk cannot be read."""
        if self._pending.reasons:
            await self._committer.commit_some()
        try:
            return await self._committer.call(self._keeper.aside, limit)
        except (Full, Faulty):
            return []

    async def retry_aside(self) -> int:
        """Put what was set aside back to its place, as it was; how many batches."""
        if self._pending.ended:
            await self._committer.commit_some()
        count = 0
        for _ in range(1 + self._committer.state.aside_batches // RETRIED_AT_ONCE):
            with contextlib.suppress(Full, Faulty):
                count += await self._committer.call(self._keeper.retry_aside, RETRIED_AT_ONCE)
        self._offered.forget()
        self._committer.notice()
        self._committer.tell()
        return count

    def depth(self) -> Depth:
        """How full, from memory."""
        return fullness.of_all(self._keeper, self._committer, self._pending, self._offered)

    async def close(self) -> None:
        """Commit what is gathered, once more; move the WAL into the file, and let go of it.  Safe to call again."""
        if self._closed:
            return
        self._closed = True
        self._committer.tell()
        await asyncio.shield(asyncio.ensure_future(self._committer.close()))

    # inside

    async def _until_room(self) -> str:
        """Wait until a unit may be gathered; "" or, when it can only be as a drop, by which policy."""
        while not self._closed:
            if not self._settling and self._pending.size_bytes < self._settings.commit_bytes_max:
                return ""
            if not self._settling:
                await self._committer.commit_some()
                if self._pending.size_bytes < self._settings.commit_bytes_max:
                    continue
                if self._committer.is_full and not self._committer.fault and self._committer.is_idle:
                    # the file makes room by policy; here the disk does not even take that
                    if self._settings.on_full == "drop_newest":
                        return self._settings.on_full
                    if self._settings.on_full == "drop_oldest" and self._pending.drop_oldest("drop_oldest"):
                        continue
            await self._committer.pause()
        raise NotReady("the spool is closed")

    async def _settled(self, shift_ns: int, epoch: Epoch) -> bool:
        """Whether no draft is in the file nor on its way there; makes batches of some."""
        await self._committer.until_idle()
        with contextlib.suppress(Full, Faulty):
            while not await self._committer.call(
                self._keeper.settle_some, self._committer.sessions, tuple(self._pending.ended), shift_ns, epoch
            ):
                self._committer.notice()
        self._committer.notice()
        return self._committer.is_idle and not self._committer.state.drafts

    def _end(self, id_: BatchId, reason: str | None) -> None:
        session = self._committer.state.session(id_.session)
        if session is None:
            return
        place = session.places[0] + id_.seq
        readings = self._offered.end(place)
        if place not in self._pending.ended:
            self._pending.end(place, id_, readings, reason, self._clock)
            self._committer.wake()
