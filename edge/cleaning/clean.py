"""Rows or columns of somebody's data -> canonical series and bad rows: every row ends in one of the two.  Pure.

A row is bad when its time is missing or none, when a value is no number, is not finite, or is outside the catalogue's
range (after narrowing), or when it has no value at all.  The rest is kept.  With several sensors in `map`, a row gives
a reading to each that it has values for; it is bad, once, when any of them finds it so, or when none finds anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from functools import cache
from typing import Any, TypeAlias, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from edge.cleaning.cells import Cells, Mask, Reals, numbers, texts, truths
from edge.cleaning.faults import Faults, Lines, shown
from edge.cleaning.mapping import Mapping as SensorMapping
from edge.cleaning.mapping import Maps
from edge.cleaning.moments import SECONDS, TimeFormat, moments
from edge.cleaning.rows import Getter, columns_of, getter
from edge.cleaning.units import Conversion, conversion
from edge.sources import Bad
from telemetry.batch import DTYPE, EXTRA_BYTES_MAX, Column, Floats, Series, Times, out_of_range
from telemetry.outcome import Reason
from telemetry.reading import CATALOGUE, Field, Kind, Sensor

__all__ = ["Cells", "Cleaned", "Cleaner", "Maps", "Target", "Wanted", "shown", "targets"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One field: its column and what turns that into the catalogue's unit (None: nothing)."""

    field: Field
    column: str
    convert: Conversion | None = None


@dataclass(frozen=True)
class Target:
    """One sensor's readings out of each row.  `convert`: all numbers at once, (numbers, n) -> the same, NaN absent.

    `extras`: gives each row's JSON text of what the catalogue lacks.  `may_be_empty`: its time alone is a reading.
    """

    sensor: Sensor
    numbers: tuple[Wanted, ...]
    others: tuple[Wanted, ...] = ()
    time: str | None = None
    written: TimeFormat = SECONDS
    absent: frozenset[str] = frozenset()
    decimal: str = "."
    convert: Callable[[Reals], Reals] | None = None
    extras: Callable[[Mapping[str, Cells], int], list[str | None]] | None = None
    may_be_empty: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns that it reads."""
        return [*([self.time] if self.time else []), *(w.column for w in (*self.numbers, *self.others))]


Arrived: TypeAlias = int | Sequence[int] | Callable[[], int]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """`rows[k]` says which row (from 0) each reading of `series[k]` was, `bad_rows` the same of `bad`; all rising."""

    series: tuple[Series, ...]
    rows: tuple[npt.NDArray[np.int64], ...]
    bad: tuple[Bad, ...] = ()
    bad_rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


class Cleaner:
    """A source's `map`, ready for work."""

    def __init__(self, wanted: Sequence[Target]) -> None:
        self._targets = tuple(wanted)
        self._getters: dict[str, Getter] | None = None

    @classmethod
    def of(cls, maps: Maps, path: str) -> "Cleaner":
        """Of the option `map`, which stands at `path` (e.g. "sources.weather.map").  Raises `Misconfigured`."""
        return cls(targets(maps, path))

    def prepare_rows(self, path: str) -> "Cleaner":
        """To be called once by a source of JSON rows, before `rows`: raises `Misconfigured` for bad JMESPath."""
        self._getters = {name: getter(name, path) for name in self.columns_wanted}
        return self

    @property
    def columns_wanted(self) -> list[str]:
        """The columns that the mappings name, each once."""
        return list(dict.fromkeys(name for target in self._targets for name in target.columns))

    @property
    def is_stamped(self) -> bool:
        """True when readings of some sensor get their time on arrival."""
        return any(target.time is None for target in self._targets)

    def rows(
        self,
        rows: Sequence[Any],
        lines: Lines,
        *,
        arrived_ns: Arrived,
        text: Callable[[int], str] | None = None,
    ) -> Cleaned:
        """JSON rows, one reading (of each sensor) a row; anything may stand there."""
        if self._getters is None:
            raise RuntimeError("prepare_rows first")
        columns = columns_of(rows, self._getters)
        return self.columns(columns, lines, arrived_ns=arrived_ns, text=text or (lambda k: shown(rows[k])))

    def columns(
        self,
        columns: Mapping[str, Cells],
        lines: Lines,
        *,
        arrived_ns: Arrived,
        text: Callable[[int], str] | None = None,
    ) -> Cleaned:
        """Columns by name, each as long as `lines`; a column that is not there is absent from every row.

        `arrived_ns`: UTC, of all or one a row, for sensors whose mapping names no time; a function is asked only for
        these, for what asked a stamp for the time is shifted when the clock is set.  `text`: of a row, for a person.
        """
        n = len(lines)
        arrived = cache(arrived_ns) if callable(arrived_ns) else lambda: arrived_ns
        faults = Faults(n)
        found: list[tuple[Series, npt.NDArray[np.int64]]] = []
        empty = np.ones(n, np.bool_)
        for target in self._targets:
            one = _One(target, columns, n)
            empty &= one.empty
            faults.join(one.faults)
            found.extend(one.finish(arrived))
        faults.mark(empty, Reason.BAD_VALUES, "no value in it")
        line_text = text or (lambda k: ",".join(_cell_text(c[k]) for c in columns.values()))
        return Cleaned(
            tuple(series for series, _ in found),
            tuple(rows for _, rows in found),
            tuple(faults.bad(lines, line_text)),
            faults.rows(),
        )


def targets(maps: Sequence[SensorMapping], path: str) -> list[Target]:
    """Compile; raises `Misconfigured` with a unit's path."""
    return [_target(one, path if len(maps) == 1 else f"{path}[{k}]") for k, one in enumerate(maps)]


def picked(column: Column, rows: npt.NDArray[np.int64]) -> Column:
    """These rows of a column, in this order."""
    if isinstance(column, np.ndarray):
        return cast(Column, column[rows])
    return cast(Column, tuple(column[k] for k in rows.tolist()))


def picked_readings(series: Series, rows: npt.NDArray[np.int64]) -> Series:
    """These readings of a series, in this order."""
    values = {name: picked(column, rows) for name, column in series.values.items()}
    extra = None if series.extra is None else [series.extra[k] for k in rows.tolist()]
    return Series.of(series.sensor, series.t[rows], values, extra)


def _target(one: SensorMapping, path: str) -> Target:
    sensor = CATALOGUE[one.sensor]
    wanted = [
        Wanted(f, m.source, conversion(m.unit, f, f"{path}.fields.{f.name}.unit"))
        for f in sensor.fields
        if (m := one.fields.get(f.name)) is not None
    ]
    return Target(
        sensor,
        tuple(w for w in wanted if w.field.kind.is_number),
        tuple(w for w in wanted if not w.field.kind.is_number),
        one.time,
        TimeFormat(one.time_unit, UTC if one.timezone == "UTC" else ZoneInfo(one.timezone)),
        frozenset(text.strip() for text in one.absent),
        one.decimal,
    )


class _One:
    """One target's work on one chunk."""

    def __init__(self, target: Target, columns: Mapping[str, Cells], n: int) -> None:
        self._target = target
        self._n = n
        self.faults = Faults(n)
        self._others = [self._other(w, columns) for w in target.others]
        self._narrow = self._numbers(columns)
        self._extra = target.extras(columns, n) if target.extras else None
        self.empty = self._empty()
        self._times: Times | None = None
        if target.time is not None:
            self._read_times(columns, target.time)
        if self._extra is not None:
            too_large = [e is not None and len(e) > EXTRA_BYTES_MAX for e in self._extra]
            self.faults.mark(np.array(too_large, np.bool_), Reason.EXTRA_TOO_LARGE, "too much that is not known")

    def finish(self, arrived: Callable[[], int | Sequence[int]]) -> list[tuple[Series, npt.NDArray[np.int64]]]:
        """The series of the good rows, and which they are; [] when there is none."""
        good = ~self.empty if self.faults.which is None else ~self.empty & (self.faults.which == 0)
        rows = np.flatnonzero(good)
        if not len(rows):
            return []
        times = np.full(self._n, arrived(), np.int64) if self._times is None else self._times
        values: dict[str, Column] = dict(self._narrow)
        values.update({w.field.name: column for w, column in zip(self._target.others, self._others, strict=True)})
        extra = self._extra
        if len(rows) < self._n:
            times = times[rows]
            values = {name: picked(column, rows) for name, column in values.items()}
            extra = None if extra is None else [extra[k] for k in rows.tolist()]
        return [(Series.of(self._target.sensor.name, times, values, extra), rows)]

    def _numbers(self, columns: Mapping[str, Cells]) -> dict[str, Floats]:
        target = self._target
        table: Reals = np.full((len(target.numbers), self._n), np.nan)
        for k, wanted in enumerate(target.numbers):
            cells = columns.get(wanted.column)
            if cells is None:
                continue
            if target.decimal == ",":
                cells = [cell.replace(",", ".") if isinstance(cell, str) else cell for cell in cells]
            read = numbers(cells, target.absent)
            self.faults.mark(read.unreadable, Reason.BAD_VALUES, f"{wanted.column} is not a number")
            self.faults.mark(read.infinite, Reason.NOT_FINITE, f"{wanted.column} is not finite")
            table[k] = read.values if wanted.convert is None else wanted.convert(read.values)
        with np.errstate(over="ignore", invalid="ignore"):
            if target.convert is not None and table.size:
                table = target.convert(table)
            return {w.field.name: self._inside(w.field, table[k]) for k, w in enumerate(target.numbers)}

    def _inside(self, of: Field, values: Reals) -> Floats:
        narrow = cast(Floats, values.astype(DTYPE[of.kind]))
        detail = f"{of.name} is not within {of.low:g} .. {of.high:g} {of.unit}".rstrip()
        self.faults.mark(out_of_range(of, narrow), Reason.OUT_OF_RANGE, detail)
        return narrow

    def _other(self, wanted: Wanted, columns: Mapping[str, Cells]) -> Column:
        cells = columns.get(wanted.column)
        if cells is None:
            return (None,) * self._n
        is_truth = wanted.field.kind is Kind.BOOL
        column, wrong = (truths if is_truth else texts)(cells, self._target.absent)
        detail = f"{wanted.column} is neither true nor false" if is_truth else f"{wanted.column} is no (short) text"
        self.faults.mark(wrong, Reason.BAD_VALUES, detail)
        return cast(Column, column)

    def _empty(self) -> Mask:
        if self._target.may_be_empty:
            return np.zeros(self._n, np.bool_)
        empty: Mask = np.ones(self._n, np.bool_)
        for column in self._narrow.values():
            empty &= np.isnan(column)
        for other in (*self._others, *([self._extra] if self._extra else [])):
            if empty.any():
                empty &= np.array([value is None for value in other], np.bool_)
        return empty if self.faults.which is None else empty & (self.faults.which == 0)

    def _read_times(self, columns: Mapping[str, Cells], name: str) -> None:
        cells = columns.get(name)
        if cells is None:
            self.faults.mark(~self.empty, Reason.BAD_TIME, f"there is no {name}")
            return
        self._times, wrong = moments(cells, self._target.written)
        if wrong is not None:
            self.faults.mark(wrong & ~self.empty, Reason.BAD_TIME, f"{name} is no time from 1970 to 2262")


def _cell_text(cell: Any) -> str:
    return "" if cell is None else str(cell)
