"""What the spool asks of its file, as transactions and looks.  Synchronous: all of it runs in the spool's thread.

When the disk is full the policy decides, and the rest waits in memory and is tried again.  What else may happen to a
file is up to `good_file`.
"""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edge._spool import aside, drafts
from edge._spool.file import SpoolFile
from edge._spool.good_file import GoodFile
from edge._spool.policy import Policy
from edge._spool.schema import Row
from edge._spool.transaction import Transaction
from edge._spool.words import (
    DAMAGED,
    ORDINAL_SHIFT,
    Faulty,
    Full,
    Group,
    Outcome,
    Renewed,
    State,
    Torn,
)
from edge.batcher import CutLimits
from edge.journal import Journal
from edge.settings import SpoolSettings
from edge.spooled import Epoch, Lane, Refused, Spooled
from telemetry import failpoints
from telemetry.errors import Misconfigured

logger = logging.getLogger(__name__)

FILE = "spool.db"


class Keeper:
    """Owned by the spool's thread, but for `state`, `commits` and `reports`, which anybody may look at."""

    def __init__(
        self,
        folder: Path,
        settings: SpoolSettings,
        *,
        device: str,
        journal: Journal,
        vfs: str | None,
        synchronous: str,
        disk_free_bytes: Callable[[Path], int],
        now_ns: Callable[[], int],
        new_session: Callable[[], str],
        limits: CutLimits,
    ) -> None:
        self._good = GoodFile(folder / FILE, self._open)
        self._settings, self._device, self._limits = settings, device, limits
        self._new_session, self._run = new_session, new_session()
        self._inherits = True  # drafts of an earlier run may be there
        self._journal, self._vfs, self._synchronous = journal, vfs, synchronous
        self._disk_free_bytes, self._now_ns = disk_free_bytes, now_ns
        self._mine: set[str] = set()

    @property
    def state(self) -> State:
        """As it is durable; empty while there is no file."""
        return self._good.state

    @property
    def generation(self) -> int:
        """Of the file."""
        return self._good.generation

    @property
    def commits(self) -> int:
        """Transactions of this run."""
        return self._good.commits

    @property
    def reports(self) -> Sequence[str]:
        """The newest, for a person."""
        return self._good.reports

    def start(self) -> None:
        """Open the file; drafts of an earlier run become batches of a session of their own.

        A disk that is full or fails is tried again later; raises `Misconfigured` for what an operator must mend.
        """
        path = self._good.path
        if path.is_dir():
            raise Misconfigured(f"{path} is a folder: move it away")
        try:
            try:
                self._inherit()
            except Renewed:
                self._inherit()
        except (Full, Faulty) as e:
            self.report(f"the spool could not be opened yet: {e}")

    def commit(self, group: Group, generation: int) -> Outcome:
        """One transaction of all that the group asks for; never raises."""
        if self.generation != generation:
            return self._outcome(-1)
        try:
            self._inherit()
            fits, ended = self._with_room(group)
        except Renewed:
            return self._outcome(-1)
        except Full as e:
            logger.warning("the spool's disk is full: %s", e)
            return self._outcome(self._taken(), is_full=True)
        except Faulty as e:
            return self._outcome(-1, fault=str(e))
        if group.freed:
            failpoints.passing("edge.after_free")
        return self._outcome(self._taken(), ended, is_full=not fits)

    def settle_some(self, sessions: Sequence[str], ended: Iterable[int], shift_ns: int, epoch: Epoch) -> bool:
        """One bounded transaction of `settle` into the last of these sessions; True when no draft is left.

        Those before it, for which units still wait in memory, get their place in the order of sessions now.  `ended`
        are places whose end waits there, too.
        Raises `Full`, `Faulty` or `Renewed`.
        """
        self._inherit()
        return self._settle_some(sessions, shift_ns, epoch, frozenset(ended))

    def head(self, lane: Lane, live: str, ended: Iterable[int], start: int) -> tuple[int, Spooled] | None:
        """The lane's oldest committed batch whose end is not known, with its place.  Raises `Faulty`.

        A damaged one is set aside and the next is looked at.
        """
        gone = frozenset(ended)
        while (row := self._good.use(lambda file: _first(file, lane, live, gone, start), reads=True)) is not None:
            spooled = self._good.file.spooled(row) if self._good.file else None
            if spooled is not None:
                return row.place, spooled
            try:
                self._set_damaged_aside(row)
            except Renewed:
                return None  # asked again, with the new file's sessions
        return None

    def aside(self, limit: int) -> list[Refused]:
        """Raises `Faulty`."""
        return self._good.use(lambda file: aside.listed(file.db, limit), reads=True)

    def retry_aside(self, batches_max: int) -> int:
        """One transaction; how many were put back.  Raises `Full` or `Faulty`."""
        return self._good.use(lambda file: file.transact(lambda t: aside.put_back(t, batches_max)))

    def report(self, text: str) -> None:
        """For a person: in the status and in the log."""
        self._good.report(text)

    def close(self) -> None:
        """Let go of the file."""
        self._good.close()

    # inside

    def _inherit(self) -> None:
        """Drafts of an earlier run: nobody can say any more what their clock showed."""
        if self._inherits:
            session = self._new_session()
            while not self._settle_some((session,), 0, None):
                pass
            self._inherits = False

    def _settle_some(
        self, sessions: Sequence[str], shift_ns: int, epoch: Epoch | None, ended: frozenset[int] = frozenset()
    ) -> bool:
        self._mine |= set(sessions)
        size, limits = self._settings.commit_bytes_max, self._limits

        def work(t: Transaction) -> bool:
            for name in sessions[:-1]:
                t.session(name)
            return drafts.settle_some(t, sessions[-1], shift_ns=shift_ns, epoch=epoch, limits=limits, size_bytes=size)

        return self._good.use(lambda file: not file.state.drafts or file.transact(work, ended), writes=sessions[-1])

    def _with_room(self, group: Group) -> tuple[bool, tuple[int, ...]]:
        """Commit; a disk that has no room for it gets a second chance with nothing that grows."""
        sessions = frozenset({group.live, *(unit.session for unit in group.units)})
        self._mine |= sessions

        def work(t: Transaction, policy: Policy) -> bool:
            for place, id_ in group.freed.items():
                t.free(place, id_)
            for place, (_, reason) in group.aside.items():
                aside.set_aside(t, place, reason, now_ns=self._now_ns(), bytes_max=self._settings.aside_bytes_max)
            fits = policy.put(t, group, self._run)
            t.forget_empty_sessions(sessions)
            return fits

        def attempt(file: SpoolFile) -> bool:
            try:
                fits = file.transact(lambda t: work(t, self._policy(file)))
            except Full:
                file.checkpoint(truncate=False)  # the WAL starts over: what it takes now, it has
                fits = file.transact(lambda t: work(t, self._policy(file, may_grow=False)))
            file.checkpoint_when_due()
            return fits

        return self._good.use(attempt, writes=group.live), (*group.freed, *group.aside)

    def _open(self, path: Path) -> SpoolFile:
        return SpoolFile(
            path,
            device=self._device,
            vfs=self._vfs,
            synchronous=self._synchronous,
            size_bytes_max=self._settings.size_bytes_max,
            journal=self._journal,
            mine=self._mine,
        )

    def _policy(self, file: SpoolFile, *, may_grow: bool = True) -> Policy:
        settings = self._settings
        has = file.size_bytes
        free = max(0, self._disk_free_bytes(self._good.path.parent) - settings.disk_free_bytes_min) if may_grow else 0
        room = min(settings.size_bytes_max, has + free)
        return Policy(settings.on_full, room, settings.size_bytes_max, file.page_bytes)

    def _set_damaged_aside(self, row: Row) -> None:
        self.report(f"a batch of {row.readings} readings is damaged; it is set aside")
        group_bytes = self._settings.aside_bytes_max

        def work(t: Transaction) -> None:
            if t.row(row.place) is None:
                raise Torn("a row that was listed is not found")
            if row.place >> ORDINAL_SHIFT in t.state.sessions:
                aside.set_aside(t, row.place, DAMAGED, now_ns=self._now_ns(), bytes_max=group_bytes)
            else:
                t.db.execute("DELETE FROM batches WHERE place = ?", (row.place,))
            t.recount()

        self._good.use(lambda file: file.transact(work), writes=DAMAGED)

    def _taken(self) -> int:
        state = self.state
        return state.taken if state.taken_by == self._run else -1

    def _outcome(self, taken: int, ended: tuple[int, ...] = (), *, is_full: bool = False, fault: str = "") -> Outcome:
        return Outcome(self.state, self.generation, taken, ended, is_full, fault, self.commits)


def _first(file: SpoolFile, lane: Lane, live: str, gone: frozenset[int], start: int) -> Row | None:
    session = file.state.session(live)
    if lane is Lane.LIVE:
        if session is None:
            return None
        first, stop = session.places
    else:
        first, stop = 0, session.places[0] if session else 2**63 - 1
    return file.first(max(first, start), stop, gone.__contains__)


def disk_free_bytes(folder: Path) -> int:
    """What the file system would still give us."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
