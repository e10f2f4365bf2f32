"""Starts and ends processes that outlive their starter, and never mistakes a recycled pid for one of them."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from sensorline.servers.errors import ServersError

TAIL_LINES = 20


def run(command: list[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> str:
    """Run to the end and give its output. Raises ServersError with the last lines of it when it fails."""
    shown = " ".join(command)
    try:
        done = subprocess.run(  # noqa: S603 - a list, never a shell's line
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServersError(f"`{shown}` failed: {error}") from error
    if done.returncode != 0:
        raise ServersError(f"`{shown}` failed with {done.returncode}:\n{tail(done.stdout)}")
    return done.stdout


def tail(text: str) -> str:
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def identity(pid: int) -> str | None:
    """What tells this process from any later one with the same pid; None when none lives (a zombie does not)."""
    with contextlib.suppress(OSError):  # not our child, or already reaped
        os.waitpid(pid, os.WNOHANG)
    if Path("/proc/self/stat").exists():
        return _linux_identity(pid)
    return _ps_identity(pid)


def _linux_identity(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return parse_stat(stat, boot)


def parse_stat(stat: str, boot: str) -> str | None:
    """The identity in the text of /proc/PID/stat (proc_pid_stat(5)): state is field 3, the start in ticks field 22."""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _ps_identity(pid: int) -> str | None:
    try:
        state, started = run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], 10.0).split(None, 1)
    except ServersError:  # ps fails when there is no such process
        return None
    return None if state.startswith("Z") else started.strip()


def spawn(command: list[str], log_file: Path) -> int:
    """Start `command` in a session of its own, both outputs appended to `log_file`; gives its pid.

    Not subprocess.Popen: its object would complain of a child that is meant to live on.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    opened = (os.POSIX_SPAWN_OPEN, 1, str(log_file), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    both = (os.POSIX_SPAWN_DUP2, 1, 2)
    actions = [nothing, opened, both]
    # An empty mask: a starter that blocks SIGTERM would otherwise hand that on, and `down` would have to kill.
    return os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True, setsigmask=[])


def send(pid: int, started: str, number: signal.Signals) -> bool:
    """Signal `pid` if it is still the process that began as `started`; whether it was."""
    if identity(pid) != started:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return True


def wait_gone(pid: int, started: str, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while identity(pid) == started:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def stop(pid: int, started: str, wait_s: float) -> bool:
    """SIGTERM, then SIGKILL after `wait_s` seconds; whether there was anything to stop."""
    if not send(pid, started, signal.SIGTERM):
        return False
    send(pid, started, signal.SIGCONT)  # a paused process hears SIGTERM only then
    if not wait_gone(pid, started, wait_s):
        send(pid, started, signal.SIGKILL)
        wait_gone(pid, started, wait_s)
    return True
