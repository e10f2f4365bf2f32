"""The device's token: one file, mode 0600, read again when it changes, so that a rotation needs no restart."""

import logging
import os
import stat
from pathlib import Path

from telemetry.credentials import TOKEN_CHARS_MAX
from telemetry.errors import Misconfigured

logger = logging.getLogger(__name__)


class TokenFile:
    """Call it for the token.  Once there was one, a file that cannot be read leaves the last one in force."""

    def __init__(self, path: Path) -> None:
        """Raises `Misconfigured` when the file is absent, empty, or readable by others."""
        self._path = path
        self._complaint = ""
        self._seen = self._stamp()
        self._token = _read(path)

    def __call__(self) -> str:
        """The token in force."""
        self.refresh()
        return self._token

    def refresh(self) -> bool:
        """Read the file again if it was written since; True when there is a new token."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            token = _read(self._path)
        except Misconfigured as e:
            self._complain(e.message)
            return False
        self._complaint = ""
        is_new = token != self._token
        self._token = token
        if is_new:
            logger.info("a new token was found in %s", self._path)
        return is_new

    def _stamp(self) -> tuple[int, int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            logger.error("%s; the last token stays in force", message)
        self._complaint = message


def _read(path: Path) -> str:
    try:
        fd = os.open(path, os.O_RDONLY)
        with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor, so that mode and content are of one file
            mode = os.fstat(fd).st_mode
            raw = file.read(TOKEN_CHARS_MAX + 64)
    except OSError as e:
        raise Misconfigured(f"no token in {path} ({e.strerror}): `sensorline edge enroll` writes it") from e
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(f"{path} can be read by others: chmod 600 {path}")
    token = raw.decode("ascii", "replace").strip()
    if not token or len(token) > TOKEN_CHARS_MAX or not token.isprintable() or not token.isascii() or " " in token:
        raise Misconfigured(f"{path} holds no token: it is one line that begins with sl_")
    return token
