"""Which of a device's batches is whose turn: each once, a session in the order of its seq, one session live.  Pure.

    duplicate   a seq of a session that came before: dropped, whatever its bytes
    gap         what follows a missing seq waits until it comes, until a tombstone takes its place, or until too many
                wait or for too long; then the session goes on, and what comes behind that is late
    live        the session that is told of as it happens; others drain behind it as a backlog.  A session takes over
                when its data are newer than the live one's, or when its first batch is fresh by its own clock and yet
                older by more than a short outage explains: then one of the clocks is wrong, and the fresh one counts

Of a session that nobody numbered (`telemetry.unnumbered`) nothing waits: a batch is next unless its newest reading is
older than the newest that had its turn; then it is late, but for one that is fresh and yet much older, as above.

Everything follows from the records and the partition's receive time at each of them (`partition_time`), never from a
poll or a clock of ours: the same records give the same turns and the same state, wherever they were cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from consumers.completeness import Intervals, add, bounded, contains, latest
from consumers.operator import Lane
from telemetry.unnumbered import is_unnumbered

FRESH_NS = 30 * 10**9  # sent so shortly after its newest reading, a batch is no backlog
AHEAD_NS = 2 * 10**9  # dated later than it came, by more than clocks in step differ
FIRST_SEQ_MAX = 1  # senders count from 0 or from 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one device may hold."""

    waiting_max: int = 32  # batches of a session behind a gap
    waiting_bytes_max: int = 2**20  # of all of its sessions
    hold_ns: int = 30 * 10**9  # of the partition's receive time, for the oldest of them
    sessions_max: int = 8
    idle_ns: int = 900 * 10**9  # after so long without a word, a session that is not live is over
    gaps_max: int = 64  # given-up gaps that are remembered a session
    unnumbered_max: int = 256  # batches without a number that are remembered a session; older ones are late anyway


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A batch's record, as it may have to wait: what decides, and all that its turn needs."""

    session: str
    seq: int
    offset: int
    at_ns: int  # the partition's receive time when it came
    received_ns: int
    newest_ns: int | None
    sent_ns: int | None
    headers: dict[str, str]
    value: bytes

    @property
    def age_ns(self) -> int | None:
        """How long before it went out, or came, its newest reading was taken; None when it has none."""
        came_ns = self.received_ns if self.sent_ns is None else self.sent_ns
        return None if self.newest_ns is None else came_ns - self.newest_ns

    @property
    def is_fresh(self) -> bool:
        """Whether it went out so shortly after that it cannot be a backlog, by its own clock."""
        return self.age_ns is not None and -AHEAD_NS <= self.age_ns <= FRESH_NS


class SessionOrder(msgspec.Struct, array_like=True):
    """Where one session stands."""

    name: str
    next_seq: int  # every seq below it had its turn or was given up
    heard_ns: int  # receive time of the partition at its last record
    seen: Intervals = ()
    newest_ns: int | None = None  # of its last batch that had readings
    is_begun: bool = False  # a batch of it had its turn
    is_over: bool = False  # told to the operator as ended
    waiting: dict[int, Waiting] = {}

    def since_ns(self) -> int:
        """When the first of those that wait came."""
        return next(iter(self.waiting.values())).at_ns


class DeviceOrder(msgspec.Struct, array_like=True):
    """The whole state of a device's order; `sessions` are in the order in which they were last heard."""

    live: str = ""
    sessions: dict[str, SessionOrder] = {}


@dataclass(frozen=True, slots=True)
class Turn:
    """This batch is next."""

    waiting: Waiting
    lane: Lane


@dataclass(frozen=True, slots=True)
class Ended:
    """This session is over or forgotten."""

    session: str


Step = Turn | Ended


class Ordering:
    """One device's; `state` is all that it knows."""

    def __init__(self, bounds: Bounds, state: DeviceOrder | None = None) -> None:
        self._bounds = bounds
        self.state = state or DeviceOrder()

    def take(self, one: Waiting) -> list[Step] | None:
        """What this record's coming lets pass; None for a duplicate."""
        steps: list[Step] = []
        session = self._session(one, steps)
        if contains(session.seen, one.seq):
            return steps or None
        session.is_over = False
        if is_unnumbered(one.seq):
            session.seen = latest(session.seen, one.seq, self._bounds.unnumbered_max)
            lane = Lane.LATE if self._is_stale(session, one) else self._lane(session, one)
            return [*steps, Turn(one, lane)]
        session.seen, _ = bounded(add(session.seen, one.seq), self._bounds.gaps_max)
        if one.seq < session.next_seq:
            return [*steps, Turn(one, Lane.LATE)]
        session.waiting[one.seq] = one
        steps += self._go_on(session, one.at_ns)
        return steps

    def pass_time(self, at_ns: int) -> list[Step]:
        """What the partition's receive time lets pass: gaps that are given up, sessions that are over."""
        steps: list[Step] = []
        for session in self.state.sessions.values():
            steps += self._go_on(session, at_ns)
            if self._may_end(session) and at_ns >= session.heard_ns + self._bounds.idle_ns:
                session.is_over = True
                steps.append(Ended(session.name))
        return steps

    def due_ns(self) -> int | None:
        """From which receive time on `pass_time` has something to do."""
        return min(self._dues(), default=None)

    def forget_oldest(self) -> list[Step] | None:
        """Drop the session that was longest not heard and is not live; None when there is none."""
        name = next((name for name in self.state.sessions if name != self.state.live), None)
        if name is None:
            return None
        session = self.state.sessions[name]
        steps: list[Step] = []
        while session.waiting:
            steps += self._skip(session)
        del self.state.sessions[name]
        return steps if session.is_over else [*steps, Ended(name)]

    @property
    def waiting_bytes(self) -> int:
        """Of all batches that wait."""
        return sum(len(w.value) for s in self.state.sessions.values() for w in s.waiting.values())

    def _session(self, one: Waiting, steps: list[Step]) -> SessionOrder:
        sessions = self.state.sessions
        session = sessions.pop(one.session, None)
        if session is None:
            while len(sessions) >= self._bounds.sessions_max and (forgotten := self.forget_oldest()) is not None:
                steps += forgotten
            # A session that is well on its way when we first hear of it began before the log we know.
            is_start = FIRST_SEQ_MAX < one.seq <= self._bounds.waiting_max
            session = SessionOrder(one.session, 0 if is_start else one.seq, one.at_ns, waiting={})
        session.heard_ns = one.at_ns
        sessions[one.session] = session
        return session

    def _go_on(self, session: SessionOrder, at_ns: int) -> list[Step]:
        steps = self._in_order(session)
        while session.waiting and self._is_enough(session, at_ns):
            steps += self._skip(session)
        return steps

    def _is_enough(self, session: SessionOrder, at_ns: int) -> bool:
        """Whether its gap is given up; a time that went back says nothing of how long it was."""
        bounds = self._bounds
        return (
            not 0 <= at_ns - session.since_ns() < bounds.hold_ns
            or len(session.waiting) > bounds.waiting_max
            or self.waiting_bytes > bounds.waiting_bytes_max
        )

    def _skip(self, session: SessionOrder) -> list[Step]:
        session.next_seq = min(session.waiting)
        return self._in_order(session)

    def _in_order(self, session: SessionOrder) -> list[Step]:
        steps: list[Step] = []
        while (one := session.waiting.pop(session.next_seq, None)) is not None:
            session.next_seq += 1
            steps.append(Turn(one, self._lane(session, one)))
        return steps

    def _lane(self, session: SessionOrder, one: Waiting) -> Lane:
        if session.name != self.state.live and self._takes_over(session, one):
            self.state.live = session.name
        session.is_begun = True
        if one.newest_ns is not None:
            session.newest_ns = one.newest_ns
        return Lane.LIVE if session.name == self.state.live else Lane.BACKLOG

    def _takes_over(self, session: SessionOrder, one: Waiting) -> bool:
        live = self.state.sessions.get(self.state.live)
        if live is None:
            return True
        if one.newest_ns is None or one.age_ns is None:
            return False
        if live.newest_ns is None:
            return True
        newer_ns = one.newest_ns - live.newest_ns
        if session.is_begun:
            return newer_ns > 0 and one.is_fresh
        return newer_ns > 0 or (one.is_fresh and newer_ns < -FRESH_NS)

    @staticmethod
    def _is_stale(session: SessionOrder, one: Waiting) -> bool:
        if session.newest_ns is None or one.newest_ns is None or one.newest_ns >= session.newest_ns:
            return False
        return not (one.is_fresh and one.newest_ns < session.newest_ns - FRESH_NS)

    def _may_end(self, session: SessionOrder) -> bool:
        return session.name != self.state.live and not session.is_over and not session.waiting

    def _dues(self) -> Iterator[int]:
        for session in self.state.sessions.values():
            if session.waiting:
                yield session.since_ns() + self._bounds.hold_ns
            if self._may_end(session):
                yield session.heard_ns + self._bounds.idle_ns
