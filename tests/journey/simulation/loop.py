"""An event loop that never waits: when nothing is left to do, its manual clock jumps to the next timer.

Every deadline and every sleep of the code under test passes in simulated time; nothing of the machine's speed is in
the result.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from telemetry.clock import ManualClock

T = TypeVar("T")
WAIT_S_MIN = 1e-6


class Stuck(Exception):
    """Everybody waits and no timer is set: the world would stand still for ever."""


class DrivenClock(ManualClock):
    """A manual clock that the loop moves; its sleepers are the loop's own timers."""

    async def sleep(self, wait_s: float) -> None:
        # a wait below the loop's resolution would be over at once without the clock having moved, for ever
        await asyncio.sleep(max(WAIT_S_MIN, wait_s) if wait_s > 0 else 0)

    def move(self, by_s: float) -> None:
        self._move_to(self._mono_s + by_s)


class _Selector(selectors.SelectSelector):
    """Has no sockets to look at: to be asked to wait is to be told how far the next timer is."""

    def __init__(self, clock: DrivenClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck
        if timeout > 0:
            self._clock.move(timeout)
        return []


class DrivenLoop(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self, clock: DrivenClock) -> None:
        self._driven = clock
        super().__init__(_Selector(clock))

    def time(self) -> float:
        return self._driven.monotonic_s()


def run(main: Callable[[DrivenClock], Coroutine[Any, Any, T]]) -> T:
    """Run to the end, in no time."""
    clock = DrivenClock()
    with asyncio.Runner(loop_factory=lambda: DrivenLoop(clock)) as runner:
        return runner.run(main(clock))
