"""Starts and ends processes that outlive their starter, and never mistakes a recycled pid for one of them."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


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
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.split(None, 1)
    return None if not shown or shown[0].startswith("Z") else shown[1].strip()


def spawn(command: Sequence[str], log_file: Path) -> int:
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
