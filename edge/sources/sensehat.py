"""Raspberry Pi's Sense HAT, through its own library: motion, and the air around it.

The library rests on RTIMULib, which exists as a Debian package only; so it is no extra of ours.  It reads the motion
sensors one call a time and sleeps in between, so tens of readings a second are the most.  Its calls block: they are
made in a thread.  Its temperature is that of the board, some degrees above the room's.
Delivery: one reading a tick; ticks that a busy machine missed are counted as lost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import Field

from edge.sources import Context, Options, Outlet, SourceFailed, driver
from edge.sources._axes import Axes, columns
from edge.sources._blocking import in_thread
from edge.sources._checked import checked
from edge.sources._imu import STANDARD_GRAVITY
from edge.sources._ticks import Ticks
from telemetry.batch import Series
from telemetry.errors import Misconfigured

PUT_S = 0.5  # ticks of this long are handed over at once

_AIR: Mapping[str, tuple[str, str]] = {  # sensor: its field, the library's method (Celsius, percent, millibar = hPa)
    "temperature": ("celsius", "get_temperature"),
    "humidity": ("relative", "get_humidity"),
    "barometer": ("pressure", "get_pressure"),
}
_VECTORS: Mapping[str, tuple[str, float]] = {  # sensor: the library's method, its unit (g, rad/s, uT)
    "acceleration": ("get_accelerometer_raw", STANDARD_GRAVITY),
    "gyroscope": ("get_gyroscope_raw", 1.0),
    "magnetometer": ("get_compass_raw", 1.0),
}
SENSORS = len(_VECTORS) + 1  # and the orientation


class Config(Options):
    """Options of `sensehat`."""

    rate_hz: float = Field(10.0, gt=0, le=25, description="of the motion sensors")
    every_s: float = Field(10.0, gt=0, le=86_400, description="between readings of the air")
    motion: bool = True
    air: bool = True
    axes: Axes = ("x", "y", "z")


@dataclass
class _Motion:
    """Readings of some ticks: times, vectors by sensor, angles."""

    t: list[int] = field(default_factory=list)
    vectors: dict[str, list[list[float]]] = field(default_factory=lambda: {s: [] for s in _VECTORS})
    angles: dict[str, list[float]] = field(default_factory=lambda: {"pitch": [], "roll": [], "yaw": []})


class SenseHat:
    """The source."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config, self._context = config, context
        self._library = context.extras.get("sense_hat") or _library()
        self._hat: Any = None
        self._motion = _Motion()

    async def run(self, outlet: Outlet) -> None:
        """Hand over readings until cancelled."""
        clock, config = self._context.clock, self._config
        ticks = Ticks(clock, 1 / config.rate_hz if config.motion else config.every_s)
        air_due_s = put_due_s = clock.monotonic_s()
        try:
            await in_thread(self._opened)
            while True:
                missed = await ticks.wait()
                now_s = clock.monotonic_s()
                if config.motion:
                    _count(outlet, missed, "too_slow")
                    await in_thread(self._read_motion)
                if config.air and now_s >= air_due_s:
                    air_due_s = now_s + config.every_s - 0.5 / config.rate_hz  # within half a tick it is due
                    await self._hand_over_air(outlet)
                if config.motion and now_s >= put_due_s:
                    put_due_s = now_s + PUT_S
                    await outlet.put(self._taken())
        finally:
            _count(outlet, len(self._motion.t), "stopped")
            self._hat, self._motion = None, _Motion()

    async def check(self) -> str:
        """The air as it reads it now."""
        try:
            await in_thread(self._opened)
            air = await in_thread(self._air)
        finally:
            self._hat = None
        return "Sense HAT, " + ", ".join(f"{sensor} {value:.1f}" for sensor, value in air.items())

    async def _hand_over_air(self, outlet: Outlet) -> None:
        now_ns = self._context.stamp.now_ns()
        series: list[Series] = []
        for sensor, value in (await in_thread(self._air)).items():
            cleaned = checked(sensor, now_ns, {_AIR[sensor][0]: value})
            outlet.set_aside(cleaned.bad)
            series += cleaned.series
        if series:
            await outlet.put(series)

    def _opened(self) -> None:
        try:
            self._hat = self._library.SenseHat()
        except OSError as e:  # what the library raises when it finds no chip
            raise SourceFailed(f"no Sense HAT found: {e}") from e

    def _call(self, method: str) -> Any:
        call: Callable[[], Any] = getattr(self._hat, method)
        return call()

    def _air(self) -> dict[str, float]:
        """By sensor.  The barometer says 0 until it has measured once."""
        read = {sensor: float(self._call(method)) for sensor, (_, method) in _AIR.items()}
        return {sensor: value for sensor, value in read.items() if (sensor, value) != ("barometer", 0.0)}

    def _read_motion(self) -> None:
        motion = self._motion
        t = self._context.stamp.now_ns()
        vectors = {sensor: self._call(method) for sensor, (method, _) in _VECTORS.items()}
        angles = self._call("get_orientation_radians")
        motion.t.append(t)
        for sensor, vector in vectors.items():
            motion.vectors[sensor].append([float(vector[axis]) for axis in "xyz"])
        for angle, values in motion.angles.items():
            values.append(float(angles[angle]))

    def _taken(self) -> list[Series]:
        motion, self._motion = self._motion, _Motion()
        series = [
            Series.of(sensor, motion.t, dict(columns(np.array(rows), self._config.axes, _VECTORS[sensor][1])))
            for sensor, rows in motion.vectors.items()
        ]
        return [*series, Series.of("orientation", motion.t, motion.angles)]


def _count(outlet: Outlet, ticks: int, reason: str) -> None:
    if ticks:
        outlet.lost(ticks * SENSORS, reason)


def _library() -> Any:
    try:
        return driver("sense_hat", "edge")
    except Misconfigured as e:
        raise Misconfigured(
            "the Sense HAT's library is not installed: apt-get install sense-hat "
            "(and make the virtual environment with --system-site-packages)"
        ) from e


def open(config: Config, context: Context) -> SenseHat:  # noqa: A001 - the port's word
    """The source; raises `Misconfigured` without the library."""
    return SenseHat(config, context)
