"""Rows of one sensor as numpy columns, for the store in memory: what the queries mean, in its plainest form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from telemetry.batch import DTYPE, Column, Series
from telemetry.reading import Field
from telemetry.stores._tables import ARROW, envelope_schema, envelope_trimmed, fields_of, schema_of, trimmed

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What is stored of one series: its readings still kept, `i` (n,) being their index in the batch's series."""

    session: str
    seq: int
    ordinal: int
    i: npt.NDArray[np.int32]
    series: Series

    def __len__(self) -> int:
        return len(self.i)

    def where(self, mask: Mask) -> "Rows":
        """Only the rows where `mask` (n,) is true."""
        if mask.all():
            return self
        series = self.series
        extra = series.extra and tuple(e for e, kept in zip(series.extra, mask, strict=True) if kept)
        values = {name: _masked(column, mask) for name, column in series.values.items()}
        part = Series(series.sensor, series.t[mask], values, extra)
        return Rows(self.session, self.seq, self.ordinal, self.i[mask], part)

    def between(self, first_ns: int, last_ns: int) -> "Rows":
        """Only the rows with an event time from `first_ns` to `last_ns`, both included."""
        return self.where((self.series.t >= first_ns) & (self.series.t <= last_ns))


def table_of(sensor: str, rows: Sequence[Rows], *, by_time: bool, limit: int | None = None) -> pa.Table:
    """The rows as a query returns them: by (t,) session, seq, series, i."""
    rows = sorted((r for r in rows if len(r)), key=lambda r: (r.session, r.seq, r.ordinal))
    lengths = [len(r) for r in rows]
    columns: dict[str, Any] = {"t": _joined([r.series.t for r in rows], np.int64)}
    for field in fields_of(sensor):
        columns[field.name] = _field(field, rows)
    columns["extra"] = [text for r in rows for text in (r.series.extra or (None,) * len(r))]
    columns["session"] = [r.session for r in rows for _ in range(len(r))]
    columns["seq"] = np.repeat(np.array([r.seq for r in rows], np.int64), lengths)
    columns["series"] = np.repeat(np.array([r.ordinal for r in rows], np.int32), lengths)
    columns["i"] = _joined([r.i for r in rows], np.int32)
    arrays = [pa.array(columns[f.name], f.type, from_pandas=True) for f in schema_of(sensor)]
    table = pa.Table.from_arrays(arrays, schema=schema_of(sensor))
    if by_time:  # a stable sort keeps the rest of the order
        table = table.take(np.argsort(columns["t"], kind="stable")[:limit])
    return trimmed(table)


def envelope_of(sensor: str, rows: Sequence[Rows], origin_ns: int, width_ns: int) -> pa.Table:
    """Count, min, max and mean by bucket, over the rows given."""
    rows = [r for r in rows if len(r)]
    bucket = (_joined([r.series.t for r in rows], np.int64) - origin_ns) // width_ns
    order = np.argsort(bucket, kind="stable")
    distinct, starts, counts = np.unique(bucket[order], return_index=True, return_counts=True)
    columns: dict[str, Any] = {"t": origin_ns + distinct * width_ns, "count": counts}
    for field in fields_of(sensor):
        if field.kind.is_number and len(distinct):
            numbers = np.asarray(_numbers(field, rows), np.float64)[order]
            columns |= _reduced(field.name, numbers, starts)
    schema = envelope_schema(sensor)
    arrays = [pa.array(columns.get(f.name, np.empty(0)), f.type, from_pandas=True) for f in schema]
    return envelope_trimmed(pa.Table.from_arrays(arrays, schema=schema))


def _reduced(name: str, numbers: npt.NDArray[np.float64], starts: npt.NDArray[np.intp]) -> dict[str, Any]:
    """Absent values (NaN) are ignored; a bucket of only such gives NaN, which becomes null."""
    present = np.add.reduceat(~np.isnan(numbers), starts, dtype=np.int64)
    total = np.add.reduceat(np.nan_to_num(numbers), starts)
    mean = np.divide(total, present, out=np.full(len(starts), np.nan), where=present > 0)
    return {
        f"{name}_min": np.fmin.reduceat(numbers, starts),
        f"{name}_max": np.fmax.reduceat(numbers, starts),
        f"{name}_mean": mean,
    }


def _field(field: Field, rows: Sequence[Rows]) -> Any:
    if field.kind.is_number:
        return _numbers(field, rows)
    absent = (None,)
    return pa.array([v for r in rows for v in r.series.values.get(field.name, absent * len(r))], ARROW[field.kind])


def _numbers(field: Field, rows: Sequence[Rows]) -> npt.NDArray[Any]:
    kind = DTYPE[field.kind]
    return _joined([r.series.values.get(field.name, np.full(len(r), np.nan, kind)) for r in rows], kind)


def _joined(parts: Sequence[Any], dtype: Any) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype, copy=False)


def _masked(column: Column, mask: Mask) -> Column:
    if isinstance(column, np.ndarray):
        kept: Column = column[mask]
        return kept
    return tuple(value for value, keep in zip(column, mask, strict=True) if keep)  # type: ignore[return-value]
