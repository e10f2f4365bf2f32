"""CSV (RFC 4180): numbers as the shortest text that keeps their precision, absent values empty.

A text that a spreadsheet would run as a formula (it begins with = + - @, a tab or a carriage return) gets an
apostrophe in front; numbers, names and the JSON of `extra` are left alone.  Parquet and Arrow carry texts untouched.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gateway.export._table import Sink, conform, schema_of
from telemetry.reading import FIELD_NAMES, Kind

media_type = "text/csv; charset=utf-8; header=present"
suffix = "csv"
sensor: str | None = None

_FORMULA = r"^[=+\-@\t\r]"  # OWASP, CSV Injection


class _Csv:
    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._sink = Sink()
        self._writer = pa.csv.CSVWriter(self._sink, schema)

    def write(self, sensor: str, table: pa.Table) -> bytes:
        """See `Writer`."""
        self._writer.write_table(_harmless(conform(sensor, table, self._schema)))
        return self._sink.take()

    def end(self) -> bytes:
        """See `Writer`."""
        self._writer.close()
        return self._sink.take()


def open(device: str, sensors: Sequence[str]) -> _Csv:  # noqa: A001 - the port's word
    """A writer with a header line."""
    return _Csv(schema_of(sensors))


def _harmless(table: pa.Table) -> pa.Table:
    for k, field in enumerate(table.schema):
        if FIELD_NAMES.get(field.name) is Kind.TEXT:
            table = table.set_column(k, field, _quoted(table[field.name]))
    return table


def _quoted(column: pa.ChunkedArray) -> Any:
    is_formula = pc.match_substring_regex(column, _FORMULA)
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)
