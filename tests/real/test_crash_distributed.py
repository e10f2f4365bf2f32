"""Gateway, index and ledger as processes of their own on real Kafka and Elasticsearch, killed with -9: four zeros."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from sensorline.servers import Servers
from tests.journey.processes import Process, assert_four_zeros, fleet, free_port

pytestmark = [pytest.mark.real, pytest.mark.crash, pytest.mark.timeout(400)]

FAILPOINTS = {
    "gateway": {"gateway.before_append": 5, "gateway.after_append": 5},
    "index": {"index.before_flush": 1, "index.after_flush": 1, "index.after_commit": 1},
    "ledger": {"ledger.before_flush": 1, "ledger.after_flush": 1, "ledger.after_commit": 1},
}


@dataclass
class Cluster:
    """One gateway and one consumer of each kind."""

    url: str
    data_dir: Path
    processes: dict[str, Process]

    def start(self) -> None:
        for process in self.processes.values():
            process.start()


@pytest.fixture
def cluster(servers: Servers, tmp_path: Path) -> Iterator[Cluster]:
    prefix = f"crash-{uuid4().hex[:8]}-"
    config = tmp_path / "sensorline.toml"
    config.write_text(
        f"""
data_dir = "{tmp_path / "data"}"
log = "kafka"
store = "elasticsearch"
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
    ports = {name: free_port() for name in ("gateway", "index", "ledger")}
    common = ["--config", str(config)]
    processes = {
        "gateway": Process(["gateway", *common, "--port", str(ports["gateway"])], "", tmp_path / "gateway.log")
    }
    for name in ("index", "ledger"):
        port = ["--set", f"consumers.health_port={ports[name]}"]
        processes[name] = Process(["consume", name, *common, *port], "", tmp_path / f"{name}.log")
    for name, process in processes.items():
        process.ready_url = f"http://127.0.0.1:{ports[name]}/readyz"
    try:
        yield Cluster(f"http://127.0.0.1:{ports['gateway']}", tmp_path / "data", processes)
    finally:
        for process in processes.values():
            if process.popen and process.popen.poll() is None:
                process.popen.kill()
                process.popen.wait(20)


def test_every_failpoint_then_four_zeros(cluster: Cluster) -> None:
    cluster.start()
    with fleet(cluster.url, cluster.data_dir, devices=8) as running:
        for name, points in FAILPOINTS.items():
            process = cluster.processes[name]
            for point, count in points.items():
                process.kill()
                process.start({point: count})
                process.wait_killed(60)
            process.start()
        running.finish(150)
        assert_four_zeros(running.verify())
    for process in cluster.processes.values():
        assert process.stop() < 12, "SIGTERM ends it"


def test_three_kills_of_gateway_and_consumer_then_four_zeros(cluster: Cluster) -> None:
    cluster.start()
    with fleet(cluster.url, cluster.data_dir, devices=20, seconds=20, drain_s=120) as running:
        for name in ("gateway", "index", "gateway", "index", "gateway", "index"):
            cluster.processes[name].kill()
            cluster.processes[name].start()
        result = running.wait(200)
        assert result["sent"] > 20 * 10 * 300
        assert_four_zeros(running.verify())
