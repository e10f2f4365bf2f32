"""A lock between processes, on a file, that is waited for with a deadline and freed by the kernel on a crash."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sensorline.servers.errors import ServersError


@contextmanager
def locked(path: Path, wait_s: float) -> Iterator[None]:
    """Hold `path` alone. Raises ServersError when another process still holds it after `wait_s` seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with path.open("a") as file:
        while not _try(file.fileno()):
            if time.monotonic() > deadline:
                raise ServersError(f"another process has held {path} for {wait_s:.0f} s: is it stuck?")
            time.sleep(0.1)
        yield


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
