"""Consumers that come, go, and hang as zombies while readings flow: four zeros, and every count of the ledger exact."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from consumers.runner import Runner
from sensorline.servers import Servers
from sensorline.station import Engine, opened
from telemetry.ports import BATCHES, Entry
from telemetry.settings import Settings, load
from tests.journey.processes import Process, assert_four_zeros, fleet, free_port
from tests.journey.simulation.invariants import read_log

pytestmark = [pytest.mark.real, pytest.mark.crash, pytest.mark.timeout(300, func_only=True)]

ROUNDS = 5
ROUND_S = 2.0  # and about one to join
PARTITIONS = 3
CONSUMERS = ("index", "ledger")
STOP_WAIT_S = 30.0


@dataclass(frozen=True)
class Cluster:
    """One gateway and one consumer of each kind, each a process."""

    url: str
    data_dir: Path
    settings: Settings
    processes: dict[str, Process]

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]


@pytest.fixture
def cluster(servers: Servers, tmp_path: Path) -> Iterator[Cluster]:
    prefix = f"rebalance-{uuid4().hex[:8]}-"
    config = tmp_path / "sensorline.toml"
    config.write_text(
        f"""
data_dir = "{tmp_path / "data"}"
log = "kafka"
store = "elasticsearch"
[consumers]
flush_wait_s = 0.2
[adapters.kafka]
bootstrap = "{servers.bootstrap}"
prefix = "{prefix}"
partitions = {PARTITIONS}
[adapters.elasticsearch]
urls = ["{servers.elasticsearch_url}"]
prefix = "{prefix}"
refresh_interval = "1s"
"""
    )
    ports = {name: free_port() for name in ("gateway", *CONSUMERS)}
    common = ["--config", str(config)]
    processes = {}
    for name, port in ports.items():
        consuming = ["consume", name, *common, "--set", f"consumers.health_port={port}"]
        arguments = ["gateway", *common, "--port", str(port)] if name == "gateway" else consuming
        processes[name] = Process(arguments, f"http://127.0.0.1:{port}/readyz", tmp_path / f"{name}.log")
    try:
        yield Cluster(f"http://127.0.0.1:{ports['gateway']}", tmp_path / "data", load(config).settings, processes)
    finally:
        for process in processes.values():
            if process.popen and process.popen.poll() is None:
                process.popen.kill()
                process.popen.wait(20)


def freeze(process: Process) -> None:
    """SIGSTOP: it holds what it polled, and knows nothing of what happens meanwhile."""
    assert process.popen is not None
    os.kill(process.popen.pid, signal.SIGSTOP)


def thaw(process: Process) -> None:
    """SIGCONT: it goes on as if nothing had been."""
    assert process.popen is not None
    os.kill(process.popen.pid, signal.SIGCONT)


def assert_alive(cluster: Cluster) -> None:
    """Nobody ended by himself."""
    for name, process in cluster.processes.items():
        assert process.popen is None or process.popen.poll() in (None, 0), f"{name}: {process.log_tail()}"


@contextlib.asynccontextmanager
async def members(engine: Engine) -> AsyncIterator[list[Runner]]:
    """One more consumer of each kind, in this process, until the block ends."""
    runners = [engine.runner(name) for name in CONSUMERS]
    tasks = [asyncio.create_task(runner.run()) for runner in runners]
    try:
        yield runners
    finally:
        for runner in runners:
            runner.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), STOP_WAIT_S)


async def owns_some(runners: list[Runner]) -> None:
    """Until each has partitions."""
    async with asyncio.timeout(60):
        while not all(runner._reader and runner._reader.assignment() for runner in runners):
            await asyncio.sleep(0.05)


async def test_members_that_come_go_and_hang_change_no_count(cluster: Cluster) -> None:
    consumers = (cluster["index"], cluster["ledger"])
    await asyncio.gather(*(asyncio.to_thread(process.start) for process in cluster.processes.values()))
    async with opened(cluster.settings) as engine:
        with fleet(cluster.url, cluster.data_dir, devices=6, drain_s=120) as running:
            for _ in range(ROUNDS):
                async with members(engine) as runners:
                    await owns_some(runners)
                    await asyncio.sleep(ROUND_S)
            async with members(engine) as runners:
                for process in consumers:
                    freeze(process)
                async with asyncio.timeout(60):
                    while any(r._reader is None or len(r._reader.assignment()) < PARTITIONS for r in runners):
                        await asyncio.sleep(0.1)
                for process in consumers:
                    thaw(process)
                await asyncio.sleep(ROUND_S)
            assert_alive(cluster)
            await asyncio.to_thread(running.finish, 150)
            assert_four_zeros(await asyncio.to_thread(running.verify))
        assert await asyncio.to_thread(completeness, cluster) == await counted(engine)
    assert_alive(cluster)


def completeness(cluster: Cluster) -> dict[tuple[str, str], tuple[int, ...]]:
    """What the ledger consumers counted, by session."""
    key = (cluster.data_dir / "operator.key").read_text().strip()
    answer = httpx.get(f"{cluster.url}/v1/completeness", headers={"authorization": f"Bearer {key}"}, timeout=30)
    names = ("received_batches", "received_readings", "missing_batches", "duplicate_batches", "reordered_batches")
    sessions: list[dict[str, Any]] = answer.json()["sessions"]
    return {(s["device"], s["session"]): tuple(s[name] for name in names) for s in sessions}


async def counted(engine: Engine) -> dict[tuple[str, str], tuple[int, ...]]:
    """The same, counted the plain way from the log's beginning to its end."""
    reader = await engine.log.follow(BATCHES)
    ends = await engine.log.ends(BATCHES)
    entries: list[Entry] = []
    async with asyncio.timeout(60):
        while await reader.position() != ends:
            entries += await reader.poll(records_max=1_000, bytes_max=2**26, wait_s=1.0)
    await reader.close()
    return {
        key: (len(seen.first), seen.readings, seen.missing, seen.duplicates, seen.reordered)
        for key, seen in read_log(entries).sessions.items()
    }
