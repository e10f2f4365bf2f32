"""The one table that csv, parquet and arrow carry: a reading a row, the fields of all its sensors side by side."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from telemetry.reading import CATALOGUE, Field, Kind

_ARROW = {Kind.FLOAT32: pa.float32(), Kind.FLOAT64: pa.float64(), Kind.BOOL: pa.bool_(), Kind.TEXT: pa.string()}


def schema_of(sensors: Sequence[str]) -> pa.Schema:
    """sensor, session, seq, series, i, t, the union of the sensors' fields in the catalogue's order, extra."""
    fields = {field.name: _arrow(field) for sensor in sensors for field in _fields(sensor)}
    return pa.schema(
        [
            ("sensor", pa.string()),
            ("session", pa.string()),
            ("seq", pa.int64()),
            ("series", pa.int32()),
            ("i", pa.int32()),
            ("t", pa.int64()),
            *fields.values(),
            ("extra", pa.string()),
        ]
    )


def conform(sensor: str, table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The piece as rows of `schema`: fields it lacks are null, and so is NaN (absent)."""
    arrays = [_column(sensor, table, field) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _column(sensor: str, table: pa.Table, field: pa.Field) -> Any:
    if field.name == "sensor":
        return pa.repeat(pa.scalar(sensor, pa.string()), table.num_rows)
    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    column = table[field.name].cast(field.type)
    if pa.types.is_floating(field.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column)
    return column


def _fields(sensor: str) -> tuple[Field, ...]:
    known = CATALOGUE.get(sensor)
    return known.fields if known else ()


def _arrow(field: Field) -> pa.Field:
    return pa.field(field.name, _ARROW[field.kind], metadata={"unit": field.unit} if field.unit else None)


class Sink(io.RawIOBase):
    """A file that arrow writes to and a response takes from; it holds what was not taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: list[bytes] = []
        self._size_bytes = 0

    def writable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes written so far: Parquet's footer holds positions."""
        return self._size_bytes

    def write(self, data: Any) -> int:
        """Keep a copy."""
        chunk = bytes(data)
        self._chunks.append(chunk)
        self._size_bytes += len(chunk)
        return len(chunk)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self._chunks)
        self._chunks.clear()
        return taken
