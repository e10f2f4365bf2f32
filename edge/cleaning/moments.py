"""A column of times, as data writes them -> integer UTC nanoseconds; which are wrong is told beside.  Pure.

Integers and decimal texts keep every digit down to the nanosecond.  A float of seconds or milliseconds since 1970
holds no more than a microsecond, so it is read as whole microseconds.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias

import numpy as np

from edge.cleaning.cells import Cells, Mask
from telemetry.batch import TIME_NS_MAX, Times

TimeUnit: TypeAlias = Literal["s", "ms", "us", "ns", "iso"]

_NS: dict[str, int] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_NAIVE = datetime(1970, 1, 1)  # of times that are UTC already
_FRACTION = re.compile(r"(?<=\d)[.,](\d{1,9})\d*(?=$|Z|z|[+-]| )")
_DECIMAL = re.compile(r"(\d{1,19})(?:\.(\d*))?")
_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How times are written; `zone` is for ISO texts and datetimes that name none."""

    unit: TimeUnit = "s"
    zone: tzinfo = UTC


SECONDS = TimeFormat()


def moments(cells: Cells, written: TimeFormat) -> tuple[Times, Mask | None]:
    """(n,) int64, 0 where wrong or absent; which are wrong."""
    quick = _quick(cells, written)
    if quick is not None:
        return quick
    listed: Sequence[Any] = cells.tolist() if isinstance(cells, np.ndarray) else cells
    found = [_moment(cell, written) for cell in listed]
    times = np.array([0 if t is None else t for t in found], np.int64)
    wrong = np.array([t is None for t in found], np.bool_)
    return times, wrong if wrong.any() else None


def _quick(cells: Cells, written: TimeFormat) -> tuple[Times, Mask | None] | None:
    """Integers, as numbers or texts, and an array's times; None when it is not as simple as that."""
    if isinstance(cells, np.ndarray):
        return _of_array(cells, written)
    if written.unit == "iso":
        return None
    kinds = set(map(type, cells))
    if kinds not in ({int}, {str}):
        return None
    try:
        if kinds == {str} and not _all_digits(cells):
            return None
        return _scaled(np.array(cells, np.int64), _NS[written.unit])
    except (ValueError, OverflowError):
        return None


def _all_digits(cells: Sequence[str]) -> bool:
    joined = "".join(cells)
    return joined.isdecimal() and joined.isascii()


def _of_array(cells: Any, written: TimeFormat) -> tuple[Times, Mask | None] | None:
    """A masked cell counts as negative: absent, and so wrong."""
    plain, gone = np.ma.getdata(cells), np.ma.getmaskarray(cells)
    if plain.dtype.kind == "M":
        return _scaled(np.where(gone, -1, plain.astype("datetime64[ns]").astype(np.int64)), 1)
    if plain.dtype.kind == "i" and written.unit != "iso":
        return _scaled(np.where(gone, -1, plain.astype(np.int64)), _NS[written.unit])
    return None


def _scaled(whole: Times, ns: int) -> tuple[Times, Mask | None]:
    wrong = (whole < 0) | (whole > TIME_NS_MAX // ns)
    if wrong.any():
        return np.where(wrong, 0, whole) * ns, wrong
    return whole * ns, None


def _moment(cell: Any, written: TimeFormat) -> int | None:
    """One time, or None when it is none, or not from 1970 to 2262."""
    ns = _ns(cell, written)
    return ns if ns is not None and 0 <= ns <= TIME_NS_MAX else None


def _ns(cell: Any, written: TimeFormat) -> int | None:  # noqa: PLR0911 - one line a kind of cell
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, datetime):
        return _of_datetime(cell, written.zone)
    if isinstance(cell, str):
        cell = cell.strip()
        if not cell or len(cell) > _CHARS_MAX:
            return None
        return _of_iso(cell, written.zone) if written.unit == "iso" else _of_decimal(cell, _NS[written.unit])
    if written.unit == "iso":
        return None
    ns = _NS[written.unit]
    if isinstance(cell, int):
        return cell * ns if 0 <= cell <= TIME_NS_MAX else None
    if isinstance(cell, float):
        return _of_float(cell, ns)
    return _of_decimal(str(cell), ns) if isinstance(cell, Decimal) else None


def _of_float(value: float, ns: int) -> int | None:
    if not 0 <= value * ns <= TIME_NS_MAX:  # also NaN
        return None
    return round(value * ns) if ns <= 10**3 else round(value * (ns // 10**3)) * 10**3


def _of_decimal(text: str, ns: int) -> int | None:
    simple = _DECIMAL.fullmatch(text)
    if simple is not None and text.isascii():
        digits: str = (simple[2] or "")[:9]
        return int(simple[1]) * ns + int(digits or "0") * ns // int("1" + "0" * len(digits))
    try:
        exact = Decimal(text) if "_" not in text else None
        return int(exact * ns) if exact is not None and exact.adjusted() < 20 else None
    except (InvalidOperation, ValueError, OverflowError):  # also NaN and infinity, which are no integers
        return None


def _of_iso(text: str, zone: tzinfo) -> int | None:
    """ISO 8601 as Python reads it, but to the nanosecond."""
    fraction = _FRACTION.search(text)
    if fraction is not None:
        text = text[: fraction.start()] + text[fraction.end() :]
    try:
        ns = _of_datetime(datetime.fromisoformat(text), zone)
    except ValueError:
        return None
    return ns if ns is None or fraction is None else ns + int(fraction[1].ljust(9, "0"))


def _of_datetime(moment: datetime, zone: tzinfo) -> int | None:
    try:
        if moment.tzinfo is None and zone is UTC:
            since = moment - _EPOCH_NAIVE
        else:
            since = (moment if moment.tzinfo else moment.replace(tzinfo=zone)) - _EPOCH
    except OverflowError:
        return None
    return since // timedelta(microseconds=1) * 1000
