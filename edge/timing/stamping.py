"""Stamps readings: monotonic time tied to UTC, so that whoever sets the wall clock cannot reorder what was measured.

Once a second `poll` compares the tie with a clock that can be trusted: the wall clock while the kernel says that a time
service keeps it, else GPS, when several fixes agreed within the hour.

    not set yet      the tie is the wall clock as it stood at the start, whatever somebody does to it meanwhile
    first set        `Synchronised`: the tie moves to the right time; what was stamped before is wrong by `shift_ns`
    differs more     `Stepped`: the trusted clock itself was wrong, or jumped; the tie follows, in a new epoch
    differs little   the tie follows slowly, and no stamp goes back
    no longer kept   the tie stays and the epoch says "not synchronised": a date set by hand moves nothing, and when the
                     time service has mended it, nothing has moved either

A new epoch must not begin between the stamping of a reading and its handing over: the reading would be shifted twice,
or never.  So each source has a `View`, which changes over only in `View.take`, where its readings are handed over.

While the machine is suspended the monotonic clock stands still; the kernel tells how long, and the tie jumps ahead by
that, in the same epoch.  Stamps of the moment between the waking and the next poll are as much too early.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from edge.spooled import Epoch
from edge.timing import kernel
from edge.timing.tie import Tie
from telemetry.clock import Clock

SECOND_NS = 10**9
FOLLOW_NS = 1_000_000  # smaller differences are the price of reading two clocks one after the other
READS = 3

FIXES = 5  # so many fixes in a row must agree
FIXES_AGE_S_MAX = 30.0
FIX_FOLLOW_NS = 100_000_000  # a receiver's sentence comes when its serial line has carried it
FIX_HOLDS_S = 3_600.0  # a crystal of 50 ppm loses 0.2 s in an hour
FIX_EARLIEST_NS = 1_672_531_200 * SECOND_NS  # 2023: an older date is a receiver's week counter that has rolled over


@dataclass(frozen=True, slots=True)
class Synchronised:
    """The clock was set for the first time: what this epoch stamped before needs `shift_ns` added."""

    shift_ns: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """A clock that had been set before differs by this much: a new epoch begins."""

    by_ns: int


Change: TypeAlias = Synchronised | Stepped


def ns_of(monotonic_s: float) -> int:
    """Whole nanoseconds; a float of monotonic seconds holds them for months."""
    return round(monotonic_s * SECOND_NS)


@dataclass(frozen=True, slots=True)
class _Reference:
    """A clock to be trusted: its offset to monotonic time, and from which difference on it is followed."""

    offset_ns: int
    follow_ns: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """The tie that stamps, and the number of its epoch: a value, replaced whole, so that any thread may use it."""

    number: int
    tie: Tie

    def stamp_ns(self, monotonic_s: float) -> int:
        """UTC nanoseconds."""
        mono_ns = ns_of(monotonic_s)
        return mono_ns + self.tie.offset_ns(mono_ns)


class Stamper:
    """The edge's stamp.  `poll` belongs to one task; everything else may be called from any thread."""

    def __init__(
        self,
        clock: Clock,
        *,
        step_s: float,
        boot: str,
        is_synchronised: Callable[[], bool | None],
        slept_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        self._clock = clock
        self._step_ns = round(step_s * SECOND_NS)
        self._boot = boot
        self._kernel_says = is_synchronised
        self._slept_ns = slept_ns
        self._slept_seen_ns = slept_ns()
        self._fixes: deque[tuple[float, int]] = deque(maxlen=FIXES)
        self._fixes_lock = threading.Lock()
        self._fixed: tuple[float, int] | None = None  # when fixes last agreed, and on which offset
        kept = self._wall()
        self.timeline = Timeline(0, Tie.fixed(self._read_wall()[1] if kept is None else kept.offset_ns))
        self._is_set = self._was_set = self._was_set_by_service = kept is not None

    @classmethod
    def of_machine(cls, clock: Clock, *, step_s: float) -> "Stamper":
        """With what this machine's kernel knows."""
        return cls(
            clock,
            step_s=step_s,
            boot=kernel.boot_id(),
            is_synchronised=kernel.is_synchronised,
            slept_ns=kernel.slept_ns,
        )

    def now_ns(self) -> int:
        """UTC nanoseconds for a reading taken now."""
        return self.at_ns(self._clock.monotonic_s())

    def at_ns(self, monotonic_s: float) -> int:
        """UTC nanoseconds of a moment of `Clock.monotonic_s`."""
        return self.timeline.stamp_ns(monotonic_s)

    def utc_is(self, utc_ns: int, monotonic_s: float) -> None:
        """A GPS fix says that it was `utc_ns` at that moment."""
        if utc_ns >= FIX_EARLIEST_NS:
            with self._fixes_lock:
                self._fixes.append((monotonic_s, utc_ns - ns_of(monotonic_s)))

    @property
    def epoch(self) -> Epoch:
        """As it stamps now.  The offset is to monotonic time that went on while the machine slept."""
        offset_ns = self.timeline.tie.offset_ns(ns_of(self._clock.monotonic_s()))
        return Epoch(self._boot, offset_ns - self._slept_seen_ns, self._is_set)

    def view(self) -> "View":
        """A stamp for one source."""
        return View(self, self._clock)

    def poll(self) -> Change | None:
        """Compare with a clock to be trusted; call about once a second."""
        self._count_sleep()
        reference = self._reference()
        if reference is None:
            self._is_set = False
            return None
        mono_ns = ns_of(self._clock.monotonic_s())
        line = self.timeline
        by_ns = reference.offset_ns - line.tie.offset_ns(mono_ns)
        was_set, self._was_set, self._is_set = self._was_set, True, True
        if not was_set or abs(by_ns) > self._step_ns:
            self.timeline = Timeline(line.number + 1, Tie.fixed(reference.offset_ns))
            return Stepped(by_ns) if was_set else Synchronised(by_ns)
        if abs(reference.offset_ns - line.tie.target_ns) > reference.follow_ns:
            self.timeline = Timeline(line.number, line.tie.slewed(mono_ns, reference.offset_ns))
        return None

    def _reference(self) -> _Reference | None:
        """The clock to trust.  A receiver that contradicts what a time service has set is wrong: they err by weeks."""
        if (wall := self._wall()) is not None:
            self._was_set_by_service = True
            return wall
        fixed = self._gps()
        if fixed is None or not self._was_set_by_service:
            return fixed
        mono_ns = ns_of(self._clock.monotonic_s())
        is_near = abs(fixed.offset_ns - self.timeline.tie.offset_ns(mono_ns)) <= self._step_ns
        return fixed if is_near else None

    def _wall(self) -> _Reference | None:
        """The wall clock, if the kernel says before and after that it is kept.

        Whoever sets it by hand clears the flag in the same moment; a time service sets it no later than the flag.
        """
        if self._kernel_says() is False:
            return None
        _, offset_ns = self._read_wall()
        return None if self._kernel_says() is False else _Reference(offset_ns, FOLLOW_NS)

    def _read_wall(self) -> tuple[int, int]:
        """(uncertainty, offset) of the best of a few looks, ns: between two looks the process may have been stopped."""
        looks: list[tuple[int, int]] = []
        for _ in range(READS):
            before_ns = ns_of(self._clock.monotonic_s())
            wall_ns = self._clock.now_ns()
            after_ns = ns_of(self._clock.monotonic_s())
            looks.append((after_ns - before_ns, wall_ns - (before_ns + after_ns) // 2))
        return min(looks)

    def _gps(self) -> _Reference | None:
        """What the last fixes agreed on: a fix can be late and never early, so the largest offset is the best."""
        now_s = self._clock.monotonic_s()
        with self._fixes_lock:
            fixes = list(self._fixes)
        offsets = [offset for at_s, offset in fixes if now_s - at_s <= FIXES_AGE_S_MAX]
        if len(offsets) == FIXES and max(offsets) - min(offsets) <= self._step_ns:
            self._fixed = now_s, max(offsets)
        if self._fixed is None or now_s - self._fixed[0] > FIX_HOLDS_S:
            return None
        return _Reference(self._fixed[1], FIX_FOLLOW_NS)

    def _count_sleep(self) -> None:
        slept_ns = self._slept_ns()
        by_ns = slept_ns - self._slept_seen_ns
        if by_ns < FOLLOW_NS:
            return
        self._slept_seen_ns = slept_ns
        line = self.timeline
        self.timeline = Timeline(line.number, line.tie.jumped(ns_of(self._clock.monotonic_s()), by_ns))
        with self._fixes_lock:
            self._fixes.clear()
        if self._fixed is not None:
            self._fixed = self._fixed[0], self._fixed[1] + by_ns


@dataclass(frozen=True, slots=True)
class Taken:
    """Of the readings that a source hands over: whether it stamped them, and what brings them into the epoch of now.

    Times that a source did not stamp are its data's own, and right or wrong by themselves: they are neither held
    back nor shifted.
    """

    was_used: bool
    shift_ns: int = 0


class View:
    """A source's own stamp (`edge.sources.Stamp`): a new epoch begins in it when its readings are handed over."""

    def __init__(self, stamper: Stamper, clock: Clock) -> None:
        self._stamper = stamper
        self._clock = clock
        self._line = stamper.timeline
        self._was_used = False

    def now_ns(self) -> int:
        """UTC nanoseconds for a reading taken now."""
        return self.at_ns(self._clock.monotonic_s())

    def at_ns(self, monotonic_s: float) -> int:
        """UTC nanoseconds of a moment of `Clock.monotonic_s`."""
        self._was_used = True
        line = self._stamper.timeline
        if line.number == self._line.number:
            self._line = line
        return self._line.stamp_ns(monotonic_s)

    def utc_is(self, utc_ns: int, monotonic_s: float) -> None:
        """See `Stamper`."""
        self._stamper.utc_is(utc_ns, monotonic_s)

    def take(self) -> Taken:
        """Tell of the readings stamped since the last call, and go over to the epoch of now.

        To be called where a source's readings enter the batcher, with no wait in between.
        """
        line, before, was_used = self._stamper.timeline, self._line, self._was_used
        self._line, self._was_used = line, False
        if not was_used or line.number == before.number:
            return Taken(was_used)
        mono_ns = ns_of(self._clock.monotonic_s())
        return Taken(was_used, line.tie.offset_ns(mono_ns) - before.tie.offset_ns(mono_ns))
