"""A process that writes batches until it is killed; run by the tests beside it.

store_child.py DATA_DIR FLUSHES [SIZE_BYTES_MAX]    each write that returned is told on a line: `stored N`
"""

import asyncio
import resource
import sys
from pathlib import Path

import numpy as np

from telemetry import wire
from telemetry.batch import Batch, Series
from telemetry.errors import StoreUnavailable
from telemetry.ports import Item
from telemetry.stores import open_store

T0 = 1_760_000_000_000_000_000
FLUSH = 3


def batch(number: int) -> Batch:
    """The batch of that number; what is in it depends on nothing else."""
    rng = np.random.default_rng(number)
    t = T0 + number * 10**9 + np.arange(200) * 5_000_000
    xyz = Series.of("acceleration", t, {axis: rng.normal(size=200) for axis in "xyz"})
    text = Series.of("annotation", t[:2], {"text": [f"batch {number}", None]})
    return Batch(f"d{number % 2}", "s", number // 2, (xyz, text))


def flush(number: int) -> list[Item]:
    """The items of one write."""
    made = [batch(number * FLUSH + k) for k in range(FLUSH)]
    return [Item(b, wire.content_hash(wire.encode(b)), T0, 0, b.seq) for b in made]


async def main(data_dir: Path, flushes: int, size_bytes_max: int | None) -> None:
    """Write; where files may not grow over a size, hold at the error, lift the limit, and go on."""
    if size_bytes_max is not None:
        limit(size_bytes_max)
    store = open_store("duckdb", {"checkpoint_bytes": 2**20}, data_dir, retention_days=36_500)
    await store.start()
    for number in range(flushes):
        try:
            await store.write(flush(number))
        except StoreUnavailable as e:
            print(f"held {number} {type(e.__cause__).__name__}", flush=True)
            limit(resource.RLIM_INFINITY)
            await store.write(flush(number))
        print(f"stored {number}", flush=True)
    counts = await store.counts()
    print(f"counts {counts.readings} {counts.batches} {counts.devices}", flush=True)
    await store.close()


def limit(size_bytes_max: int) -> None:
    """No file of this process may grow over this size: what a full disk looks like from inside."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes_max, hard))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None))
