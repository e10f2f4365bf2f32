"""From a store's rows back to the batches that were sent, so that anyone can compare hashes with a ledger."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from telemetry.batch import Batch, Column, Series
from telemetry.reading import CATALOGUE, Kind

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Sensor:
    """All rows of one sensor as columns, and where each series begins in them."""

    name: str
    t: Integers
    values: dict[str, Column]
    extra: list[str | None] | None
    starts: Integers
    ends: Integers

    def series(self, run: int) -> Series:
        a, b = int(self.starts[run]), int(self.ends[run])
        values = {name: column[a:b] for name, column in self.values.items()}
        return Series.of(self.name, self.t[a:b], values, self.extra and self.extra[a:b])


def batches_of(device: str, pieces: Iterable[tuple[str, pa.Table]]) -> Iterator[Batch]:
    """The batches, by session and seq, of which a store's `export` gave these pieces.

    Takes one device's pieces, each sensor's in the export's order, and holds them all (as columns, some 40 bytes a
    reading): ask for one session at a time.  What the store lacks of a batch is lacking here: rows that were expired
    or pruned, and series that never had a reading.  A tombstone has no rows and does not come back.
    """
    tables: dict[str, list[pa.Table]] = {}
    for sensor, table in pieces:
        if table.num_rows:
            tables.setdefault(sensor, []).append(table)
    names = sorted({s for parts in tables.values() for part in parts for s in _distinct(part["session"])})
    sensors, runs = [], []
    for number, (sensor, parts) in enumerate(sorted(tables.items())):
        columns, keys = _columns(sensor, pa.concat_tables(parts, promote_options="default"), names)
        sensors.append(columns)
        count = len(columns.starts)
        runs.append(np.column_stack([keys, np.full(count, number), np.arange(count)]))
    if runs:
        yield from _batches(device, names, sensors, np.concatenate(runs))


def _batches(device: str, names: list[str], sensors: list[_Sensor], runs: Integers) -> Iterator[Batch]:
    """`runs` (n, 5): session, seq, series, sensor, run of that sensor."""
    runs = runs[np.lexsort((runs[:, 2], runs[:, 1], runs[:, 0]))]
    begins = np.flatnonzero(_changes(runs[:, 0], runs[:, 1]))
    for a, b in zip(begins, [*begins[1:], len(runs)], strict=True):
        series = tuple(sensors[sensor].series(run) for sensor, run in runs[a:b, 3:].tolist())
        yield Batch(device, names[int(runs[a, 0])], int(runs[a, 1]), series)


def _columns(sensor: str, table: pa.Table, names: list[str]) -> tuple[_Sensor, Integers]:
    """The sensor's columns, and for each of its series (session, seq, series)."""
    sessions = pc.index_in(table["session"], value_set=pa.array(names, pa.string()))
    key = [np.asarray(c.to_numpy(), np.int64) for c in (sessions, table["seq"], table["series"])]
    starts = np.flatnonzero(_changes(*key))
    known = CATALOGUE.get(sensor)
    values = {
        field.name: _column(field.kind, table[field.name])
        for field in (known.fields if known else ())
        if field.name in table.column_names
    }
    extra = table["extra"].to_pylist() if "extra" in table.column_names else None
    t = table["t"].to_numpy()
    ends = np.append(starts[1:], len(t))
    return _Sensor(sensor, t, values, extra, starts, ends), np.column_stack([k[starts] for k in key])


def _column(kind: Kind, column: pa.ChunkedArray) -> Any:
    """Numbers as numpy, NaN where absent; texts and truth values as a tuple, None where absent."""
    return column.to_numpy() if kind.is_number else tuple(column.to_pylist())


def _changes(*keys: Integers) -> npt.NDArray[np.bool_]:
    """Where any of the keys (n,) differs from the row before; the first row is a change."""
    changed = np.zeros(len(keys[0]), np.bool_)
    changed[:1] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return changed


def _distinct(column: pa.ChunkedArray) -> list[str]:
    distinct: list[str] = pc.unique(column).to_pylist()
    return distinct
