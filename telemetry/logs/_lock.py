"""One process a log: an exclusive lock on a file beside it, which the kernel lets go when the process ends."""

import fcntl
import os
from pathlib import Path

from telemetry.errors import Misconfigured


class DirectoryLock:
    """Held from construction to `release`."""

    def __init__(self, path: Path) -> None:
        """Raises `Misconfigured` when another holds it."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise Misconfigured(
                f"{path.parent} is in use by process {holder or '(unknown)'}: one process a log; "
                "stop that one, or choose another data directory"
            ) from e
        os.truncate(self._fd, 0)
        os.write(self._fd, str(os.getpid()).encode())

    def release(self) -> None:
        """Let go; safe to call again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
