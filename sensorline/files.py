"""An answer of the station saved as a file: whole or not at all."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from sensorline import output
from telemetry.errors import Misconfigured

STDOUT = Path("-")


def save(chunks: Iterator[bytes], target: Path, what: str, *, private: bool = False) -> int:
    """Write the chunks, give the size in bytes; `private` files are readable by their owner only.

    A file appears under its name only when all of it is on the disk.  Raises `Misconfigured` when it cannot be
    written, and what `chunks` raises.
    """
    if target == STDOUT:
        return sum(map(_to_stdout, chunks))
    part = target.with_name(target.name + ".part")
    try:
        size = _write(chunks, part, what, 0o600 if private else 0o666)
        part.replace(target)
    except OSError as e:
        raise Misconfigured(f"{target} cannot be written ({e.strerror}): choose another file") from e
    finally:
        part.unlink(missing_ok=True)
    return size


def _write(chunks: Iterator[bytes], part: Path, what: str, mode: int) -> int:
    size = 0
    part.unlink(missing_ok=True)  # one of an earlier time may be open to others, or lead elsewhere
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file, output.progress(what, size=True) as move:
        for chunk in chunks:
            size += file.write(chunk)
            move(size)
        file.flush()
        os.fsync(file.fileno())
    return size


def _to_stdout(chunk: bytes) -> int:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return len(chunk)
