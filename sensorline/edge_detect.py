"""What an edge could measure with: what is plugged into this machine and answers as a source expects it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from edge import opening
from edge.settings import SourceSettings
from edge.sources import Context
from sensorline.edge_file import Chosen
from telemetry.clock import SystemClock
from telemetry.errors import SensorlineError

GPSD = ("127.0.0.1", 2947)
TRY_WAIT_S = 4.0
DEV = Path("/dev")
SERIAL = ("serial0", "ttyACM*", "ttyUSB*")
PORTS_MAX = 8


class WallStamp:
    """Stamps of the wall clock: enough for a trial of a source."""

    def now_ns(self) -> int:
        """Now, UTC nanoseconds."""
        return SystemClock().now_ns()

    def at_ns(self, monotonic_s: float) -> int:
        """UTC nanoseconds of a moment of the monotonic clock."""
        clock = SystemClock()
        return clock.now_ns() + round((monotonic_s - clock.monotonic_s()) * 1e9)

    def utc_is(self, utc_ns: int, monotonic_s: float) -> None:
        """Not needed in a trial."""


async def detect(dev: Path = DEV) -> AsyncIterator[tuple[Chosen, str]]:
    """Sources that answered, each with what it said; what does not answer is passed over."""
    taken: set[object] = set()
    for found in candidates(dev):
        place = tuple(sorted((k, v) for k, v in found.options.items() if k in ("bus", "address", "port", "device")))
        if place in taken and place:
            continue
        said = await answers(found)
        if said is not None:
            taken.add(place)
            yield found, said


def candidates(dev: Path = DEV) -> Iterator[Chosen]:
    """What could be here, most telling first; names are unique."""
    yield Chosen("gps", "gpsd", remark="position and time of the gpsd on this machine")
    for bus in sorted(int(p.name.removeprefix("i2c-")) for p in dev.glob("i2c-*") if p.name[4:].isdigit()):
        for kind, addresses in (("mpu6050", (0x68, 0x69)), ("lsm6ds", (0x6A, 0x6B))):
            for address in addresses:
                options = {"bus": bus, "address": address}
                yield Chosen(f"imu-{bus}-{address:x}", kind, options, "accelerometer and gyroscope")
    ports = [p for pattern in SERIAL for p in sorted(dev.glob(pattern))][:PORTS_MAX]
    for port in ports:
        yield Chosen(f"gps-{port.name}", "nmea", {"port": str(port)}, "a GPS receiver on a serial port")


async def answers(source: Chosen) -> str | None:
    """What the source's own check says, None when it fails: not there, busy, no driver."""
    settings = SourceSettings.model_validate({"type": source.type, **source.options})
    context = Context(source.name, SystemClock(), WallStamp(), Path())
    try:
        async with asyncio.timeout(TRY_WAIT_S):
            return await opening.source(settings, context).check()
    except (SensorlineError, OSError, TimeoutError):
        return None
