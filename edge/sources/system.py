"""The machine itself, through psutil: processor temperature, load, memory and disk.  Works anywhere.

What a machine does not tell (most have no temperature to read) is absent.  Delivery: one reading a period; nothing is
made up for periods in which the machine slept.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from edge.sources import Context, Options, Outlet, driver
from edge.sources._blocking import in_thread
from edge.sources._ticks import Ticks
from telemetry.batch import Series
from telemetry.reading import CATALOGUE

# psutil's names of the kernel's drivers: Raspberry Pi, other ARM boards, Intel, AMD
CPU_DRIVERS = ("cpu_thermal", "cpu-thermal", "soc_thermal", "coretemp", "k10temp", "zenpower")
CELSIUS = CATALOGUE["system"].by_name["cpu_temperature"]


class Config(Options):
    """Options of `system`."""

    every_s: float = Field(10.0, ge=0.1, le=86_400)
    disk: Path = Field(Path("/"), description="which file system's use is told")


class System:
    """The source."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config, self._context = config, context
        self._psutil: Any = context.extras.get("psutil") or driver("psutil", "edge")

    async def run(self, outlet: Outlet) -> None:
        """A reading a period, the first at once."""
        ticks = Ticks(self._context.clock, self._config.every_s)
        while True:
            await ticks.wait()
            values = await in_thread(self._values)
            columns = {name: [value] for name, value in values.items() if value is not None}
            if columns:
                await outlet.put([Series.of("system", [self._context.stamp.now_ns()], columns)])

    async def check(self) -> str:
        """What it says now."""
        values = await in_thread(self._values)
        told = {name: f"{value:.3g}" for name, value in values.items() if value is not None}
        return ", ".join(f"{name} {text}" for name, text in told.items()) or "this machine tells nothing"

    def _values(self) -> Mapping[str, float | None]:
        """`load`: of the last minute, processes a core; memory and disk as parts of the whole."""
        return {
            "cpu_temperature": self._celsius(),
            "load": self._psutil.getloadavg()[0] / (os.cpu_count() or 1),
            "memory_used": self._psutil.virtual_memory().percent / 100,
            "disk_used": self._psutil.disk_usage(str(self._context.folder / self._config.disk)).percent / 100,
        }

    def _celsius(self) -> float | None:
        try:
            read = self._psutil.sensors_temperatures()
        except (AttributeError, OSError):  # psutil has it on Linux and FreeBSD only; a driver may refuse
            return None
        for name in CPU_DRIVERS:
            if found := [one.current for one in read.get(name, ()) if CELSIUS.low <= one.current <= CELSIUS.high]:
                return float(max(found))  # a driver may say nonsense
        return None


def open(config: Config, context: Context) -> System:  # noqa: A001 - the port's word
    """The source."""
    return System(config, context)
