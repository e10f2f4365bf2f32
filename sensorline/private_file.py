"""Files that are their owner's only: one with a secret in it, replaced whole or not at all, and all of a station's."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from telemetry.durable import sync_folder


def shut_out_others() -> None:
    """What this process writes from now on is its user's only, also in a folder that was made for all to read."""
    os.umask(0o077)


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """Write into what this gives; at the end of the block it takes the file's place, mode 0600.

    The place is made first: who gets a secret only once knows then that it can be kept.  Root writes for the owner of
    what is replaced, or of the folder.  Raises `OSError`.
    """
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # mkstemp: O_EXCL, 0600
    try:
        with os.fdopen(handle, "wb") as made:
            _give(made.fileno(), file)
            yield made
            made.flush()
            os.fsync(made.fileno())
        Path(temporary).replace(file)
        sync_folder(file.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _give(handle: int, file: Path) -> None:
    """To whom the file was; its reader must be able to go on reading it."""
    owner = file.stat() if file.exists() else file.parent.stat()
    if os.geteuid() == 0:
        os.fchown(handle, owner.st_uid, owner.st_gid)
    elif file.exists() and owner.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it is another user's")
