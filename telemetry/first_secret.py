"""The secrets that a station's first start makes: kept in a file of its owner before anybody else hears of them."""

import os
import tempfile
from pathlib import Path


def kept_in(path: Path, made: str) -> str:
    """The secret in the file, which is written (0600, whole or not at all) with `made` when it is absent."""
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
            return path.read_text().strip()
        return made
    finally:
        Path(temporary).unlink()
