"""Many batches as one set of columns a sensor, so that DuckDB is fed by arrays and never by a reading."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from telemetry.batch import DTYPE, Series
from telemetry.ports import Item
from telemetry.reading import Field
from telemetry.stores._days import DAY_NS
from telemetry.stores._tables import ARROW, fields_of

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """An item that is to be stored: its stream's number, and the event time below which its readings are expired."""

    item: Item
    stream: int
    oldest_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class SensorColumns:
    """One sensor's readings of a flush; `owner` (k,) is the index of each series' item, `lengths` (k,) its readings.

    `kept` (n,) says which readings are not expired, None when none is.
    """

    sensor: str
    series: Sequence[Series]
    ordinals: npt.NDArray[np.int32]
    owner: Integers
    lengths: Integers
    t: Integers
    kept: npt.NDArray[np.bool_] | None

    def stored(self, items: int) -> tuple[Integers, Integers]:
        """By item, how many readings are kept, and the last event time of those (-1 when none)."""
        last = np.full(items, -1, np.int64)
        if self.kept is None:
            count = np.bincount(self.owner, self.lengths, minlength=items).astype(np.int64)
            np.maximum.at(last, self.owner, np.maximum.reduceat(self.t, self._starts))
            return count, last
        owner = np.repeat(self.owner, self.lengths)[self.kept]
        np.maximum.at(last, owner, self.t[self.kept])
        return np.bincount(owner, minlength=items), last

    def table(self, placed: Sequence[Placed]) -> pa.Table:
        """The rows to insert: key, event time, the fields that there are, `extra` if there is any."""
        streams = np.array([p.stream for p in placed], np.int32)[self.owner]
        seqs = np.array([p.item.batch.seq for p in placed], np.int64)[self.owner]
        first_row = np.repeat(self._starts, self.lengths)
        columns: dict[str, Any] = {
            "stream": pa.array(np.repeat(streams, self.lengths)),
            "seq": pa.array(np.repeat(seqs, self.lengths)),
            "series": pa.array(np.repeat(self.ordinals, self.lengths)),
            "i": pa.array((np.arange(len(self.t)) - first_row).astype(np.int32)),
            "t": pa.array(self.t),
        }
        for field in fields_of(self.sensor):
            if any(field.name in s.values for s in self.series):
                columns[field.name] = _column(field, self.series)
        if any(s.extra is not None for s in self.series):
            extra = [e for s in self.series for e in (s.extra or (None,) * len(s))]
            columns["extra"] = pa.array(extra, pa.string())
        table = pa.table(columns)
        return table if self.kept is None else table.filter(pa.array(self.kept))

    def days(self, placed: Sequence[Placed]) -> list[tuple[int, str, int, int, int, int]]:
        """Rows for the table `days`: by stream and UTC day, how many, first and last event time."""
        streams = np.array([p.stream for p in placed], np.int64)
        stream, t = np.repeat(streams[self.owner], self.lengths), self.t
        if self.kept is not None:
            stream, t = stream[self.kept], t[self.kept]
        if not len(t):
            return []
        day = t // DAY_NS
        order = np.lexsort((day, stream)) if _mixed(stream, day) else slice(None)
        stream, day, t = stream[order], day[order], t[order]
        starts = np.flatnonzero(np.r_[True, (stream[1:] != stream[:-1]) | (day[1:] != day[:-1])])
        count = np.diff(np.append(starts, len(t)))
        rows = zip(
            stream[starts].tolist(),
            [self.sensor] * len(starts),
            (day[starts] * DAY_NS).tolist(),
            count.tolist(),
            np.minimum.reduceat(t, starts).tolist(),
            np.maximum.reduceat(t, starts).tolist(),
            strict=True,
        )
        return list(rows)

    @property
    def _starts(self) -> Integers:
        return np.cumsum(self.lengths) - self.lengths


def columns_of(placed: Sequence[Placed]) -> list[SensorColumns]:
    """The readings of all the items by sensor."""
    found: dict[str, list[tuple[int, int, Series]]] = {}
    for owner, p in enumerate(placed):
        for ordinal, series in enumerate(p.item.batch.series):
            if len(series):
                found.setdefault(series.sensor, []).append((owner, ordinal, series))
    oldest = np.array([p.oldest_ns for p in placed], np.int64)
    return [_sensor(sensor, parts, oldest) for sensor, parts in found.items()]


def _sensor(sensor: str, parts: Iterable[tuple[int, int, Series]], oldest: Integers) -> SensorColumns:
    owners, ordinals, series = zip(*parts, strict=True)
    owner = np.array(owners, np.int64)
    lengths = np.array([len(s) for s in series], np.int64)
    t = np.concatenate([s.t for s in series])
    kept = t >= np.repeat(oldest[owner], lengths)
    return SensorColumns(sensor, series, np.array(ordinals, np.int32), owner, lengths, t, None if kept.all() else kept)


def _column(field: Field, series: Sequence[Series]) -> pa.Array:
    if not field.kind.is_number:
        values = [v for s in series for v in s.values.get(field.name, (None,) * len(s))]
        return pa.array(values, ARROW[field.kind])
    kind = DTYPE[field.kind]
    numbers: list[Any] = [
        s.values[field.name] if field.name in s.values else np.full(len(s), np.nan, kind) for s in series
    ]
    return pa.array(np.concatenate(numbers), from_pandas=True)  # NaN, our "absent", becomes NULL


def _mixed(stream: Integers, day: Integers) -> bool:
    """Whether rows of one (stream, day) may lie apart; mostly a flush is of one day, in order of the streams."""
    return bool((np.diff(stream) < 0).any() or (day != day[0]).any())
