"""The processes of compose.yaml, each with the file's own command, environment and health check, on a real Kafka and
Elasticsearch and with the secrets of its first start: two gateways and the consumers, and four zeros.

What differs from the containers: where the servers are, ports (all share one machine), folders, and a prefix.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from sensorline.mqtt_init import find_plugin
from sensorline.servers import Servers
from tests.deploy.files import command_lines, services
from tests.deploy.secrets_made import Secrets
from tests.faults.mosquitto import programs
from tests.journey.processes import COMMAND, assert_four_zeros, environment, free_port
from tests.sensorline.test_mqtt_init import started

pytestmark = pytest.mark.real

CONSUMERS = ("index", "ledger", "detect", "anomalies", "windows")
HEALTHY_WAIT_S = 150.0
LOOK_AGAIN_S = 0.5


@dataclass(frozen=True)
class Place:
    """What stands for the networks and volumes of compose.yaml."""

    folder: Path
    secrets: Secrets
    addresses: dict[str, str]
    prefix: str

    def here(self, text: str) -> str:
        """A value of the file, with the addresses and paths of this machine."""
        for inside, outside in self.addresses.items():
            text = text.replace(inside, outside)
        return self.secrets.here(text)


@dataclass(frozen=True)
class Service:
    """A service of the file as a process."""

    name: str
    process: subprocess.Popen[bytes]
    variables: dict[str, str]
    log: Path

    @property
    def url(self) -> str:
        return re.sub(r"/readyz$", "", self.variables["HEALTH_URL"])

    def is_healthy(self) -> bool:
        """What its own health check says."""
        test = services()[self.name]["healthcheck"]["test"]
        assert test[0] == "CMD"
        path = f"{COMMAND.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            test[1:], env=environment(**self.variables, PATH=path), capture_output=True, timeout=30, check=False
        )
        return done.returncode == 0

    def wait_healthy(self) -> None:
        """As `depends_on: service_healthy` does."""
        until_s = time.monotonic() + HEALTHY_WAIT_S
        while not self.is_healthy():
            assert self.process.poll() is None, f"{self.name} ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < until_s, f"{self.name} is not healthy: {self.log.read_text()[-2000:]}"
            time.sleep(LOOK_AGAIN_S)


@contextmanager
def service(place: Place, name: str) -> Iterator[Service]:
    """Start it; SIGTERM must end it well."""
    port = str(free_port())
    given = {k: place.here(str(v)) for k, v in services()[name]["environment"].items()}
    variables = {k: re.sub(r"\b8080\b", port, v) for k, v in given.items()}
    variables |= {
        "SENSORLINE_DATA_DIR": str(place.folder / name),
        "SENSORLINE_ADAPTERS__KAFKA__PREFIX": place.prefix,
        "SENSORLINE_ADAPTERS__ELASTICSEARCH__PREFIX": place.prefix,
    }
    if "SENSORLINE_GATEWAY__HOST" in variables:
        variables["SENSORLINE_GATEWAY__HOST"] = "127.0.0.1"
    log = place.folder / f"{name}.log"
    with log.open("wb") as target:
        process = subprocess.Popen(
            [COMMAND, *command_lines()[name]],
            env=environment(**variables),
            cwd=place.folder,
            stdout=target,
            stderr=target,
        )
    try:
        yield Service(name, process, variables, log)
        assert process.poll() is None, f"{name} ended: {log.read_text()[-2000:]}"
        process.terminate()
        assert process.wait(20) == 0, log.read_text()[-2000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


@pytest.fixture
def place(servers: Servers, tmp_path: Path) -> Iterator[Place]:
    """Servers, the secrets of a first start, and the broker that they were made for."""
    programs()
    secrets = Secrets.in_folder(tmp_path).make()
    port = free_port()
    conf = secrets.mosquitto / "mosquitto.conf"
    text = conf.read_text().replace("listener 1883 0.0.0.0", f"listener {port} 127.0.0.1")
    conf.write_text(re.sub(r"(?m)^plugin .*$", f"plugin {find_plugin()}", text))
    addresses = {
        "kafka:9092": servers.bootstrap,
        "http://elasticsearch:9200": servers.elasticsearch_url,
        "mosquitto:1883": f"127.0.0.1:{port}",
    }
    with started(conf):
        yield Place(tmp_path, secrets, addresses, f"compose-{uuid4().hex[:8]}-")


def fleet(gateway: Service, key: Path, ledger: Path, prefix: str) -> subprocess.Popen[str]:
    where = ["--url", gateway.url, "--data-dir", str(key.parent), "--ledger", str(ledger), "--prefix", prefix]
    return subprocess.Popen(
        [COMMAND, "simulate", "--devices", "4", "--seconds", "6", *where, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def verify(gateway: Service, key: Path, ledger: Path) -> dict[str, int]:
    where = ["--url", gateway.url, "--data-dir", str(key.parent), "--ledger", str(ledger)]
    done = subprocess.run(
        [COMMAND, "verify", *where, "--json"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    report: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return report


@pytest.mark.timeout(400)
def test_two_gateways_and_the_consumers_of_the_compose_file_then_four_zeros(place: Place) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(service(place, "gateway-1"))
        consumers = [stack.enter_context(service(place, name)) for name in CONSUMERS]
        first.wait_healthy()
        second = stack.enter_context(service(place, "gateway-2"))  # depends on the first: only one makes the key
        for each in (second, *consumers):
            each.wait_healthy()
        key = place.folder / "gateway-1" / "operator.key"
        assert not (place.folder / "gateway-2" / "operator.key").exists()
        ready = httpx.get(f"{first.url}/readyz").raise_for_status().json()
        assert ready["mqtt"] in {"connected", "disconnected"}, "not off: the file's MQTT settings are in force"

        fleets = [
            (fleet(gateway, key, place.folder / f"{name}.jsonl", name), place.folder / f"{name}.jsonl")
            for gateway, name in ((first, "one"), (second, "two"))
        ]
        for process, _ in fleets:
            out, _ = process.communicate(timeout=90)
            assert process.returncode == 0
            assert json.loads(out.splitlines()[-1])["sent"] > 5_000
        # Each is verified through the gateway that did not take it.
        for gateway, (_, ledger) in zip((second, first), fleets, strict=True):
            assert_four_zeros(verify(gateway, key, ledger))
        lag = httpx.get(f"{second.url}/v1/stats").raise_for_status().json()["lag"]
        assert {"index", "ledger", "detect", "anomalies"} <= lag.keys()
        assert all(each.is_healthy() for each in (first, second, *consumers))
