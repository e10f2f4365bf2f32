"""The command line on real Kafka and Elasticsearch: moving up from the embedded engine, and doctor's verdict."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import tomli_w

from sensorline import servers as local
from tests.sensorline.program import Running, invoke, running, up

pytestmark = pytest.mark.real

FIGURES = ("lost_acked", "dup_stored", "corrupt", "unaccounted")
FLEET = ("--devices", "4", "--seconds", "4", "--speed", "0")


@pytest.fixture
def config(servers: local.Servers, tmp_path: Path) -> str:
    """A settings file of the distributed engine, with topics and indices of its own."""
    prefix = f"cli-{uuid4().hex[:8]}-"
    document: dict[str, Any] = {
        "data_dir": "distributed",
        "log": "kafka",
        "store": "elasticsearch",
        "gateway": {"port": 0},
        "adapters": {
            "kafka": {"bootstrap": servers.bootstrap, "prefix": prefix},
            "elasticsearch": {"urls": [servers.elasticsearch_url], "prefix": prefix},
        },
    }
    (tmp_path / "distributed.toml").write_text(tomli_w.dumps(document))
    return "distributed.toml"


def check(folder: Path, station: Running, data_dir: str, ledger: str) -> None:
    (report,) = invoke(folder, "verify", "--ledger", ledger, "--url", station.url, "--data-dir", data_dir)
    assert [report[name] for name in FIGURES] == [0, 0, 0, 0]
    assert report["stored"] > 9_000


def send(folder: Path, station: Running, data_dir: str, ledger: str, prefix: str) -> None:
    where = ("--url", station.url, "--data-dir", data_dir)
    (told,) = invoke(folder, "simulate", *FLEET, "--ledger", ledger, "--prefix", prefix, *where)
    assert told["sent"] == told["generated"]


def test_moving_up(tmp_path: Path, config: str) -> None:
    """What the embedded engine acknowledged is found on Kafka and Elasticsearch, and new readings beside it."""
    with up(tmp_path, "embedded") as station:
        send(tmp_path, station, "embedded", "first", "one")
        check(tmp_path, station, "embedded", "first")
    (moved,) = invoke(tmp_path, "migrate", "--data-dir", "embedded", "--to-config", config)
    assert moved["batches"] == {"copied": 16, "earlier": 0, "left_out": 0}
    (again,) = invoke(tmp_path, "migrate", "--data-dir", "embedded", "--to-config", config)
    assert again["batches"] == {"copied": 0, "earlier": 16, "left_out": 0}
    with ExitStack() as stack:
        stations = [("gateway",), ("consume", "index"), ("consume", "ledger")]
        started = [stack.enter_context(running(tmp_path, *line, "--config", config)) for line in stations]
        gateway = started[0]
        assert gateway.ready["operator_key"] is None  # the embedded station's is good here too
        check(tmp_path, gateway, "distributed", "first")
        send(tmp_path, gateway, "distributed", "second", "two")
        check(tmp_path, gateway, "distributed", "second")
        where = ("--url", gateway.url, "--data-dir", "distributed")
        (backup,) = invoke(tmp_path, "backup", "b.zst", *where)
        assert backup["records"]["batches"] == 32
    # And back down: from the servers into one folder.
    invoke(tmp_path, "restore", "b.zst", "--data-dir", "down")
    (tmp_path / "down" / "operator.key").write_bytes((tmp_path / "embedded" / "operator.key").read_bytes())
    with up(tmp_path, "down") as station:
        check(tmp_path, station, "down", "first")
        check(tmp_path, station, "down", "second")


def test_everything_in_one_process_on_the_servers(tmp_path: Path, config: str) -> None:
    with running(tmp_path, "up", "--config", config) as station:
        send(tmp_path, station, "distributed", "ledger", "sim")
        check(tmp_path, station, "distributed", "ledger")
    (moved,) = invoke(tmp_path, "migrate", "--config", config, "--to-log", "sqlite", "--to-data-dir", "down")
    assert moved["batches"]["copied"] == 16
    with up(tmp_path, "down") as station:
        check(tmp_path, station, "down", "ledger")


def test_doctor_judges_the_servers(tmp_path: Path, config: str) -> None:
    found = invoke(tmp_path, "doctor", "--config", config)
    said = [(f["check"], f["level"], f["detail"]) for f in found if f["check"] in ("log", "store")]
    assert {level for _, level, _ in said} == {"ok"}
    assert any("flush.messages=1" in detail for _, _, detail in said)
    assert any(detail.startswith("elasticsearch 9.") for _, _, detail in said)


def test_doctor_warns_of_a_broker_that_does_not_flush(tmp_path: Path, servers: local.Servers) -> None:
    """A single broker that leaves flushing to the page cache acknowledges what a power loss takes."""
    lax = local.up(
        tmp_path / "lax",
        ("kafka",),
        kafka_port=0,
        kafka_properties={"log.flush.interval.messages": "9223372036854775807"},
        log=print,
    )
    try:
        (tmp_path / "lax.toml").write_text(
            tomli_w.dumps({"log": "kafka", "adapters": {"kafka": {"bootstrap": lax.bootstrap}}, "gateway": {"port": 0}})
        )
        warned = [f for f in invoke(tmp_path, "doctor", "--config", "lax.toml") if f["level"] == "warning"]
        assert [f["check"] for f in warned] == ["log"]
        assert "log.flush.interval.messages=1" in warned[0]["mend"]
    finally:
        local.down(tmp_path / "lax")


def test_servers_status_is_told(servers: local.Servers, tmp_path: Path) -> None:
    (known,) = invoke(tmp_path, "servers", "status", "--home", servers.home)
    assert {name: each["state"] for name, each in known.items()} == {"kafka": "ready", "elasticsearch": "ready"}
    assert json.dumps(servers.pids) == json.dumps({name: each["pid"] for name, each in known.items()})
