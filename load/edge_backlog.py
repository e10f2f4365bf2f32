"""A backlog for the edge's bench: hours of three 100 Hz sensors, written through the real spool as an outage leaves it.

Times and values are shaped as a chip's FIFO gives them: 16-bit counts of a moving device with the sensor's noise, a
drain four times a second, the chip's rate measured anew at each.  No two batches are the same.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.batcher import Cut, CutLimits
from edge.settings import SpoolSettings
from edge.spool import Spool
from edge.spooled import Epoch
from telemetry import wire
from telemetry.batch import Batch, Series
from telemetry.clock import ManualClock

RATE_HZ = 100
SENSORS = ("acceleration", "gyroscope", "magnetometer")
UNIT = {"acceleration": 4 / 32768 * 9.80665, "gyroscope": np.radians(1 / 65.5), "magnetometer": 0.15}
LOUD = {"acceleration": 300, "gyroscope": 60, "magnetometer": 4}  # counts of noise and movement
SLOW = {"acceleration": 2000, "gyroscope": 500, "magnetometer": 200}
TABLE_S = 997  # of noise; after that it comes again, at another place of the slow movement
DRAINS_A_SECOND = 4
BATCHES_A_COMMIT = 500

Counts = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What was built; `canonical_bytes` are those that are sent (before zstd), `file_bytes` those on disk."""

    hours: float
    batches: int
    readings: int
    canonical_bytes: int
    file_bytes: int
    took_s: float


def counts(sensor: str, seconds: int, seed: int) -> Counts:
    """(100 x seconds, 3) counts of one sensor."""
    rng = np.random.default_rng([seed, SENSORS.index(sensor)])
    at = np.arange(seconds * RATE_HZ)[:, None] / RATE_HZ
    slow = SLOW[sensor] * np.sin(at * np.array([0.61, 0.37, 0.23]) + np.arange(3))
    return np.rint(slow + rng.normal(0, LOUD[sensor], (len(at), 3))).astype(np.int16)


def cuts(first_ns: int, batches: int, seed: int = 1) -> Iterator[Cut]:
    """One cut a second."""
    tables = {sensor: counts(sensor, TABLE_S, seed) for sensor in SENSORS}
    rng = np.random.default_rng(seed)
    samples = RATE_HZ // DRAINS_A_SECOND
    for n in range(batches):
        start = n % TABLE_S * RATE_HZ
        turn = n // TABLE_S
        series = []
        for sensor, table in tables.items():
            ends = np.arange(1, DRAINS_A_SECOND + 1) * 1e9 / DRAINS_A_SECOND + rng.uniform(-2e5, 2e5, DRAINS_A_SECOND)
            steps = np.diff(ends, prepend=0)[:, None] * np.arange(1, samples + 1) / samples
            within = np.rint(steps + np.concatenate(([0], ends[:-1]))[:, None]).astype(np.int64).ravel()
            rows = (table[start : start + RATE_HZ] + np.int16(turn)) * UNIT[sensor]
            values = {axis: rows[:, i] for i, axis in enumerate("xyz")}
            series.append(Series.of(sensor, first_ns + n * 10**9 + within, values))
        yield tuple(series)


async def build(folder: Path, hours: float, device: str) -> Backlog:
    """Fill the spool in `folder`; its session began `hours` ago and ends now.  Synced once, at the end."""
    began_s = time.perf_counter()
    batches = max(1, round(hours * 3600))
    first_ns = time.time_ns() - batches * 10**9
    clock, epoch = ManualClock(first_ns), Epoch("bench", 0, synchronised=True)
    spool = await Spool.open(
        folder,
        SpoolSettings(),
        device=device,
        clock=clock,
        limits=CutLimits(),
        epoch=epoch,
        inline=True,
        synchronous="OFF",
    )
    canonical_bytes = 0
    for n, cut in enumerate(cuts(first_ns, batches)):
        await clock.advance(1.0)
        await spool.put([cut], epoch=epoch)
        if n % BATCHES_A_COMMIT == 0:
            canonical_bytes += BATCHES_A_COMMIT * len(wire.encode(Batch(device, spool.session, n, cut)))
            await spool.commit()
    await spool.close()
    depth = spool.depth()
    if depth.dropped or depth.batches != batches:
        raise SystemExit(f"the backlog did not fit: {depth}")
    size = (folder / "spool.db").stat().st_size
    canonical = round(canonical_bytes * batches / (-(-batches // BATCHES_A_COMMIT) * BATCHES_A_COMMIT))
    return Backlog(hours, batches, depth.readings, canonical, size, round(time.perf_counter() - began_s, 1))


if __name__ == "__main__":
    import sys

    print(asyncio.run(build(Path(sys.argv[1]), float(sys.argv[2]), "pi")))
