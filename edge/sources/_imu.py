"""Accelerometer and gyroscope chips with a FIFO: drained a few times a second, so that 100 Hz costs next to nothing.

The chip samples by its own clock and keeps the samples; we ask how many there are and take them in one long transfer.
A chip's file says how that is done (`Chip`); this one holds what is the same for all: when to drain, what time each
sample gets, and what to do when the FIFO ran over, the bus failed, or the chip lost its power.

Delivery: what the chip's FIFO held is handed over once; what it could not hold is counted as lost.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edge.sources import Context, Options, Outlet, SourceFailed, driver
from edge.sources._axes import Axes, columns
from edge.sources._blocking import in_thread
from edge.sources._i2c import Bus, is_absent
from edge.sources._sample_clock import SampleClock
from telemetry.batch import Series
from telemetry.clock import Clock

DRAIN_S = 0.25
FIFO_PART_MAX = 0.4  # drained when this full at the latest: the rest is for a busy machine
FAILURES_MAX = 5  # transfers that fail in a row, before the source gives up and is started again
SILENCE_SAMPLES = 3  # that should be there and are not: has the chip lost its settings?
SILENCE_S_MAX = 3.0

STANDARD_GRAVITY = 9.80665  # m/s2, CGPM 1901
RAD_PER_DEGREE = math.pi / 180

Counts = npt.NDArray[np.int16]


class ImuOptions(Options):
    """What every such chip has."""

    bus: int | str = Field(1, description="number of the I2C bus, or its device file")
    axes: Axes = ("x", "y", "z")
    temperature_every_s: float = Field(0, ge=0, le=86_400, description="of the chip itself, not of the air; 0 = never")


@dataclass(frozen=True, slots=True)
class Drained:
    """Samples by sensor, (n, 3) counts each, and between which moments the FIFO said how many there were."""

    asked_s: float
    answered_s: float
    rows: Mapping[str, Counts]
    broken: str = ""  # why these samples are no use and the FIFO must be emptied, e.g. "fifo_overflow"


class Chip(Protocol):
    """One chip on its bus.  Every method blocks; raises `OSError`."""

    name: str
    period_s: float  # nominal
    fifo_samples: int  # readings of one sensor that it holds
    units: Mapping[str, float]  # by sensor: one count in the catalogue's unit
    reset_s: float
    settle_s: float

    def reset(self) -> None:
        """Back to the defaults; takes `reset_s`."""
        ...

    def configure(self) -> None:
        """Range, rate and FIFO; the values are good after `settle_s`."""
        ...

    def is_configured(self) -> bool:
        """False when it forgot (it was without power)."""
        ...

    def empty(self) -> None:
        """Empty the FIFO and let it fill."""
        ...

    def drain(self, clock: Clock) -> Drained:
        """Take what the FIFO holds."""
        ...

    def celsius(self) -> float:
        """Its own temperature."""
        ...


class Imu:
    """A source over one `Chip`; `identify` finds it on an opened bus and raises `SourceFailed` when it is another."""

    def __init__(self, config: ImuOptions, context: Context, identify: Callable[[Bus], Chip]) -> None:
        driver("smbus2", "i2c")  # a missing library is told at once
        self._config = config
        self._context = context
        self._identify = identify
        self._bus: Bus | None = None
        self._clocks: dict[str, SampleClock] = {}
        self._failures = 0
        self._broken = ""
        self._heard_s = 0.0
        self._temperature_due_s = 0.0

    async def run(self, outlet: Outlet) -> None:
        """Hand over samples for ever."""
        clock = self._context.clock
        try:
            chip = await in_thread(self._found)
            await self._start(chip)
            wait_s = min(DRAIN_S, FIFO_PART_MAX * chip.fifo_samples * chip.period_s)
            while True:
                await clock.sleep(wait_s)
                await self._turn(chip, outlet)
        finally:
            await in_thread(self._close)

    async def check(self) -> str:
        """Which chip answers, and what it reads now."""
        clock = self._context.clock
        try:
            chip = await in_thread(self._found)
            await self._start(chip)
            await clock.sleep(max(DRAIN_S, 2 * chip.period_s))
            drained = await in_thread(chip.drain, clock)
        finally:
            await in_thread(self._close)
        means = {s: np.abs(rows.mean(axis=0) * chip.units[s]) for s, rows in drained.rows.items() if len(rows)}
        if "acceleration" not in means:
            raise SourceFailed(f"{chip.name} answers, but gives no samples")
        size = float(np.linalg.norm(means["acceleration"]))
        return f"{chip.name}, {1 / chip.period_s:g} Hz, acceleration {size:.2f} m/s2 (9.81 at rest)"

    def _found(self) -> Chip:
        self._bus = Bus(self._config.bus, self._context)
        return self._identify(self._bus)

    def _close(self) -> None:
        if self._bus is not None:
            self._bus.close()
            self._bus = None

    async def _start(self, chip: Chip) -> int:
        """Readings that were missed until it runs."""
        clock = self._context.clock
        await in_thread(chip.reset)
        await clock.sleep(chip.reset_s)
        await in_thread(chip.configure)
        await clock.sleep(chip.settle_s)
        return await in_thread(self._empty, chip)

    def _empty(self, chip: Chip) -> int:
        """Readings that were missed until the FIFO fills anew."""
        chip.empty()
        missing = self._missing()
        now_s = self._context.clock.monotonic_s()
        for sensor in chip.units:
            self._clocks.setdefault(sensor, SampleClock(chip.period_s)).start(now_s)
        self._heard_s = now_s
        self._broken = ""
        return missing

    async def _turn(self, chip: Chip, outlet: Outlet) -> None:
        try:
            if self._broken:
                await self._begin_again(chip, outlet, self._broken)
                return
            drained = await in_thread(chip.drain, self._context.clock)
            self._failures = 0
            self._broken = drained.broken
            if self._broken:
                await self._begin_again(chip, outlet, self._broken)
                return
            await self._hand_over(chip, drained, outlet)
            await self._listen(chip, outlet)
        except OSError as e:
            self._failed(chip, outlet, e)

    def _failed(self, chip: Chip, outlet: Outlet, error: OSError) -> None:
        """A transfer broke off: how many of the FIFO's bytes went with it is not known."""
        self._failures += 1
        self._broken = self._broken or "bus_error"
        if self._failures >= FAILURES_MAX:
            outlet.lost(self._missing(), "bus_error")
            raise SourceFailed(f"{chip.name}: {self._failures} transfers failed in a row: {error}") from error

    async def _begin_again(self, chip: Chip, outlet: Outlet, reason: str) -> None:
        if await in_thread(chip.is_configured):
            outlet.lost(await in_thread(self._empty, chip), reason)
        else:  # it was without power: its registers are at their defaults
            outlet.lost(await self._start(chip), "power_lost")
        self._failures = 0

    async def _listen(self, chip: Chip, outlet: Outlet) -> None:
        """A chip that woke up with its defaults says nothing of it: it just gives no samples."""
        quiet_s = self._context.clock.monotonic_s() - self._heard_s
        if quiet_s <= SILENCE_SAMPLES * chip.period_s:
            return
        if not await in_thread(chip.is_configured):
            outlet.lost(await self._start(chip), "power_lost")
        elif quiet_s > max(SILENCE_S_MAX, 10 * chip.period_s):
            raise SourceFailed(f"{chip.name} answers, but gives no samples")

    async def _hand_over(self, chip: Chip, drained: Drained, outlet: Outlet) -> None:
        series = [self._series(chip, sensor, rows, drained) for sensor, rows in drained.rows.items() if len(rows)]
        if series:
            self._heard_s = drained.answered_s
        if self._config.temperature_every_s and drained.asked_s >= self._temperature_due_s:
            self._temperature_due_s = drained.asked_s + self._config.temperature_every_s
            celsius = await in_thread(chip.celsius)
            series.append(Series.of("temperature", [self._context.stamp.now_ns()], {"celsius": [celsius]}))
        if series:
            await outlet.put(series)

    def _series(self, chip: Chip, sensor: str, rows: Counts, drained: Drained) -> Series:
        times_s = self._clocks[sensor].drained(len(rows), drained.asked_s, drained.answered_s)
        newest_s = float(times_s[-1])
        times = self._context.stamp.at_ns(newest_s) - np.rint((newest_s - times_s) * 1e9).astype(np.int64)
        return Series.of(sensor, times, dict(columns(rows, self._config.axes, chip.units[sensor])))

    def _missing(self) -> int:
        now_s = self._context.clock.monotonic_s()
        return sum(clock.missing(now_s) for clock in self._clocks.values())


def answered(bus: Bus, address: int, register: int, names: Mapping[int, Any], what: str) -> int:
    """The chip's identity; raises `SourceFailed` when nobody answers or the identity is not one of `names`."""
    try:
        [(identity,)] = bus.read(address, (register, 1))
    except OSError as e:
        if is_absent(e):
            raise SourceFailed(
                f"nothing answers at 0x{address:02x}: check the wiring, or set `address` (i2cdetect -y 1)"
            ) from e
        raise SourceFailed(f"0x{address:02x}: {e}") from e
    if identity not in names:
        known = ", ".join(f"0x{i:02x}" for i in sorted(names))
        raise SourceFailed(f"the chip at 0x{address:02x} says it is 0x{identity:02x}; {what} says {known}")
    return int(identity)
