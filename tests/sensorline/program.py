"""The installed program as a person runs it: a process, its exit code, its output."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from sensorline.cli import app

SETTINGS = tuple(name for name in os.environ if name.startswith("SENSORLINE_"))  # of whoever runs the tests
PROGRAM = Path(sys.executable).with_name("sensorline")
WAIT_S = 60.0


def environment(**more: str) -> dict[str, str]:
    """This one without settings of whoever runs the tests."""
    kept = {name: text for name, text in os.environ.items() if name not in SETTINGS}
    return kept | {"NO_COLOR": "1", "COLUMNS": "120"} | more


def sensorline(
    folder: Path, *arguments: str | Path, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in `folder`; fails when its exit code is not `code`."""
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def invoke(folder: Path, *arguments: str | Path, code: int = 0) -> list[Any]:
    """A command with --json in this process, which is quicker; the values of its lines."""
    with chdir(folder):
        done = CliRunner().invoke(app, [*map(str, arguments), "--json"], env=dict.fromkeys(SETTINGS))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, f"{arguments}: {done.exit_code}\n{done.output}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON of the last line of standard output."""
    return json.loads(done.stdout.splitlines()[-1])


@dataclass(frozen=True)
class Running:
    """A process that was started; `ready` waits until it says that it is."""

    process: subprocess.Popen[str]
    log: Path

    @cached_property
    def ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        said: dict[str, Any] = json.loads(line)
        return said

    @property
    def url(self) -> str:
        return str(self.ready["url"])


@contextmanager
def running(folder: Path, *arguments: str | Path) -> Iterator[Running]:
    """A long-running command, started with --json; ended by SIGTERM, upon which it must end well.

    Does not wait until it is ready, so that several can start at once.
    """
    with (folder / "stderr.log").open("a") as log:
        process = subprocess.Popen(
            [PROGRAM, *map(str, arguments), "--json"],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            stdin=subprocess.DEVNULL,
        )
    started = Running(process, folder / "stderr.log")
    try:
        yield started
        if process.poll() is None and started.ready:  # before that it has no handler for the signal
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S) == 0, (folder / "stderr.log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(WAIT_S)
        if process.stdout is not None:
            process.stdout.close()


def up(folder: Path, data_dir: str, *more: str) -> Any:
    """A station on any free port with its data in `folder`/`data_dir`."""
    return running(folder, "up", "--port", "0", "--data-dir", data_dir, *more)
