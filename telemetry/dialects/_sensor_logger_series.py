"""A sensor's readings of one message -> its canonical series: converted, narrowed, out of range counted."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from telemetry.batch import DTYPE, Column, Floats, Series, packed_floats, packed_times
from telemetry.dialects._sensor_logger_frames import convert, is_as_sent
from telemetry.dialects._sensor_logger_sensors import Layout
from telemetry.dialects._sensor_logger_sift import Found
from telemetry.outcome import Reason
from telemetry.ports import Sender
from telemetry.reading import Kind

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Finished:
    """The series (None when no reading is good), readings refused by reason, and the conversion made."""

    series: Series | None
    rejected: dict[Reason, int]
    converted: str | None


def finish(found: Found, sender: Sender) -> Finished:
    """Build the series; every reading of `found` is in it or counted.

    To be called with numpy's overflow warning off: 1e39 becomes infinite in float32, and is then out of range.
    """
    table, converted = _table(found, len(found.times), sender)
    accuracy = _accuracy(found)
    layout = found.layout
    if layout.numbers and not (layout.others or found.extra) and _is_inside(layout, table):
        return Finished(_whole_series(found, table, accuracy), {}, converted)
    return _finish_part(found, table, accuracy, converted)


def _is_inside(layout: Layout, table: Floats) -> bool:
    """True when every number is there and in range: NaN, an absent one, is in no range."""
    if float(table.min()) >= layout.low_everywhere and float(table.max()) <= layout.high_everywhere:
        return True  # also within the tightest of the bounds: quicker than field by field
    return bool(((table >= layout.low) & (table <= layout.high)).all())


def _finish_part(found: Found, table: Floats, accuracy: Floats | None, converted: str | None) -> Finished:
    layout = found.layout
    outside: Mask = np.any((table < layout.low) | (table > layout.high), axis=0)
    empty = _empty(found, table) & ~outside
    rejected = {}
    if outside.any():
        rejected[Reason.OUT_OF_RANGE] = int(outside.sum())
    if empty.any():
        rejected[Reason.BAD_VALUES] = int(empty.sum())
    if rejected:
        rows = np.flatnonzero(~(outside | empty))
        if not len(rows):
            return Finished(None, rejected, None)
        found, table = found.only(rows.tolist()), _contiguous(table[:, rows])
        accuracy = None if accuracy is None else accuracy[rows]
    return Finished(_series(found, table, accuracy), rejected, converted)


def _table(found: Found, n: int, sender: Sender) -> tuple[Floats, str | None]:
    """(fields, readings), rows contiguous, each at its field's precision (in float64 if they differ)."""
    layout = found.layout
    if layout.is_single and is_as_sent(layout, sender):
        table = packed_floats(found.numbers, Kind.FLOAT32).reshape(n, len(layout.numbers))
        return _contiguous(table.T), None
    table = packed_floats(found.numbers, Kind.FLOAT64).reshape(n, len(layout.numbers))
    wide, converted = convert(layout, table.T.astype(np.float64), sender)
    if layout.is_single:
        return _contiguous(wide.astype(np.float32)), converted
    single = [k for k, f in enumerate(layout.numbers) if f.kind is Kind.FLOAT32]
    wide[single] = wide[single].astype(np.float32)
    return wide, converted


def _contiguous(table: Any) -> Floats:
    """Rows side by side, as they are sent; typed loosely, for numpy's types do not take "one dtype or the other"."""
    return cast(Floats, np.ascontiguousarray(table))


def _accuracy(found: Found) -> Floats | None:
    first, n = found.accuracy[0], len(found.accuracy)
    if found.accuracy.count(first) != n:
        return np.array(found.accuracy, np.float32)
    return None if first is None else np.full(n, first, np.float32)


def _empty(found: Found, table: Floats) -> Mask:
    """Readings that say nothing; an annotation or a picture does so by its time, an unknown sensor by its name."""
    if found.layout.sensor.name in ("annotation", "camera") or not found.layout.is_known:
        return np.zeros(len(found.times), np.bool_)
    empty: Mask = np.all(np.isnan(table), axis=0)
    if empty.any():
        for column in (*found.others, found.extra or ()):
            empty[[k for k, value in enumerate(column) if value is not None]] = False
    return empty


def _whole_series(found: Found, table: Floats, accuracy: Floats | None) -> Series:
    layout = found.layout
    columns: dict[str, Column] = dict(zip(layout.number_names, table, strict=True))
    if not layout.is_single:
        columns = {f.name: table[k].astype(DTYPE[f.kind]) for k, f in enumerate(layout.numbers)}
    if accuracy is not None:
        columns["accuracy"] = accuracy
    return Series(layout.sensor.name, packed_times(found.times), columns)


def _series(found: Found, table: Floats, accuracy: Floats | None) -> Series:
    """`Series.of` without its checks: fields are in the catalogue's order, narrow, and of one length."""
    layout = found.layout
    gone = np.all(np.isnan(table), axis=1)
    columns: dict[str, Column] = {
        f.name: table[k] if layout.is_single else table[k].astype(DTYPE[f.kind])
        for k, f in enumerate(layout.numbers)
        if not gone[k]
    }
    if layout.others:
        columns = _with_others(layout, columns, found.others)
    if accuracy is not None and not np.isnan(accuracy).all():
        columns["accuracy"] = accuracy
    return Series(
        layout.sensor.name,
        packed_times(found.times),
        columns,
        None if found.extra is None else tuple(found.extra),
    )


def _with_others(layout: Layout, columns: dict[str, Column], others: list[list[Any]]) -> dict[str, Column]:
    for f, column in zip(layout.others, others, strict=True):
        if any(value is not None for value in column):
            columns[f.name] = tuple(column)
    return {f.name: columns[f.name] for f in layout.sensor.fields if f.name in columns}
