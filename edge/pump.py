"""Sources' readings -> batches -> spool: one writer, so that a source which is cancelled or hangs loses nothing.

A source waits while `DUE_MAX` parcels are not yet taken by the spool: that is how `on_full = block` reaches it.
Until the clock has been set, readings that were stamped by it are gathered apart, as drafts.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from edge.batcher import Cut, CutLimits
from edge.gathering import Gathered, Gathering
from edge.spooled import Epoch
from edge.timing.stamping import Taken
from edge.waiting import until
from telemetry.batch import Series
from telemetry.clock import Clock

DUE_MAX = 4  # parcels; each is at most what one put and one batch bring


class Basin(Protocol):
    """What is needed of the spool."""

    async def put(
        self, cuts: Sequence[Cut], *, epoch: Epoch, cursors: Mapping[str, str] = ..., draft: bool = False
    ) -> None:
        """See `Spool.put`."""
        ...


@dataclass(frozen=True, slots=True)
class Stamping:
    """The clock that stamps readings now, and whether what it stamps is held back."""

    epoch: Epoch
    is_holding: bool


class Pump:
    """`put` from any number of sources; `run` writes."""

    def __init__(self, spool: Basin, clock: Clock, limits: CutLimits, stamping: Callable[[], Stamping]) -> None:
        self._spool = spool
        self._clock = clock
        self._stamping = stamping
        self._plain = Gathering(limits)
        self._drafts = Gathering(limits)
        self._drafted: set[str] = set()  # sources with drafts: all of their readings stay in one order
        self._due: deque[Callable[[], Awaitable[None]]] = deque()
        self._woken = asyncio.Event()  # the writer: there is something, or it is due at another time
        self._moved = asyncio.Event()  # those who wait: something was written

    async def put(
        self,
        source: str,
        series: Sequence[Series],
        cursor: str | None,
        take: Callable[[], Taken] = lambda: Taken(False),
    ) -> None:
        """Take these; waits while the spool does not keep up.  `take` is asked when they enter: see `View.take`."""
        while len(self._due) >= DUE_MAX:
            await self._wait_moved()
        taken, stamping = take(), self._stamping()
        if taken.shift_ns:
            series = [replace(s, t=s.t + taken.shift_ns) for s in series]
        draft = stamping.is_holding and (taken.was_used or source in self._drafted)
        if draft and source not in self._drafted:
            self._drafted.add(source)
            self._write(self._plain.flush(), stamping.epoch, draft=False)
        gathering = self._drafts if draft else self._plain
        was_due_s = gathering.due_s
        self._write(gathering.append(source, series, cursor, self._clock.monotonic_s()), stamping.epoch, draft=draft)
        if gathering.due_s != was_due_s:
            self._woken.set()

    def set_period(self, period_s: float) -> None:
        """Cut after this long from now on."""
        self._plain.set_period(period_s)
        self._drafts.set_period(period_s)
        self._woken.set()

    def then(self, step: Callable[[], Awaitable[None]], epoch: Epoch) -> None:
        """Cut what is here, as `epoch` stamped it, and do `step` behind it; what comes later comes after.

        For what must stand between readings: a new session, the end of the drafts.
        """
        self._flush(epoch)
        self._drafted.clear()
        self._push(step)

    async def flush(self) -> None:
        """Returns when the spool has taken all that was put."""
        self._flush(self._stamping().epoch)
        while self._due:
            await self._wait_moved()

    async def run(self) -> None:
        """Write for ever; raises what the spool raises."""
        while True:
            self._woken.clear()
            if self._due:
                await self._due[0]()
                self._due.popleft()
                self._moved.set()
                continue
            due_s = min((g.due_s for g in (self._plain, self._drafts) if g.due_s is not None), default=None)
            if due_s is None:
                await self._woken.wait()
            elif due_s <= self._clock.monotonic_s():
                self._flush(self._stamping().epoch)
            else:
                await until(self._woken, self._clock, due_s - self._clock.monotonic_s())

    @property
    def waiting(self) -> int:
        """Parcels that the spool has not taken yet."""
        return len(self._due)

    def _flush(self, epoch: Epoch) -> None:
        self._write(self._drafts.flush(), epoch, draft=True)
        self._write(self._plain.flush(), epoch, draft=False)

    def _write(self, gathered: Gathered | None, epoch: Epoch, *, draft: bool) -> None:
        if gathered is None:
            return

        async def write() -> None:
            await self._spool.put(gathered.cuts, epoch=epoch, cursors=gathered.cursors, draft=draft)

        self._push(write)

    def _push(self, step: Callable[[], Awaitable[None]]) -> None:
        self._due.append(step)
        self._woken.set()

    async def _wait_moved(self) -> None:
        self._moved.clear()
        await self._moved.wait()
