"""Replay of CSV: streamed, a row with too many or too few cells is bad, a blank line is none."""

import csv
import gzip
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import numpy as np
import numpy.typing as npt

from edge.cleaning.clean import Cleaned, Cleaner, shown
from edge.sources import Bad, SourceFailed
from edge.sources._replay_streams import Chunk
from telemetry.errors import Misconfigured
from telemetry.outcome import Reason

LINE_CHARS_MAX = 64 * 1024  # a longer line is broken up, and so bad
DELIMITERS = (",", ";", "\t", "|")

Record: TypeAlias = list[str]


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """How the file is written; `delimiter` None: the one that the first line has most of."""

    delimiter: str | None = None
    encoding: str = "utf-8-sig"
    header: tuple[str, ...] | None = None
    skip_lines: int = 0


@dataclass(frozen=True, slots=True)
class CsvStream:
    """`opened` gives the text; `cleaner_of` the cleaner for a header (raises `Misconfigured`)."""

    file: str
    name: str
    opened: Callable[[], AbstractContextManager[TextIO]]
    cleaner_of: Callable[[Sequence[str]], Cleaner]
    written: CsvFormat = CsvFormat()

    def chunks(self, skip: int, chunk_rows: int) -> Generator[Chunk]:
        """See `Stream`."""
        with self.opened() as text:
            lines = iter(partial(text.readline, LINE_CHARS_MAX), "")
            try:
                yield from self._chunks(lines, skip, chunk_rows)
            except (UnicodeError, EOFError, gzip.BadGzipFile) as e:
                raise SourceFailed(f"{self.file}: {e}") from e

    def _chunks(self, lines: Iterator[str], skip: int, chunk_rows: int) -> Generator[Chunk]:
        before = sum(1 for _ in islice(lines, self.written.skip_lines))
        first = next(lines, None)
        if first is None:
            return
        reader = csv.reader(
            chain((first,), lines), delimiter=self.written.delimiter or _delimiter(first), skipinitialspace=True
        )
        header = list(self.written.header or next(reader, ()))
        rows = _Rows(reader, header, self.cleaner_of(header), before)
        while skip > 0:
            passed = rows.read(min(skip, chunk_rows)).count
            if not passed:
                return
            skip -= passed
        while (chunk := rows.chunk(chunk_rows)) is not None:
            yield chunk


def text_of(path: Path, encoding: str) -> TextIO:
    """A file's text, also of a gzipped one; bytes that are no text become lone surrogates."""
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding, "surrogateescape", "")
    return path.open(encoding=encoding, errors="surrogateescape", newline="")


def required(cleaner: Cleaner, file: str, header: Sequence[str]) -> Cleaner:
    """`cleaner`; raises `Misconfigured` when the header lacks one of its columns."""
    for name in cleaner.columns_wanted:
        if name not in header:
            raise Misconfigured(f"{file} has no column {name!r}; it has: {shown(', '.join(header))}")
    return cleaner


@dataclass(frozen=True, slots=True)
class _Records:
    """`line`: of the first one.  `wrong`: what the last one is, if it is no record."""

    records: list[Record]
    line: int
    lines: int
    wrong: str = ""

    @property
    def count(self) -> int:
        return len(self.records)


class _Rows:
    def __init__(self, reader: Any, header: Sequence[str], cleaner: Cleaner, lines_before: int) -> None:
        self._reader = reader
        self._header = header
        self._cleaner = cleaner
        self._before = lines_before

    def read(self, count: int) -> _Records:
        """The next records, fewer at the end or behind one that is none."""
        records: list[Record] = []
        line = self._reader.line_num + 1
        wrong = ""
        try:
            records.extend(islice(self._reader, count))  # keeps those before an error
        except csv.Error as e:
            records.append([])
            wrong = str(e)
        return _Records(records, line + self._before, self._reader.line_num + 1 - line, wrong)

    def chunk(self, count: int) -> Chunk | None:
        """The next records, cleaned; their text is let go, which is many times what they come to."""
        read = self.read(count)
        return self.cleaned(read) if read.count else None

    def cleaned(self, read: _Records) -> Chunk:
        """Columns of those that are as wide as the header."""
        width = len(self._header)
        lines = _lines(read)
        if not read.wrong and set(map(len, read.records)) == {width}:
            return Chunk(read.count, self._clean(read.records, lines))
        kept = [k for k, record in enumerate(read.records) if len(record) == width]
        odd = [k for k, record in enumerate(read.records) if record and len(record) != width]
        bad = {k: _odd(int(lines[k]), read.records[k], width) for k in odd}
        if read.wrong:
            bad[read.count - 1] = Bad(int(lines[-1]), str(Reason.UNDECODABLE), "", read.wrong)
        cleaned = self._clean([read.records[k] for k in kept], lines[kept])
        where = np.array(kept, np.int64)
        bad.update(zip(where[cleaned.bad_rows].tolist(), cleaned.bad, strict=True))
        rows = sorted(bad)
        return Chunk(
            read.count,
            Cleaned(
                cleaned.series,
                tuple(where[r] for r in cleaned.rows),
                tuple(bad[k] for k in rows),
                np.array(rows, np.int64),
            ),
        )

    def _clean(self, records: list[Record], lines: npt.NDArray[np.int64]) -> Cleaned:
        if not records:
            return Cleaned((), ())
        columns = dict(zip(self._header, zip(*records, strict=True), strict=True))
        return self._cleaner.columns(columns, lines, arrived_ns=0, text=lambda k: ",".join(records[k]))


def _odd(line: int, record: Record, width: int) -> Bad:
    detail = f"{len(record)} cells where the header has {width}"
    return Bad(line, str(Reason.BAD_VALUES), shown(",".join(record[: width + 8])), detail)


def _lines(read: _Records) -> npt.NDArray[np.int64]:
    """The line on which each record begins."""
    if read.lines == read.count:
        return np.arange(read.line, read.line + read.count, dtype=np.int64)
    inside = [1 + sum(cell.count("\n") for cell in record) for record in read.records]
    lines: npt.NDArray[np.int64] = read.line + np.concatenate(([0], np.cumsum(inside[:-1], dtype=np.int64)))
    return lines


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=line.count)


def file_stream(path: Path, file: str, cleaner: Cleaner, written: CsvFormat) -> CsvStream:
    """Of a CSV file and the option `map`."""
    return CsvStream(
        file, "", lambda: closing(text_of(path, written.encoding)), lambda h: required(cleaner, file, h), written
    )
