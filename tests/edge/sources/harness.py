"""A source under test: an outlet that keeps what it is given, a stamp over the test's clock, a clock that is driven."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.sources import Bad, Context, Source
from telemetry.batch import Series
from telemetry.clock import Clock, ManualClock, SystemClock

DEADLINE_S = 20.0


@dataclass
class Kept:
    """An outlet."""

    series: list[Series] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    losses: Counter[str] = field(default_factory=Counter)
    cursors: list[str] = field(default_factory=list)
    puts: int = 0
    by_put: list[Sequence[Series]] = field(default_factory=list)

    async def put(self, series: Sequence[Series], *, cursor: str | None = None) -> None:
        self.puts += 1
        self.by_put.append(series)
        self.series += series
        if cursor is not None:
            self.cursors.append(cursor)

    def set_aside(self, rows: Sequence[Bad]) -> None:
        self.bad += rows

    def lost(self, readings: int, reason: str) -> None:
        self.losses[reason] += readings

    def times(self, sensor: str) -> np.ndarray:
        """(n,) of all that the sensor gave, in order."""
        return np.concatenate([s.t for s in self.series if s.sensor == sensor] or [np.empty(0, np.int64)])

    def column(self, sensor: str, name: str) -> np.ndarray:
        """(n,) NaN where a series lacks the field."""
        parts = [s.values.get(name, np.full(len(s), np.nan)) for s in self.series if s.sensor == sensor]
        return np.concatenate([np.asarray(p) for p in parts] or [np.empty(0)])

    def count(self, sensor: str) -> int:
        return sum(len(s) for s in self.series if s.sensor == sensor)


@dataclass
class ClockStamp:
    """Times of the test's clock; keeps what a GPS said."""

    clock: Clock
    told: list[tuple[int, float]] = field(default_factory=list)

    def now_ns(self) -> int:
        return self.clock.now_ns()

    def at_ns(self, monotonic_s: float) -> int:
        return self.clock.now_ns() + round((monotonic_s - self.clock.monotonic_s()) * 1e9)

    def utc_is(self, utc_ns: int, monotonic_s: float) -> None:
        self.told.append((utc_ns, monotonic_s))


def context(clock: Clock | None = None, folder: Path = Path(), **extras: Any) -> Context:
    """A source's context over this clock."""
    used = clock or SystemClock()
    return Context("test", used, ClockStamp(used), folder, extras=extras)


async def until(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Wait for the condition; a `TimeoutError` after the deadline."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.005)


class TestClock(ManualClock):
    """A manual clock that can also jump over the moments of its sleepers, as on a machine that was busy."""

    __test__ = False

    def jump(self, by_s: float) -> None:
        """Time passes and nobody is woken."""
        self._move_to(self._mono_s + by_s)

    def _move_to(self, mono_s: float) -> None:
        super()._move_to(max(mono_s, self._mono_s))


class Driven:
    """A source that runs on a `TestClock`: time passes only while it sleeps."""

    def __init__(self, source: Source, clock: TestClock) -> None:
        self.kept = Kept()
        self._clock = clock
        self.task = asyncio.create_task(source.run(self.kept))

    async def run_for(self, seconds: float) -> None:
        """Let this much time pass, each sleep of the source at its moment.  Raises what the source raised."""
        end_s = self._clock.monotonic_s() + seconds
        async with asyncio.timeout(DEADLINE_S):
            while await self._asleep():
                wake_s = self._clock.next_wake_s
                assert wake_s is not None
                if wake_s > end_s:
                    break
                await self._clock.advance(max(0.0, wake_s - self._clock.monotonic_s()))
        await self._clock.advance(end_s - self._clock.monotonic_s())

    async def busy_for(self, seconds: float) -> None:
        """The machine did not let the source run for so long."""
        await self._asleep()
        self._clock.jump(seconds)

    async def stop(self) -> None:
        """Cancel it and wait."""
        while self._clock.next_wake_s is None and not self.task.done():
            await asyncio.sleep(0.0002)
        self.task.cancel()
        await asyncio.wait([self.task])

    async def _asleep(self) -> bool:
        while self._clock.next_wake_s is None:
            if self.task.done():
                self.task.result()
                return False
            await asyncio.sleep(0.0002)
        return True
