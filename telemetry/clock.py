"""Time behind a port, so that a seeded simulation can drive everything that waits."""

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for stamping, monotonic time for measuring, sleep for waiting."""

    def now_ns(self) -> int:
        """Wall time, integer UTC nanoseconds."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, wait_s: float) -> None:
        """Wait this many seconds."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        """Wall time, integer UTC nanoseconds."""
        return time.time_ns()

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, wait_s: float) -> None:
        """Wait this many seconds."""
        await asyncio.sleep(wait_s)


class ManualClock:
    """A clock that moves only when told: `advance` wakes sleepers in the order of their time."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._wall_ns = start_ns
        self._mono_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._tie = itertools.count()

    def now_ns(self) -> int:
        """Wall time, integer UTC nanoseconds."""
        return self._wall_ns

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return self._mono_s

    def step_wall(self, by_ns: int) -> None:
        """Set the wall clock forward or back; monotonic time does not notice."""
        self._wall_ns += by_ns

    async def sleep(self, wait_s: float) -> None:
        """Wait until `advance` has passed this many seconds."""
        if wait_s <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._mono_s + wait_s, next(self._tie), future))
        await future

    @property
    def next_wake_s(self) -> float | None:
        """Monotonic time of the earliest sleeper, or None when nobody sleeps."""
        return self._sleepers[0][0] if self._sleepers else None

    async def advance(self, by_s: float) -> None:
        """Move both clocks and let everything that became due run."""
        target = self._mono_s + by_s
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, future = heapq.heappop(self._sleepers)
            self._move_to(due)
            if not future.done():
                future.set_result(None)
            for _ in range(10):
                await asyncio.sleep(0)
        self._move_to(target)

    def _move_to(self, mono_s: float) -> None:
        self._wall_ns += round((mono_s - self._mono_s) * 1e9)
        self._mono_s = max(self._mono_s, mono_s)
