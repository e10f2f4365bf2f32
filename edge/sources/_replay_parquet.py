"""Replay of Parquet: row groups streamed, only the columns that the map names."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.cleaning.clean import Cells, Cleaner
from edge.sources import SourceFailed, driver
from edge.sources._replay_csv import required
from edge.sources._replay_streams import Chunk


@dataclass(frozen=True, slots=True)
class ParquetStream:
    """One file.  Times of a timestamp type need no `time_unit`; without a zone they are UTC."""

    path: Path
    file: str
    cleaner: Cleaner
    name: str = ""

    def chunks(self, skip: int, chunk_rows: int) -> Generator[Chunk]:
        """See `Stream`."""
        arrow = driver("pyarrow", "edge")
        parquet = driver("pyarrow.parquet", "edge")
        try:
            with parquet.ParquetFile(self.path) as file:
                required(self.cleaner, self.file, file.schema_arrow.names)
                yield from self._chunks(arrow, file, skip, chunk_rows)
        except arrow.ArrowException as e:
            raise SourceFailed(f"{self.file}: {str(e).partition(chr(10))[0]}") from e

    def _chunks(self, arrow: Any, file: Any, skip: int, chunk_rows: int) -> Generator[Chunk]:
        at, groups = 0, list(range(file.num_row_groups))
        while groups and at + file.metadata.row_group(groups[0]).num_rows <= skip:
            at += file.metadata.row_group(groups.pop(0)).num_rows
        if not groups:
            return
        names = self.cleaner.columns_wanted
        for batch in file.iter_batches(batch_size=chunk_rows, row_groups=groups, columns=names, use_threads=False):
            rows = batch.slice(max(0, skip - at))
            at += batch.num_rows
            if rows.num_rows:
                columns = {name: _cells(arrow, rows.column(name)) for name in names}
                lines = range(at - rows.num_rows + 1, at + 1)
                yield Chunk(rows.num_rows, self.cleaner.columns(columns, lines, arrived_ns=0))


def _cells(arrow: Any, column: Any) -> Cells:
    """A null is absent; NaN is a value, and so bad."""
    types = arrow.types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_timestamp(column.type):
        plain = column.cast(arrow.timestamp("ns", column.type.tz), safe=False).cast(arrow.int64())
        times: Cells = np.ma.MaskedArray(
            plain.fill_null(0).to_numpy(zero_copy_only=False).view("datetime64[ns]"), mask=_nulls(column)
        )
        return times
    if types.is_integer(column.type) or types.is_floating(column.type):
        filled = column.fill_null(0) if column.null_count else column
        numbers = filled.to_numpy(zero_copy_only=False)
        cells: Cells = np.ma.MaskedArray(numbers, mask=_nulls(column)) if column.null_count else numbers
        return cells
    listed: Cells = column.to_pylist()
    return listed


def _nulls(column: Any) -> Any:
    return column.is_null().to_numpy(zero_copy_only=False)
