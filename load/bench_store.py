"""What a store's write costs: CPU seconds a million readings, checkpoints and closing included, by flush size.

    .venv/bin/python load/bench_store.py --flush 1 40 100 400

The load is a phone's: batches of 500 readings, four sensors of x, y, z, accuracy and one orientation, 100 each, from
20 devices in turn.  Prints one JSON line a flush size; making the batches is not in the figures.
"""

import argparse
import asyncio
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from telemetry.batch import Batch, Series
from telemetry.ports import Item, Span, Store
from telemetry.stores import open_store

T0 = 1_760_000_000_000_000_000
SECOND = 10**9
AXES = ("x", "y", "z", "accuracy")
TURNS = ("pitch", "roll", "yaw", "qx", "qy", "qz", "qw")
FIELDS = {
    "acceleration": AXES,
    "gravity": AXES,
    "gyroscope": AXES,
    "magnetometer": AXES,
    "orientation": TURNS,
}


def items(batches: int, devices: int) -> list[Item]:
    """Batches of 500 readings of one second each; values wander as a carried phone's do."""
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.normal(0, 0.05, (len(AXES + TURNS), 100 * batches)), axis=1).astype(np.float32)
    made = []
    for k in range(batches):
        t = T0 + k // devices * SECOND + np.arange(100) * 10_000_000 + rng.integers(0, 400_000, 100)
        part = walk[:, 100 * k : 100 * k + 100]
        series = tuple(
            Series.of(sensor, t, {name: np.full(100, 3) if name == "accuracy" else part[n] for n, name in enumerate(f)})
            for sensor, f in FIELDS.items()
        )
        batch = Batch(f"phone-{k % devices:02}", "01K7XQ2S9V", k // devices, series)
        made.append(Item(batch, f"{k:032x}", T0 + k // devices * SECOND, 0, k))
    return made


def cpu_s() -> float:
    """User and system time of all threads of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(name: str, options: dict[str, object], load: Sequence[Item], flush: int) -> dict[str, object]:
    """The figures of one store, empty at first."""
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(run(open_store(name, options, Path(folder), retention_days=36_500), load, flush))
        size_bytes = sum(p.stat().st_size for p in Path(folder).rglob("*"))
    return {"store": name, **figures, "bytes_per_reading": round(size_bytes / sum(i.batch.readings for i in load), 1)}


async def run(store: Store, load: Sequence[Item], flush: int) -> dict[str, object]:
    """All of the load written, a few questions asked."""
    readings = sum(item.batch.readings for item in load)
    await store.start()
    cpu, wall, flushes_s = cpu_s(), time.perf_counter(), []
    for k in range(0, len(load), flush):
        began = time.perf_counter()
        await store.write(load[k : k + flush])
        flushes_s.append(time.perf_counter() - began)
    asked = await questions(store)
    closing = cpu_s()
    await store.close()
    cpu, wall = cpu_s() - cpu - float(asked["cpu_s"]), time.perf_counter() - wall - float(asked["wall_s"])
    return {
        "flush_batches": flush,
        "readings": readings,
        "cpu_s_per_million": round(cpu / readings * 1e6, 2),
        "of_which_close": round((cpu_s() - closing) / readings * 1e6, 2),
        "readings_per_s": round(readings / wall),
        "flush_ms_median": round(statistics.median(flushes_s) * 1e3, 1),
        "flush_ms_max": round(max(flushes_s) * 1e3, 1),
        **{k: v for k, v in asked.items() if k.endswith("_ms")},
    }


async def questions(store: Store) -> dict[str, float]:
    """How long one device's questions take; not in the writing's figures."""
    cpu, wall = cpu_s(), time.perf_counter()
    whole = Span("phone-03", "acceleration", 0, 2**63 - 1)
    began = time.perf_counter()
    await store.envelope(whole, points=500)
    envelope_ms = (time.perf_counter() - began) * 1e3
    began = time.perf_counter()
    await store.readings(whole, limit=10_000)
    readings_ms = (time.perf_counter() - began) * 1e3
    began = time.perf_counter()
    await store.devices()
    devices_ms = (time.perf_counter() - began) * 1e3
    return {
        "envelope_ms": round(envelope_ms, 1),
        "readings_ms": round(readings_ms, 1),
        "devices_ms": round(devices_ms, 1),
        "cpu_s": cpu_s() - cpu,
        "wall_s": time.perf_counter() - wall,
    }


def main() -> None:
    """Arguments in, JSON lines out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--store", default="duckdb")
    parser.add_argument("--options", type=json.loads, default={}, help="the store's settings, as JSON")
    parser.add_argument("--batches", type=int, default=2000)
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--flush", type=int, nargs="+", default=[1, 40, 100, 400])
    chosen = parser.parse_args()
    load = items(chosen.batches, chosen.devices)
    for flush in chosen.flush:
        part = load if flush > 1 else load[: max(1, chosen.batches // 10)]
        print(json.dumps(measure(chosen.store, chosen.options, part, flush)), flush=True)


if __name__ == "__main__":
    main()
