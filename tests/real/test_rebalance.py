"""Consumers that come, go, and hang as zombies while readings flow: four zeros, and every count of the ledger exact."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sensorline.servers import Servers
from telemetry.logs.kafka import Config, KafkaLog
from telemetry.ports import BATCHES, Entry
from tests.journey.processes import Process, assert_four_zeros, fleet, free_port
from tests.journey.simulation.invariants import read_log

pytestmark = [pytest.mark.real, pytest.mark.crash, pytest.mark.timeout(300, func_only=True)]

ROUNDS = 4
ROUND_S = 3.0
ZOMBIE_S = 9.0  # longer than the group waits for a member: its partitions go to another
NAMES = ("gateway", "index", "ledger", "index-2", "ledger-2")


@dataclass(frozen=True)
class Cluster:
    """One gateway, and two consumers of each kind."""

    url: str
    data_dir: Path
    kafka: Config
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
partitions = 3
[adapters.elasticsearch]
urls = ["{servers.elasticsearch_url}"]
prefix = "{prefix}"
refresh_interval = "1s"
"""
    )
    ports = {name: free_port() for name in NAMES}
    common = ["--config", str(config)]
    processes = {}
    for name, port in ports.items():
        kind = name.removesuffix("-2")
        consuming = ["consume", kind, *common, "--set", f"consumers.health_port={port}"]
        arguments = ["gateway", *common, "--port", str(port)] if kind == "gateway" else consuming
        processes[name] = Process(arguments, f"http://127.0.0.1:{port}/readyz", tmp_path / f"{name}.log")
    kafka = Config(bootstrap=servers.bootstrap, prefix=prefix, partitions=3)
    try:
        yield Cluster(f"http://127.0.0.1:{ports['gateway']}", tmp_path / "data", kafka, processes)
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


async def test_members_that_come_go_and_hang_change_no_count(cluster: Cluster) -> None:
    for name in ("gateway", "index", "ledger"):
        cluster[name].start()
    with fleet(cluster.url, cluster.data_dir, devices=9, drain_s=120) as running:
        for _ in range(ROUNDS):
            for name in ("index-2", "ledger-2"):
                cluster[name].start()
            time.sleep(ROUND_S)  # noqa: ASYNC251 - the fault itself; nothing else runs in this loop
            for name in ("index-2", "ledger-2"):
                assert cluster[name].stop() < 12
        for name in ("index-2", "ledger-2"):
            cluster[name].start()
        for first, second in (("index", "ledger"), ("index-2", "ledger-2")):
            freeze(cluster[first])
            freeze(cluster[second])
            time.sleep(ZOMBIE_S)  # noqa: ASYNC251 - as above
            thaw(cluster[first])
            thaw(cluster[second])
        assert_alive(cluster)
        running.finish(150)
        assert_four_zeros(running.verify())
    assert completeness(cluster) == await counted(cluster)
    assert_alive(cluster)


def completeness(cluster: Cluster) -> dict[tuple[str, str], tuple[int, ...]]:
    """What the ledger consumers counted, by session."""
    key = (cluster.data_dir / "operator.key").read_text().strip()
    answer = httpx.get(f"{cluster.url}/v1/completeness", headers={"authorization": f"Bearer {key}"}, timeout=30)
    names = ("received_batches", "received_readings", "missing_batches", "duplicate_batches", "reordered_batches")
    sessions: list[dict[str, Any]] = answer.json()["sessions"]
    return {(s["device"], s["session"]): tuple(s[name] for name in names) for s in sessions}


async def counted(cluster: Cluster) -> dict[tuple[str, str], tuple[int, ...]]:
    """The same, counted the plain way from the log's beginning to its end."""
    log = KafkaLog(cluster.kafka)
    await log.start()
    reader = await log.follow(BATCHES)
    ends = await log.ends(BATCHES)
    entries: list[Entry] = []
    while await reader.position() != ends:
        entries += await reader.poll(records_max=1_000, bytes_max=2**26, wait_s=1.0)
    await log.close()
    return {
        key: (len(seen.first), seen.readings, max(seen.first) - min(seen.first) + 1 - len(seen.first))
        + (seen.duplicates, seen.reordered)
        for key, seen in read_log(entries).sessions.items()
    }
