"""How a stateful consumer bears many devices: a few readings from each, a bounded memory, the time it takes.

    python -m load.bench_states --devices 100000 --batches 3 --hot 2000

Reads from a SQLite log in a temporary folder, with the real detection, and prints one JSON line.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from consumers.detect import AnomalySink, DetectOperators
from consumers.keyed import Keyed
from consumers.operator import Work
from telemetry.batch import Batch, Series
from telemetry.clock import SystemClock
from telemetry.logs.sqlite import Config, SqliteLog
from telemetry.ports import ANOMALIES, BATCHES, CHECKPOINTS, Record
from telemetry.records import batch_record
from telemetry.settings import Consumers, Detect

S = 10**9
T0_NS = 1_763_800_000 * S
READINGS = 5
APPEND = 2_000


class Nobody:
    """No device is deleted."""

    version = 0

    def is_deleted(self, _device: str, _received_ns: int) -> bool:
        """No."""
        return False

    def deleted(self) -> tuple[str, ...]:
        """None."""
        return ()


async def fill(log: SqliteLog, devices: int, batches: int) -> None:
    """Each device in turn, again and again; a round takes 100 s of receive time."""
    records: list[Record] = []
    for seq in range(batches):
        for k in range(devices):
            at_ns = T0_NS + seq * 100 * S + k * 100 * S // devices
            t = at_ns - np.arange(READINGS, dtype=np.int64)[::-1] * S
            series = Series.of("temperature", t, {"celsius": 20 + np.sin(np.arange(READINGS) + k + seq)})
            batch = Batch(f"device-{k:06}", "s", seq, (series,))
            records.append(batch_record(batch, received_ns=at_ns + S // 2, dialect="native"))
            if len(records) == APPEND:
                await log.append(BATCHES, records)
                records = []
    await log.append(BATCHES, records)


async def measure(devices: int, batches: int, hot: int, folder: Path) -> dict[str, float | int]:
    """Read all of it once, then start again and load every state."""
    log = SqliteLog(Config(), folder)
    await log.start()
    await fill(log, devices, batches)
    settings = Consumers(states_max=hot)

    async def refresh() -> None:
        return None

    def made() -> Keyed[object]:
        work = Work("detect", DetectOperators(Detect()), AnomalySink(log))
        return Keyed(log, work, settings, SystemClock(), deletions=Nobody(), refresh=refresh)  # type: ignore[arg-type]

    rss_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    consumer = made()
    at = (await consumer.adopt(frozenset({0})))[0]
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    most = 0
    while entries := await log.read(BATCHES, at, records_max=500, bytes_max=2**25) if at < log.end(BATCHES) else []:
        await consumer.process(entries)
        at = entries[-1].offset + 1
        most = max(most, len(consumer.states))
    await consumer.save()
    took_s, cpu_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
    consumer.close()
    again, began_s = made(), time.monotonic()
    await again.adopt(frozenset({0}))
    load_s, states = time.monotonic() - began_s, len(again.states.shelf)
    again.close()
    size_bytes = await asyncio.to_thread(lambda: sum(f.stat().st_size for f in folder.iterdir()))
    anomalies = log.end(ANOMALIES)
    written = log.end(CHECKPOINTS)
    await log.close()
    return {
        "devices": devices,
        "batches": devices * batches,
        "hot_max": most,
        "took_s": round(took_s, 1),
        "cpu_s": round(cpu_s, 1),
        "batches_per_s": round(devices * batches / took_s),
        "checkpoints_written": written,
        "states": states,
        "load_s": round(load_s, 1),
        "anomalies": anomalies,
        "rss_mib_more": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss_kib) // 1024,
        "log_mib": size_bytes // 2**20,
    }


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--hot", type=int, default=2_000, help="devices whose state may be in memory")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(told.devices, told.batches, told.hot, Path(folder)))))


if __name__ == "__main__":
    main()
