"""What a query returns: Arrow tables whose columns, types and order are the same from every store."""

from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa

from telemetry.reading import CATALOGUE, Field, Kind

ARROW: Mapping[Kind, pa.DataType] = MappingProxyType(
    {Kind.FLOAT32: pa.float32(), Kind.FLOAT64: pa.float64(), Kind.BOOL: pa.bool_(), Kind.TEXT: pa.string()}
)
ALWAYS = ("t", "session", "seq", "series", "i")
PIECE_ROWS_MAX = 100_000  # of an export: some 10 MB as Arrow


def fields_of(sensor: str) -> tuple[Field, ...]:
    """The sensor's fields, none for one that the catalogue lacks."""
    known = CATALOGUE.get(sensor)
    return known.fields if known else ()


def schema_of(sensor: str) -> pa.Schema:
    """All the columns that a table of this sensor's readings can have, in order."""
    return pa.schema(
        [
            ("t", pa.int64()),
            *((field.name, ARROW[field.kind]) for field in fields_of(sensor)),
            ("extra", pa.string()),
            ("session", pa.string()),
            ("seq", pa.int64()),
            ("series", pa.int32()),
            ("i", pa.int32()),
        ]
    )


def trimmed(table: pa.Table) -> pa.Table:
    """The table without the fields (and `extra`) that no reading has."""
    return table.select(
        [name for name in table.column_names if name in ALWAYS or table[name].null_count < table.num_rows]
    )


def envelope_schema(sensor: str) -> pa.Schema:
    """All the columns that an envelope of this sensor can have, in order."""
    return pa.schema(
        [
            ("t", pa.int64()),
            ("count", pa.int64()),
            *(
                (f"{field.name}_{part}", pa.float64())
                for field in fields_of(sensor)
                if field.kind.is_number
                for part in ("min", "max", "mean")
            ),
        ]
    )


def envelope_trimmed(table: pa.Table) -> pa.Table:
    """The envelope without the fields that are absent from every bucket."""
    return table.select(
        [name for name in table.column_names if name in {"t", "count"} or table[name].null_count < table.num_rows]
    )
