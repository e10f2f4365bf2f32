"""The command line itself: help, errors, exit codes; nothing of it needs a station."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sensorline.cli import app
from tests.sensorline.program import answer, environment, sensorline

COMMANDS = [
    *("demo", "simulate", "verify", "servers", "up", "gateway", "consume", "device"),
    *("export", "backup", "restore", "migrate", "deadletters", "doctor", "config", "version"),
    *("anomalies", "windows", "alerts"),
]
HEAVY = {"numpy", "pyarrow", "pydantic", "httpx", "fastapi", "duckdb", "apsw", "aiokafka", "elasticsearch", "zstandard"}
runner = CliRunner()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings file and no variable of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in environment().keys() ^ environment(SENSORLINE_X="").keys():
        monkeypatch.delenv(name, raising=False)


def test_help_names_every_command() -> None:
    shown = runner.invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert [command for command in COMMANDS if not re.search(rf"^\W*{command}\b", shown.output, re.MULTILINE)] == []


def test_help_of_every_command_says_what_it_does() -> None:
    groups = {
        "config": ["show"],
        "anomalies": ["show", "ack", "label"],
        "alerts": ["list", "test"],
        "deadletters": ["list", "replay"],
        "device": ["add", "list", "rotate", "revoke", "delete"],
        "servers": ["up", "down", "status"],
    }
    lines = [[command] for command in COMMANDS] + [[g, c] for g, commands in groups.items() for c in commands]
    for line in lines:
        shown = runner.invoke(app, [*line, "--help"])
        assert shown.exit_code == 0, line
        assert "Usage:" in shown.output


def test_help_waits_for_no_driver() -> None:
    code = "import sys, sensorline.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    "line",
    [["nonsense"], ["up", "--nonsense"], ["consume", "nothing"], ["device", "add"], ["config", "show", "--set", "x"]],
)
def test_what_is_not_understood_ends_with_2(line: list[str]) -> None:
    assert runner.invoke(app, line).exit_code == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["config", "show", "--set", "gateway.prot=1"], ["gateway.prot"]),
        (["config", "show", "--set", "gateway.port=x"], ["gateway.port", "flag"]),
        (["config", "show", "--config", "nope.toml"], ["nope.toml"]),
        (["up", "--log", "paper"], ["paper", "kafka", "sqlite"]),
        (["up", "--set", "adapters.sqlite.colour=red"], ["adapters.sqlite.colour"]),
        (["up", "--host", "0.0.0.0"], ["gateway.certfile"]),
        (["gateway", "--set", "log_level=loud"], ["log_level", "debug"]),
        (["restore", "file", "--log", "memory"], ["memory"]),
        (["migrate", "--to-log", "sqlite"], ["same log"]),
        (["device", "list", "--url", "http://127.0.0.1:1"], ["127.0.0.1:1", "sensorline up", "--url"]),
        (["device", "list", "--url", "nonsense"], ["nonsense"]),
        (["backup", "b", "--url", "http://127.0.0.1:1"], ["no station answers"]),
        (["servers", "up", "--only", "mongo", "--home", "h"], ["mongo", "kafka"]),
    ],
)
def test_an_error_is_one_line_with_the_mend(line: list[str], words: list[str]) -> None:
    Path("file").write_bytes(b"")
    ended = runner.invoke(app, line)
    assert ended.exit_code == 1, ended.output
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert ended.stderr.startswith("error: ")
    assert [word for word in words if word not in ended.stderr] == []


def test_the_program_is_installed(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", answer(sensorline(tmp_path, "version", "--json"))["version"])


def test_completion_is_offered(tmp_path: Path) -> None:
    variables = {"_SENSORLINE_COMPLETE": "complete_bash", "COMP_WORDS": "sensorline dev", "COMP_CWORD": "1"}
    assert sensorline(tmp_path, **variables).stdout.split() == ["device"]


def test_a_reader_that_leaves_early_is_no_error_of_ours(tmp_path: Path) -> None:
    """As `sensorline config show | head -1` does."""
    shown = subprocess.Popen(
        [sys.executable, "-c", "from sensorline.cli import main; main()", "config", "show", "--json"],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert shown.stdout is not None
    shown.stdout.close()
    assert shown.stderr is not None
    said = shown.stderr.read()
    shown.stderr.close()
    shown.wait(30)
    assert "Traceback" not in said
