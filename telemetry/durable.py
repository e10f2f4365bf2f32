"""What a file system needs before a name survives the loss of power."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """A new, renamed or deleted name is durable only when its folder was synced.  Raises `OSError`."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
