"""Rows of a source that could not become readings: one file beside the spool, JSON lines, bounded."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import orjson

from edge.sources import TEXT_CHARS_MAX, Bad
from telemetry.clock import Clock

logger = logging.getLogger(__name__)

SIZE_BYTES_MAX = 4 * 2**20
FILE = "aside.jsonl"
OLD_FILE = "aside.old.jsonl"


class BadRows:
    """Appends; at `SIZE_BYTES_MAX` the file becomes the old one, of which there is one."""

    def __init__(self, folder: Path, clock: Clock, *, size_bytes_max: int = SIZE_BYTES_MAX) -> None:
        self._path = folder / FILE
        self._old = folder / OLD_FILE
        self._clock = clock
        self._size_bytes_max = size_bytes_max
        self._file: BinaryIO | None = None
        self._is_failing = False

    def keep(self, source: str, rows: Sequence[Bad]) -> None:
        """Write them down.  A disk that takes nothing is logged once: they are counted all the same."""
        now_ns = self._clock.now_ns()
        lines = b"".join(_line(source, row, now_ns) for row in rows)
        try:
            self._append(lines)
        except OSError as e:
            if not self._is_failing:
                logger.error("%s cannot be written: %s; bad rows are only counted", self._path, e)  # noqa: TRY400
            self._is_failing = True
            self.close()
        else:
            self._is_failing = False

    def close(self) -> None:
        """Let the file go."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _append(self, lines: bytes) -> None:
        if self._file is None:
            self._file = self._path.open("ab", buffering=0)
        if self._file.tell() and self._file.tell() + len(lines) > self._size_bytes_max:
            self.close()
            self._path.replace(self._old)
            self._file = self._path.open("ab", buffering=0)
        self._file.write(lines)


def _line(source: str, row: Bad, now_ns: int) -> bytes:
    said = {
        "at_ns": now_ns,
        "source": source,
        "line": row.line,
        "reason": row.reason,
        "detail": row.detail,
        "text": row.text,
    }
    for name in ("text", "detail"):
        said[name] = str(said[name])[:TEXT_CHARS_MAX].encode("utf-8", "replace").decode()
    return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)
