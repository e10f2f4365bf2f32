"""Replay of JSON lines: one object a line; a line that is no JSON is bad, a blank one is none."""

import gzip
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import orjson

from edge.cleaning.clean import Cleaned, Cleaner, shown
from edge.sources import Bad, SourceFailed
from edge.sources._replay_streams import Chunk
from telemetry.outcome import Reason

LINE_BYTES_MAX = 64 * 1024  # a longer line is broken up, and so bad


@dataclass(frozen=True, slots=True)
class JsonlStream:
    """One file."""

    path: Path
    file: str
    cleaner: Cleaner
    name: str = ""

    def chunks(self, skip: int, chunk_rows: int) -> Generator[Chunk]:
        """See `Stream`."""
        with self._open() as binary:
            lines = iter(partial(binary.readline, LINE_BYTES_MAX), b"")
            try:
                at = sum(1 for _ in islice(lines, skip)) + 1
                while read := list(islice(lines, chunk_rows)):
                    yield self._chunk(read, at)
                    at += len(read)
            except (EOFError, gzip.BadGzipFile) as e:
                raise SourceFailed(f"{self.file}: {e}") from e

    def _open(self) -> BinaryIO:
        return cast(BinaryIO, gzip.open(self.path) if self.path.suffix == ".gz" else self.path.open("rb"))

    def _chunk(self, lines: list[bytes], first: int) -> Chunk:
        rows: list[Any] = []
        where: list[int] = []
        bad: dict[int, Bad] = {}
        for k, line in enumerate(lines):
            try:
                rows.append(orjson.loads(line))
                where.append(k)
            except orjson.JSONDecodeError as e:
                if not line.isspace():
                    text = shown(line.decode("utf-8", "backslashreplace"))
                    bad[k] = Bad(first + k, str(Reason.UNDECODABLE), text, str(e))
        cleaned = self.cleaner.rows(rows, [first + k for k in where], arrived_ns=0)
        at = np.array(where, np.int64)
        bad.update(zip(at[cleaned.bad_rows].tolist(), cleaned.bad, strict=True))
        kept = sorted(bad)
        return Chunk(
            len(lines),
            Cleaned(
                cleaned.series,
                tuple(at[r] for r in cleaned.rows),
                tuple(bad[k] for k in kept),
                np.array(kept, np.int64),
            ),
        )
