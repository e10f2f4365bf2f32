"""Sources' readings -> batcher -> spool: one writer, so that a source which is cancelled or hangs loses nothing.

A source waits while `DUE_MAX` cuts are not yet taken by the spool (which is where `on_full = block` is felt).  A
cursor goes to the spool with the cut that holds the last of its readings, in one transaction.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from edge.batcher import Batcher, Cut, CutLimits
from edge.spooled import Epoch
from edge.waiting import until
from telemetry.batch import Series
from telemetry.clock import Clock

logger = logging.getLogger(__name__)

DUE_MAX = 4  # each is at most what one append can bring, and a batch


class Basin(Protocol):
    """What is needed of the spool."""

    async def put(
        self, cuts: Sequence[Cut], *, epoch: Epoch, cursors: Mapping[str, str] = ..., draft: bool = False
    ) -> None:
        """See `Spool.put`."""
        ...


@dataclass(frozen=True, slots=True)
class Stamping:
    """The clock that stamps readings now; `draft`: it has not been set yet."""

    epoch: Epoch
    draft: bool


class Pump:
    """`put` from any number of sources; `run` writes."""

    def __init__(self, spool: Basin, clock: Clock, limits: CutLimits, stamping: Callable[[], Stamping]) -> None:
        self._spool = spool
        self._clock = clock
        self._batcher = Batcher(limits)
        self._stamping = stamping
        self._cursors: dict[str, str] = {}  # of readings that are in the batcher, by source
        self._due: deque[Callable[[], Awaitable[None]]] = deque()
        self._woken = asyncio.Event()  # for the writer: there is something, or it is due at another time
        self._moved = asyncio.Event()  # for those who wait: something was written

    async def put(self, source: str, series: Sequence[Series], cursor: str | None) -> None:
        """Take these; waits while the spool does not keep up."""
        while len(self._due) >= DUE_MAX:
            await self._wait_moved()
        now_s = self._clock.monotonic_s()
        was_empty = self._is_empty
        cuts: list[Cut] = []
        is_partly_cut = False
        for n, one in enumerate(series):
            made = self._batcher.append(one, now_s)
            cuts += made
            is_partly_cut = is_partly_cut or bool(made and (n > 0 or self._is_empty))
        if cursor is not None and is_partly_cut:  # the rest goes along, or a crash would have these read again
            cuts += self._batcher.flush()
        is_whole = self._is_empty
        if cursor is not None and is_whole:
            self._cursors[source] = cursor
        if cuts or (is_whole and self._cursors):
            self._cut(cuts)
        if cursor is not None and not is_whole:
            self._cursors[source] = cursor
        if was_empty and not is_whole:
            self._woken.set()

    def set_period(self, period_s: float) -> None:
        """Cut after this long from now on."""
        self._batcher.limits = replace(self._batcher.limits, period_s=period_s)
        self._woken.set()

    def then(self, step: Callable[[], Awaitable[None]], stamping: Stamping | None = None) -> None:
        """Cut what is here, as stamped by `stamping` (the present one unless given), and do `step` behind it.

        For what must stand between readings: a new session, the end of the drafts.
        """
        self._flush(stamping)
        self._push(step)

    async def flush(self) -> None:
        """Returns when the spool has taken all that was put."""
        self._flush(None)
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
            due_s = self._batcher.due_s
            if due_s is None:
                await self._woken.wait()
            elif due_s <= self._clock.monotonic_s():
                self._flush(None)
            else:
                await until(self._woken, self._clock, due_s - self._clock.monotonic_s())

    @property
    def backlog(self) -> int:
        """Cuts that the spool has not taken yet."""
        return len(self._due)

    @property
    def _is_empty(self) -> bool:
        return self._batcher.due_s is None

    def _flush(self, stamping: Stamping | None) -> None:
        cuts = self._batcher.flush()
        if cuts or self._cursors:
            self._cut(cuts, stamping)

    def _cut(self, cuts: Sequence[Cut], stamping: Stamping | None = None) -> None:
        """Whatever the batcher held when these were cut is in them: so are the readings of all cursors here."""
        now = stamping or self._stamping()
        cursors, self._cursors = self._cursors, {}

        async def write() -> None:
            await self._spool.put(cuts, epoch=now.epoch, cursors=cursors, draft=now.draft)

        self._push(write)

    def _push(self, step: Callable[[], Awaitable[None]]) -> None:
        self._due.append(step)
        self._woken.set()

    async def _wait_moved(self) -> None:
        self._moved.clear()
        await self._moved.wait()
