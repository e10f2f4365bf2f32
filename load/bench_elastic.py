"""What the Elasticsearch store costs: CPU seconds a million readings of Elasticsearch and of this process, once warm.

    .venv/bin/python load/bench_elastic.py                      # a server of its own, stopped afterwards
    .venv/bin/python load/bench_elastic.py --set bulk_bytes_max=4194304 --set refresh_interval=5s

The load is the one of `bench_store.py`: batches of 500 readings, written in flushes of 100.  The first rounds warm
the JVM up and are not counted.  Prints one JSON line a counted round.  Compare runs made side by side.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import orjson

from sensorline import servers
from telemetry import wire
from telemetry.batch import Batch, Series
from telemetry.ports import Item
from telemetry.stores import _elastic_http as http
from telemetry.stores import open_store
from telemetry.stores.elasticsearch import ElasticsearchStore

SECOND_NS = 10**9
AXES = ("x", "y", "z", "accuracy")
TURNS = ("pitch", "roll", "yaw", "qx", "qy", "qz", "qw", "accuracy")
SENSORS = {
    "linear_acceleration": AXES,
    "gravity": AXES,
    "gyroscope": AXES,
    "magnetometer": AXES,
    "orientation": TURNS,
}
PHONES = 20


def items_of(count: int, run: str, rng: np.random.Generator) -> list[Item]:
    """`count` batches of a second each, from 20 phones in turn, ending now."""
    start_ns = time.time_ns() - count // PHONES * SECOND_NS
    return [_item(k, run, start_ns, rng) for k in range(count)]


def _item(offset: int, run: str, start_ns: int, rng: np.random.Generator) -> Item:
    seq, phone = divmod(offset, PHONES)
    t = start_ns + seq * SECOND_NS + phone * 1_234_567 + np.arange(100) * 10_000_000
    series = tuple(
        Series.of(sensor, t, {f: np.full(100, 3.0) if f == "accuracy" else rng.normal(size=100) / 4 for f in fields})
        for sensor, fields in SENSORS.items()
    )
    batch = Batch(f"phone-{phone:04d}", f"{run}-{phone}", seq, series)
    return Item(batch, wire.content_hash(wire.encode(batch)), int(t[-1]) + 50_000_000 + offset, 0, offset)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its descendants, living and reaped."""
    used, todo = 0, [pid]
    while todo:
        stat = Path(f"/proc/{(process := todo.pop())}/stat").read_text().rpartition(")")[2].split()
        used += sum(map(int, stat[11:15]))
        for task in Path(f"/proc/{process}/task").iterdir():
            todo += map(int, (task / "children").read_text().split())
    return used / os.sysconf("SC_CLK_TCK")


async def write_all(store: Any, items: Sequence[Item], flush: int) -> None:
    """In flushes, as the indexer does."""
    for k in range(0, len(items), flush):
        written = await store.write(items[k : k + flush])
        assert all(w.stored == 500 for w in written), written


async def settle(store: ElasticsearchStore, wait_s: float) -> None:
    """What a write leaves to be done later (refresh, merges) belongs to its price."""
    await store.refresh()
    await asyncio.sleep(wait_s)


async def size_bytes(url: str, prefix: str) -> int:
    """On disk, after a flush."""
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/{prefix}readings-*/_flush") as answer:
            answer.raise_for_status()
        async with session.get(f"{url}/{prefix}readings-*/_stats/store") as answer:
            return int((await answer.json())["_all"]["primaries"]["store"]["size_in_bytes"])


async def round_of(
    url: str, pid: int, options: dict[str, Any], args: argparse.Namespace, batches: int
) -> dict[str, Any]:
    """Write so many batches into indices of their own; what it cost a million readings."""
    prefix = f"bench{uuid.uuid4().hex[:8]}-"
    store = open_store("elasticsearch", {"urls": [url], "prefix": prefix, **options}, Path(), retention_days=400)
    assert isinstance(store, ElasticsearchStore)
    await store.start()
    items = items_of(batches, prefix, np.random.default_rng(batches))
    millions = batches * 500 / 1e6
    server_s, own_s, begun_s = cpu_s(pid), time.process_time(), time.perf_counter()
    await write_all(store, items, args.flush)
    own_s, wall_s = time.process_time() - own_s, time.perf_counter() - begun_s
    await settle(store, args.settle_s)
    server_s = cpu_s(pid) - server_s
    readings = (await store.counts()).readings
    assert readings == batches * 500, readings
    found = {
        "readings": readings,
        "elasticsearch_cpu_s_per_million": round(server_s / millions, 2),
        "own_cpu_s_per_million": round(own_s / millions, 2),
        "readings_per_s": round(readings / wall_s),
        "bytes_per_reading": round(await size_bytes(url, prefix) / readings, 1),
    }
    for index in orjson.loads((await store._elastic.request("GET", f"/{prefix}*/_alias")).body):
        await http.ask(store._elastic, "DELETE", f"/{index}")
    await store.close()
    return found


async def bench(url: str, pid: int, args: argparse.Namespace) -> None:
    """The warm-up, then the counted rounds."""
    options = {name: _value(text) for name, text in (pair.split("=", 1) for pair in args.set)}
    for _ in range(args.warm_up):
        await round_of(url, pid, options, args, 600)
    for _ in range(args.rounds):
        print(json.dumps({**options, **await round_of(url, pid, options, args, args.batches)}), flush=True)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def main() -> None:
    """Parse, start a server unless one is named, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="of servers that run already (its Elasticsearch is used)")
    parser.add_argument("--batches", type=int, default=2000)
    parser.add_argument("--flush", type=int, default=100)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--settle-s", type=float, default=3.0)
    parser.add_argument("--set", action="append", default=[], help="a setting of the store, name=value")
    args = parser.parse_args()
    if args.home:
        running = servers.up(args.home, ("elasticsearch",))
        asyncio.run(bench(running.elasticsearch_url, running.pids["elasticsearch"], args))
        return
    with tempfile.TemporaryDirectory() as folder:
        running = servers.up(Path(folder), ("elasticsearch",), elasticsearch_port=0)
        try:
            asyncio.run(bench(running.elasticsearch_url, running.pids["elasticsearch"], args))
        finally:
            servers.down(Path(folder))


if __name__ == "__main__":
    main()
