"""A sensor's readings of one message -> its canonical series: converted, narrowed, out of range counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from telemetry.batch import DTYPE, Column, Floats, Series, out_of_range
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
    """Build the series; every reading of `found` is in it or counted."""
    layout, n = found.layout, len(found.times)
    with np.errstate(over="ignore", invalid="ignore"):
        table, converted = _table(found, n, sender)
        accuracy = _accuracy(found)
        outside = ((table < layout.low) | (table > layout.high)).any(axis=0)
        if accuracy is not None:
            outside |= out_of_range(layout.sensor.by_name["accuracy"], accuracy)
    absent = np.isnan(table)
    empty = _empty(found, absent, n) & ~outside
    rejected = {}
    if outside.any():
        rejected[Reason.OUT_OF_RANGE] = int(outside.sum())
    if empty.any():
        rejected[Reason.BAD_VALUES] = int(empty.sum())
    if rejected:
        keep = ~(outside | empty)
        if not keep.any():
            return Finished(None, rejected, None)
        found, table, accuracy, absent = _kept(found, table, accuracy, absent, keep)
    return Finished(_series(found, table, accuracy, absent), rejected, converted)


def _table(found: Found, n: int, sender: Sender) -> tuple[Floats, str | None]:
    """(fields, readings), rows contiguous, each at its field's precision (in float64 if they differ)."""
    layout = found.layout
    if layout.is_single and is_as_sent(layout, sender):
        table: Floats = np.array(found.numbers, np.float32).reshape(n, len(layout.numbers))
        return np.ascontiguousarray(table.T), None
    wide: npt.NDArray[np.float64] = np.array(found.numbers, np.float64).reshape(n, len(layout.numbers)).T
    wide, converted = convert(layout, wide, sender)
    if layout.is_single:
        return np.ascontiguousarray(wide, dtype=np.float32), converted
    single = [k for k, f in enumerate(layout.numbers) if f.kind is Kind.FLOAT32]
    wide[single] = wide[single].astype(np.float32)
    return wide, converted


def _accuracy(found: Found) -> npt.NDArray[np.float32] | None:
    if found.accuracy.count(None) == len(found.accuracy):
        return None
    return np.array(found.accuracy, np.float32)


def _empty(found: Found, absent: Mask, n: int) -> Mask:
    """Readings that say nothing; an annotation or a picture does so by its time, an unknown sensor by its name."""
    if found.layout.sensor.name in ("annotation", "camera") or not found.layout.is_known:
        return np.zeros(n, np.bool_)
    empty: Mask = absent.all(axis=0)
    if empty.any():
        for column in (*found.others, found.extra or ()):
            empty[[k for k, value in enumerate(column) if value is not None]] = False
    return empty


def _kept(
    found: Found, table: Floats, accuracy: npt.NDArray[np.float32] | None, absent: Mask, keep: Mask
) -> tuple[Found, Floats, npt.NDArray[np.float32] | None, Mask]:
    rows = np.flatnonzero(keep).tolist()
    left = Found(
        found.layout,
        [found.times[k] for k in rows],
        [found.accuracy[k] for k in rows],
        [],
        [[column[k] for k in rows] for column in found.others],
        _only(found.extra, rows),
    )
    return (
        left,
        np.ascontiguousarray(table[:, keep]),
        None if accuracy is None else accuracy[keep],
        absent[:, keep],
    )


def _only(extra: Sequence[str | None] | None, rows: list[int]) -> list[str | None] | None:
    left = None if extra is None else [extra[k] for k in rows]
    return left if left and any(text is not None for text in left) else None


def _series(found: Found, table: Floats, accuracy: npt.NDArray[np.float32] | None, absent: Mask) -> Series:
    """`Series.of` without its checks: fields are in the catalogue's order, narrow, and of one length."""
    layout = found.layout
    gone = absent.all(axis=1).tolist() if absent.any() else [False] * len(layout.numbers)
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
        np.array(found.times, np.int64),
        columns,
        None if found.extra is None else tuple(found.extra),
    )


def _with_others(layout: Layout, columns: dict[str, Column], others: list[list[Any]]) -> dict[str, Column]:
    for f, column in zip(layout.others, others, strict=True):
        if any(value is not None for value in column):
            columns[f.name] = tuple(column)
    return {f.name: columns[f.name] for f in layout.sensor.fields if f.name in columns}
