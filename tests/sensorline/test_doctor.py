"""What doctor finds, on a machine that is made ill on purpose."""

import socket
import time
from collections import namedtuple
from pathlib import Path

import pytest

from sensorline import doctor
from sensorline.findings import Finding, Level
from telemetry.settings import Gateway, Settings
from tests.sensorline.program import invoke, sensorline


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Settings(data_dir=tmp_path / "data", gateway=Gateway(port=port))


async def examined(settings: Settings) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    async for finding in doctor.examine(settings):
        found.setdefault(finding.check, []).append(finding)
    return found


async def test_a_fresh_machine_is_well(settings: Settings) -> None:
    found = await examined(settings)
    assert {"versions", "clock", "data folder", "disk", "operator's key", "port", "log", "store"} <= found.keys()
    assert [f for findings in found.values() for f in findings if f.level is Level.ERROR] == []
    assert not settings.data_dir.exists()  # it changes nothing


def test_a_key_that_others_can_read(settings: Settings) -> None:
    settings.data_dir.mkdir()
    file = settings.data_dir / "operator.key"
    file.write_text("slk_x")
    file.chmod(0o640)
    arguments = ["doctor", "--data-dir", settings.data_dir, "--port", str(settings.gateway.port)]
    findings = invoke(settings.data_dir, *arguments, code=1)
    assert [f["mend"] for f in findings if f["level"] == "error"] == [f"chmod 600 {file}"]
    file.chmod(0o600)
    assert all(f["level"] != "error" for f in invoke(settings.data_dir, *arguments))


async def test_a_port_that_is_taken(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.gateway.port))
        other.listen()
        (finding,) = (await examined(settings))["port"]
    assert finding.level is Level.ERROR
    assert "--port" in finding.mend


async def test_a_data_folder_that_cannot_be(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "file").touch()
    (finding,) = (await examined(settings.model_copy(update={"data_dir": tmp_path / "file" / "data"})))["data folder"]
    assert finding.level is Level.ERROR


@pytest.mark.parametrize(("free", "level"), [(1 << 20, Level.ERROR), (20 << 30, Level.WARNING), (90 << 30, Level.OK)])
async def test_a_disk_that_is_full(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(1_000 << 30, 0, free))
    (finding,) = (await examined(settings))["disk"]
    assert finding.level is level


async def test_a_clock_that_was_never_set(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.time, "time", lambda: 86_400.0)
    (finding,) = (await examined(settings))["clock"]
    assert finding.level is Level.ERROR
    assert time.time() == 86_400.0


async def test_a_log_that_power_loss_would_tear(settings: Settings) -> None:
    risky = settings.model_copy(update={"adapters": {"sqlite": {"synchronous": "NORMAL"}}})
    (finding,) = (await examined(risky))["log"]
    assert finding.level is Level.ERROR
    assert "power loss" in finding.detail


async def test_a_log_that_is_no_database(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "log.db").write_bytes(b"not a database, and long enough to tell that it is none" * 100)
    (finding,) = (await examined(settings))["log"]
    assert finding.level is Level.ERROR


async def test_memory_is_a_warning(settings: Settings) -> None:
    found = await examined(settings.model_copy(update={"log": "memory", "store": "memory"}))
    assert [found["log"][0].level, found["store"][0].level] == [Level.WARNING, Level.WARNING]


async def test_servers_that_do_not_answer(settings: Settings) -> None:
    nobody = {
        "kafka": {"bootstrap": "127.0.0.1:1"},
        "elasticsearch": {"urls": ["http://127.0.0.1:1"], "attempts_max": 1},
    }
    far = settings.model_copy(update={"log": "kafka", "store": "elasticsearch", "adapters": nobody})
    found = await examined(far)
    for check in ("log", "store"):
        (finding,) = found[check]
        assert finding.level is Level.ERROR
        assert finding.mend


async def test_a_setting_that_no_adapter_has(settings: Settings) -> None:
    wrong = settings.model_copy(update={"adapters": {"duckdb": {"colour": "red"}}})
    (finding,) = (await examined(wrong))["store"]
    assert "adapters.duckdb.colour" in finding.detail


async def test_a_driver_that_is_not_installed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    found = await examined(
        settings.model_copy(update={"log": "kafka", "adapters": {"kafka": {"bootstrap": "127.0.0.1:1"}}})
    )
    assert found["drivers"][0].mend == "pip install 'sensorline[kafka]'"


def test_for_a_person_each_finding_is_a_line(tmp_path: Path) -> None:
    said = sensorline(tmp_path, "doctor", "--port", "0").stdout.splitlines()
    assert said[0].split()[:2] == ["ok", "versions"]
