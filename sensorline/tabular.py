"""Tables in files, a piece at a time: CSV, whose cells stay the text they are, and Parquet."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from telemetry.errors import Misconfigured

BLOCK_BYTES = 2**20
PIECE_ROWS = 65_536
DELIMITERS = ",;\t|"


@dataclass
class Source(AbstractContextManager["Source"]):
    """An open table: its columns, and its rows in pieces."""

    schema: pa.Schema
    pieces: Iterator[pa.Table]
    delimiter: str = ","
    _cleanup: ExitStack = field(default_factory=ExitStack)

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()


class Target(Protocol):
    """Where a table goes, piece by piece."""

    def write(self, piece: pa.Table, added: pa.Table) -> None:
        """The rows, with the added columns behind their own."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def is_parquet(path: Path) -> bool:
    """By its ending."""
    return path.suffix.lower() in {".parquet", ".pq"}


def open_source(path: Path) -> Source:
    """Raises `Misconfigured` for what is not there or no table."""
    try:
        return _open_parquet(path) if is_parquet(path) else _open_csv(path)
    except (pa.ArrowException, UnicodeDecodeError) as e:
        raise Misconfigured(f"{path} cannot be read as a table: {e}") from e
    except OSError as e:
        raise Misconfigured(f"{path} cannot be read: {e.strerror or e}") from e


def open_target(path: Path, schema: pa.Schema, added: pa.Schema, *, delimiter: str = ",") -> Target:
    """Replaces what is there, once it is whole."""
    if is_parquet(path):
        return _ParquetTarget(path, pa.schema([*schema, *added]))
    return _CsvTarget(path, [*schema.names, *added.names], delimiter)


def _open_parquet(path: Path) -> Source:
    file = pq.ParquetFile(path)
    cleanup = ExitStack()
    cleanup.callback(file.close)
    pieces = (pa.Table.from_batches([batch]) for batch in file.iter_batches(PIECE_ROWS))
    return Source(file.schema_arrow, pieces, _cleanup=cleanup)


def _open_csv(path: Path) -> Source:
    with path.open(encoding="utf-8-sig", newline="") as file:
        line = file.readline()
    delimiter = max(DELIMITERS, key=line.count) if line.strip() else ","
    names = next(csv.reader(io.StringIO(line), delimiter=delimiter), [])
    schema = pa.schema([(name, pa.string()) for name in names])
    if len(set(names)) != len(names):
        raise Misconfigured(f"{path} has two columns of the same name")
    cleanup = ExitStack()
    return Source(schema, _csv_pieces(path, names, delimiter, cleanup), delimiter, cleanup)


def _csv_pieces(path: Path, names: list[str], delimiter: str, cleanup: ExitStack) -> Iterator[pa.Table]:
    if not names:
        return
    reader = cleanup.enter_context(
        pa_csv.open_csv(
            path,
            pa_csv.ReadOptions(block_size=BLOCK_BYTES, column_names=names, skip_rows=1),
            pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    )
    try:
        for batch in reader:
            yield pa.Table.from_batches([batch])
    except pa.ArrowInvalid as e:
        raise Misconfigured(f"{path}: {e}") from e


class _Whole:
    """A file that is there under its name only when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")

    def _close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()
        if not any(error):
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)


class _CsvTarget(_Whole):
    def __init__(self, path: Path, names: list[str], delimiter: str) -> None:
        super().__init__(path)
        self._file = _opened(self._part)
        head = io.StringIO()
        csv.writer(head, delimiter=delimiter, lineterminator="\n").writerow(names)
        self._file.write(head.getvalue().encode())
        self._delimiter = delimiter

    def write(self, piece: pa.Table, added: pa.Table) -> None:
        columns = [_cells(column, self._delimiter) for column in _beside(piece, added).columns]
        rows = pc.binary_join_element_wise(*columns, self._delimiter)
        self._file.write("".join(f"{row}\n" for row in rows.to_pylist()).encode())

    def _close(self) -> None:
        self._file.close()


class _ParquetTarget(_Whole):
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path)
        self._file = _opened(self._part)
        self._writer = pq.ParquetWriter(self._file, schema)

    def write(self, piece: pa.Table, added: pa.Table) -> None:
        self._writer.write_table(_beside(piece, added))

    def _close(self) -> None:
        self._writer.close()
        self._file.close()


def _opened(path: Path) -> io.BufferedWriter:
    try:
        return path.open("wb")
    except OSError as e:
        raise Misconfigured(f"{path} cannot be written: {e.strerror or e}") from e


def _beside(piece: pa.Table, added: pa.Table) -> pa.Table:
    for name in added.column_names:
        piece = piece.append_column(name, added.column(name))
    return piece


def _cells(column: pa.ChunkedArray, delimiter: str) -> pa.ChunkedArray:
    """As text, in quotes where a cell needs them; the library's own writer quotes every text or none."""
    text = pc.fill_null(column.cast(pa.string()), "")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return text
    special = pc.match_substring_regex(text, f'[{re.escape(delimiter)}"\r\n]')
    if not pc.any(special).as_py():
        return text
    quoted = pc.binary_join_element_wise("", pc.replace_substring(text, '"', '""'), "", '"')
    return pc.if_else(special, quoted, text)
