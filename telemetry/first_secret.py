"""The secrets that a station's first start makes: kept in a file of its owner before anybody else hears of them."""

import contextlib
import os
import tempfile
from pathlib import Path

from telemetry.errors import Misconfigured


def kept_in(path: Path, made: str) -> str:
    """The secret in the file, which is written (0600, whole or not at all) with `made` when it is absent.

    One that somebody put there is taken from other users' eyes; an empty one would let everybody in: `Misconfigured`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mkstemp: O_EXCL, 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(made + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # fails if another was first, and never shows half a file
        except FileExistsError:
            return _found_in(path)
        return made
    finally:
        Path(temporary).unlink()


def _found_in(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        with contextlib.suppress(OSError):  # another user's, or of a folder that cannot be written: they know why
            path.chmod(0o600)
    kept = path.read_text().strip()
    if not kept:
        raise Misconfigured(f"{path} is there and empty: remove it, and the next start makes a secret")
    return kept
