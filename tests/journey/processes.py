"""Sensorline as its users run it: the installed command in processes of their own, which a test may kill with -9."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

COMMAND = Path(sys.executable).with_name("sensorline")
START_WAIT_S = 40.0
STOP_WAIT_S = 20.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """This process's, without settings of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SENSORLINE_")}
    return clean | more


def run(*arguments: str, timeout_s: float = 120, ok: bool = True, cwd: Path | None = None) -> list[dict[str, Any]]:
    """Run a command to its end; its JSON lines.  A non-zero exit fails the test when `ok`."""
    done = subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(),
        cwd=cwd,
        check=False,
    )
    if ok:
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@dataclass
class Process:
    """One of ours, restartable: `sensorline NAME ...` with a readiness URL."""

    arguments: Sequence[str]
    ready_url: str
    log_file: Path
    start_wait_s: float = START_WAIT_S
    popen: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self, failpoints: Mapping[str, int] | None = None) -> None:
        """Start, and wait until ready, or until an armed failpoint has killed it."""
        armed = ",".join(f"{name}={count}" for name, count in (failpoints or {}).items())
        with self.log_file.open("ab") as log:
            self.popen = subprocess.Popen(
                [COMMAND, *self.arguments], stdout=log, stderr=log, env=environment(SENSORLINE_FAILPOINTS=armed)
            )
        deadline_s = time.monotonic() + self.start_wait_s
        while time.monotonic() < deadline_s:
            code = self.popen.poll()
            if code is not None:
                assert armed and code == -signal.SIGKILL, f"ended with {code}: {self.log_tail()}"
                return
            if self._is_ready():
                return
            time.sleep(0.05)
        raise AssertionError(f"not ready after {self.start_wait_s} s: {self.log_tail()}")

    def _is_ready(self) -> bool:
        try:
            return httpx.get(self.ready_url, timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """kill -9."""
        assert self.popen is not None
        self.popen.kill()
        self.popen.wait(STOP_WAIT_S)

    def wait_killed(self, timeout_s: float) -> None:
        """Wait until its failpoint has killed it."""
        assert self.popen is not None
        code = self.popen.wait(timeout_s)
        assert code == -signal.SIGKILL, f"ended with {code}, not by its failpoint: {self.log_tail()}"

    def stop(self) -> float:
        """SIGTERM; the seconds until it ended, which must be well."""
        assert self.popen is not None
        if self.popen.poll() is not None:
            return 0.0
        began_s = time.monotonic()
        self.popen.terminate()
        code = self.popen.wait(STOP_WAIT_S)
        assert code == 0, f"SIGTERM ended it with {code}: {self.log_tail()}"
        return time.monotonic() - began_s

    def log_tail(self) -> str:
        """What it said last."""
        return self.log_file.read_text(errors="replace")[-2000:]


@dataclass(frozen=True)
class Fleet:
    """A running `sensorline simulate`."""

    popen: subprocess.Popen[str]
    ledger: Path
    url: str
    data_dir: Path

    def wait(self, timeout_s: float) -> dict[str, Any]:
        """Its last line; everything must have been delivered."""
        out, err = self.popen.communicate(timeout=timeout_s)
        assert self.popen.returncode == 0, f"simulate ended with {self.popen.returncode}:\n{out[-800:]}\n{err[-2000:]}"
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result

    def finish(self, timeout_s: float) -> dict[str, Any]:
        """No new readings: send the rest, then as `wait`."""
        self.popen.send_signal(signal.SIGINT)
        return self.wait(timeout_s)

    def verify(self, timeout_s: float = 120) -> dict[str, Any]:
        """The verifier's last line; it must be four zeros."""
        where = ("--url", self.url, "--data-dir", str(self.data_dir))
        return run("verify", "--ledger", str(self.ledger), *where, "--json", timeout_s=timeout_s)[-1]


@contextmanager
def fleet(url: str, data_dir: Path, *, devices: int, seconds: int | None = None, drain_s: int = 90) -> Iterator[Fleet]:
    """Start a fleet, without `seconds` one that goes on until `finish`; it is ended with the block."""
    ledger = data_dir.parent / "ledger.jsonl"
    arguments = ["--devices", devices, "--drain-s", drain_s, *(["--seconds", seconds] if seconds else [])]
    where = ["--url", url, "--data-dir", data_dir, "--ledger", ledger, "--json"]
    popen = subprocess.Popen(
        [COMMAND, "simulate", *map(str, (*arguments, *where))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield Fleet(popen, ledger, url, data_dir)
    finally:
        if popen.poll() is None:
            popen.kill()
            popen.communicate()


def assert_four_zeros(report: Mapping[str, Any]) -> None:
    """N acknowledged = N found, once."""
    four = {name: report[name] for name in ("lost_acked", "dup_stored", "corrupt", "unaccounted")}
    assert four == dict.fromkeys(four, 0), report
    assert report["stored"] == report["sent"] > 0, report
