"""The spool: what the sources read is durable here until the gateway has acknowledged it.  Bounded.

Guarantee: what `commit` returned for, and every batch that `head` gives, was fsync'd; its bytes never change, its id
is never used again.  Nothing leaves but acknowledged, set aside with its reason, or dropped by policy: counted, and
announced by a tombstone for its seq.

Puts, deletes, cursors and tombstones gather in memory and become one transaction a period (`run`), so that an SD
card sees few writes.  A put waits while what is gathered is as much as may be, that is: while the disk takes
nothing, or while the spool is full and its policy is `block`.  All work on the file is done by one thread
(`edge._spool`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from ulid import ULID

from edge._spool.drafts import shifted
from edge._spool.keeper import Keeper, disk_free_bytes
from edge._spool.pending import Pending
from edge._spool.transaction import FREES_MAX
from edge._spool.words import Faulty, Full, Gap, Part, Unit, body, encoded
from edge.batcher import Cut, CutLimits, split
from edge.journal import Journal, NoJournal
from edge.settings import SpoolSettings
from edge.spooled import Depth, Epoch, Lane, Refused, Spooled
from edge.waiting import until
from telemetry import failpoints
from telemetry.batch import BatchId
from telemetry.clock import Clock
from telemetry.errors import NotReady
from telemetry.wire import decode_own

FREES_WAIT_S = 60.0  # deletes alone may wait so long for a put to ride with
RETRY_S = 1.0
RETRY_S_MAX = 30.0
CLOSE_TRIES = 2
HEAD_TRIES = 3  # a torn file becomes a new one meanwhile, or the session another
RETRIED_AT_ONCE = 50  # refused batches put back in one transaction
P = ParamSpec("P")
T = TypeVar("T")


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
        self._new_session = new_session
        self._live = new_session()
        self._generation = 0
        self._state = keeper.state
        self._pending = Pending()
        self._offered: dict[Lane, tuple[int, Spooled] | None] = dict.fromkeys(Lane)
        self._from: dict[Lane, int] = dict.fromkeys(Lane, 0)  # no batch before this place is still to be offered
        self._thread = None if inline else ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._working: asyncio.Future[None] | None = None
        self._settling = self._closed = self._is_full = self._is_let_go = False
        self._fault, self._faults = "", 0
        self._work, self._urgent, self._news = asyncio.Event(), asyncio.Event(), asyncio.Event()

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
        await spool._call(keeper.start)
        spool._generation, spool._state = keeper.generation, keeper.state
        failpoints.passing("edge.opened")
        return spool

    @property
    def session(self) -> str:
        """The live session's id."""
        return self._live

    def cursor(self, source: str) -> str | None:
        """Where the source's durable readings end."""
        return self._state.cursors.get(source)

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
                self._pending.add(self._live, group, given, epoch, self._clock, is_draft=draft, drop=drop)
                self._wake()

    async def settle(self, shift_ns: int, epoch: Epoch) -> None:
        """Make batches of all drafts, in order, with their times shifted; puts wait meanwhile.

        Bounded transactions: a crash in between leaves the rest as drafts.  Waits while the disk takes nothing.
        """
        while self._settling:
            await self._pause()
        self._settling = True
        try:
            while not await self._settled(shift_ns, epoch):
                await self._pause()
            self._pending.change(lambda unit: settled(unit, self._live, shift_ns, epoch, self._limits))
        finally:
            self._settling = False
            self._wake()
            self._tell()

    async def rotate(self, epoch: Epoch) -> str:
        """A new live session; what is there and what is gathered becomes backlog.  Writes nothing."""
        self._live = self._new_session()
        self._offered, self._from = dict.fromkeys(Lane), dict.fromkeys(Lane, 0)
        self._tell()
        return self._live

    async def commit(self) -> None:
        """Everything put, freed or set aside so far is durable on return; waits while that cannot be.

        Raises `NotReady` when closed meanwhile.
        """
        last, ended = self._pending.last, set(self._pending.ended)

        def is_open() -> bool:
            return self._pending.waits(last) or bool(ended & self._pending.ended.keys())

        while is_open():
            await self._commit_some()
            if is_open():
                await self._pause()

    async def run(self) -> None:
        """Commit for ever: a period after the first put, or at once when enough is gathered.  Cancel, then close."""
        while True:
            await self._work.wait()
            if self._pending.is_empty:
                self._work.clear()
                continue
            wait_s = self._due_s() - self._clock.monotonic_s()
            if wait_s > 0:
                self._urgent.clear()
                await until(self._urgent, self._clock, wait_s)
                continue
            await self._commit_some()
            if self._fault or self._pending.units:
                await self._pause()

    # out

    async def head(self, lane: Lane) -> Spooled | None:
        """The lane's oldest committed batch that is neither freed nor set aside; None when there is none, or while the
        disk cannot be read."""
        offered = self._offered[lane]
        if offered is not None:
            return offered[1]
        if len(self._pending.ended) >= FREES_MAX:
            await self._commit_some()
        if len(self._pending.ended) >= FREES_MAX:
            return None
        for _ in range(HEAD_TRIES):
            seen = self._live, self._generation
            try:
                found = await self._call(
                    self._keeper.head, lane, self._live, tuple(self._pending.ended), self._from[lane]
                )
            except (Full, Faulty):
                self._notice()
                return None
            self._notice()
            if seen == (self._live, self._generation) and (found is None or found[0] not in self._pending.ended):
                self._offered[lane] = found
                return found[1] if found else None
        return None

    async def wait(self, lane: Lane) -> None:
        """Until the lane has a head."""
        while True:
            news = self._news
            if await self.head(lane) is not None:
                return
            if self._fault or len(self._pending.ended) >= FREES_MAX:
                await self._pause()
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
            await self._commit_some()
        try:
            return await self._call(self._keeper.aside, limit)
        except (Full, Faulty):
            return []

    async def retry_aside(self) -> int:
        """Put what was set aside back to its place, as it was; how many batches."""
        if self._pending.ended:
            await self._commit_some()
        count = 0
        for _ in range(1 + self._state.aside_batches // RETRIED_AT_ONCE):
            with contextlib.suppress(Full, Faulty):
                count += await self._call(self._keeper.retry_aside, RETRIED_AT_ONCE)
        self._offered, self._from = dict.fromkeys(Lane), dict.fromkeys(Lane, 0)
        self._notice()
        self._tell()
        return count

    def depth(self) -> Depth:
        """How full, from memory."""
        state, pending = self._state, self._pending
        live, sessions = state.session(self._live), state.sessions.values()
        batches = sum(s.batches for s in sessions) + state.drafts - len(pending.ended) + pending.batches
        # the file's oldest may be acknowledged, its delete still to be written; a lane's head is not
        heads = [found[1].put_ns for found in self._offered.values() if found is not None]
        kept = [state.oldest_put_ns] if sum(s.batches for s in sessions) + state.drafts > len(pending.ended) else []
        put_ns = (*(heads or kept), pending.oldest_put_ns)
        oldest = min((at for at in put_ns if at is not None), default=None)
        live_ready = (live.batches if live else 0) - sum(id_.session == self._live for id_ in pending.ended.values())
        return Depth(
            batches=batches,
            readings=sum(s.readings for s in sessions)
            + state.draft_readings
            - pending.ended_readings
            + pending.readings,
            size_bytes=state.used_bytes,
            oldest_put_ns=oldest if batches else None,
            live_batches=live_ready + pending.batches_of(self._live),
            live_ready=live_ready,
            aside_batches=state.aside_batches + len(pending.reasons),
            aside=dict(state.aside),
            dropped=_sum(state.dropped, pending.dropped),
            commits=self._keeper.commits,
            is_full=self._is_full,
            reports=(*self._keeper.reports,),
        )

    async def close(self) -> None:
        """Commit what is gathered, once more; move the WAL into the file, and let go of it.  Safe to call again."""
        if self._closed:
            return
        self._closed = True
        self._tell()
        await asyncio.shield(asyncio.ensure_future(self._close()))

    # inside

    async def _until_room(self) -> str:
        """Wait until a unit may be gathered; "" or, when it can only be as a drop, by which policy."""
        while not self._closed:
            if not self._settling and self._pending.size_bytes < self._settings.commit_bytes_max:
                return ""
            if not self._settling:
                await self._commit_some()
                if self._pending.size_bytes < self._settings.commit_bytes_max:
                    continue
                if self._is_full and not self._fault and self._working is None:
                    # the file makes room by policy; here the disk does not even take that
                    if self._settings.on_full == "drop_newest":
                        return self._settings.on_full
                    if self._settings.on_full == "drop_oldest" and self._pending.drop_oldest("drop_oldest"):
                        continue
            await self._pause()
        raise NotReady("the spool is closed")

    async def _commit_some(self) -> None:
        """One transaction that begins after this was called; also when the caller is cancelled, it ends."""
        if self._working is not None:
            await asyncio.shield(self._working)
        if self._working is None and not self._pending.is_empty:
            self._working = asyncio.ensure_future(self._commit_once())
        if self._working is not None:
            await asyncio.shield(self._working)

    async def _commit_once(self) -> None:
        try:
            outcome = await self._call(self._keeper.commit, self._pending.group(self._live), self._generation)
            if outcome.generation != self._generation:  # a new file, to which all of it is still to go
                self._notice()
                outcome = await self._call(self._keeper.commit, self._pending.group(self._live), self._generation)
        finally:
            self._working = None
        before = len(self._pending.units), len(self._pending.ended)
        self._pending.done(outcome.taken, outcome.ended, self._clock)
        self._state, self._fault = outcome.state, outcome.fault
        self._faults = self._faults + 1 if self._fault else 0
        self._is_full = outcome.is_full
        self._notice()
        if before != (len(self._pending.units), len(self._pending.ended)):
            self._tell()  # not when nothing moved: two that wait to try again would wake each other for ever

    async def _settled(self, shift_ns: int, epoch: Epoch) -> bool:
        """Whether no draft is in the file nor on its way there; makes batches of some."""
        if self._working is not None:
            await asyncio.shield(self._working)
        with contextlib.suppress(Full, Faulty):
            while not await self._call(
                self._keeper.settle_some, self._sessions(), tuple(self._pending.ended), shift_ns, epoch
            ):
                self._notice()
        self._notice()
        return self._working is None and not self._state.drafts

    def _end(self, id_: BatchId, reason: str | None) -> None:
        session = self._state.session(id_.session)
        if session is None:
            return
        place = session.places[0] + id_.seq
        readings = 0
        for lane, found in self._offered.items():
            if found is not None and found[0] == place:
                readings, self._offered[lane], self._from[lane] = found[1].readings, None, place + 1
        if place not in self._pending.ended:
            self._pending.end(place, id_, readings, reason, self._clock)
            self._wake()

    def _notice(self) -> None:
        """See what the thread did to the file; a new file's sessions are new, too."""
        self._state = self._keeper.state
        if self._generation == self._keeper.generation:
            return
        self._generation = self._keeper.generation
        names = {name: self._new_session() for name in {self._live, *(u.session for u in self._pending.units)}}
        self._live = names[self._live]
        self._pending.change(lambda unit: replace(unit, session=names[unit.session]))
        self._offered, self._from = dict.fromkeys(Lane), dict.fromkeys(Lane, 0)
        self._tell()

    def _sessions(self) -> tuple[str, ...]:
        """In which something is still to be put, in order; the live one is the last."""
        return tuple(dict.fromkeys([*(u.session for u in self._pending.units if u.session != self._live), self._live]))

    def _due_s(self) -> float:
        """When the next transaction is, by the monotonic clock."""
        pending = self._pending
        if pending.size_bytes >= self._settings.commit_bytes_max or len(pending.ended) >= FREES_MAX:
            return 0.0
        dues = [pending.first_put_s + self._settings.commit_period_s] if pending.units else []
        return min([*dues, pending.first_end_s + FREES_WAIT_S] if pending.ended else dues, default=0.0)

    def _wake(self) -> None:
        self._work.set()
        self._urgent.set()

    def _tell(self) -> None:
        told, self._news = self._news, asyncio.Event()
        told.set()

    async def _pause(self) -> None:
        """Until something changed, or it is time to try again."""
        await until(self._news, self._clock, min(RETRY_S_MAX, RETRY_S * 2.0 ** min(self._faults, 10)))

    async def _call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._thread is None:
            return work(*args, **kwargs)
        if self._is_let_go:
            raise NotReady("the spool is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    async def _close(self) -> None:
        for _ in range(CLOSE_TRIES):
            await self._commit_some()
        if self._pending.units:
            self._keeper.report(f"{self._pending.readings} readings could not be kept: {self._fault or 'full'}")
        await self._call(self._keeper.close)
        self._is_let_go = True
        if self._thread is not None:
            self._thread.shutdown(wait=False)


def settled(unit: Unit, session: str, shift_ns: int, epoch: Epoch, limits: CutLimits) -> Unit:
    """A gathered draft as batches to be."""
    if not unit.is_draft:
        return unit
    parts: list[Part] = []
    for part in unit.parts:
        if isinstance(part, Gap):
            parts.append(part)
        else:
            batch = decode_own(body(BatchId("", "", 0), part))
            parts += map(encoded, split(shifted(batch.series, shift_ns), limits))
    return replace(unit, session=session, parts=tuple(parts), epoch=epoch, is_draft=False)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
