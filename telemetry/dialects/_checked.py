"""Single values of a stranger's document -> the catalogue's fields: the right type, finite, in range once narrowed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from telemetry.batch import DEPTH_MAX, DTYPE, EXTRA_BYTES_MAX, TEXT_CHARS_MAX, TIME_NS_MAX, Series, depth
from telemetry.dialects._json import is_finite
from telemetry.dialects._names import free, safe_name
from telemetry.errors import Invalid
from telemetry.outcome import Reason
from telemetry.reading import Field, Kind

EXTRA_DEPTH_MAX = DEPTH_MAX - 3  # of one reading: batch, series and list are around it

_SECONDS_MAX = 1e10

Row = Mapping[str, float | bool | str]  # a reading: the catalogue's fields that it has


class Wrong(Exception):
    """A value that cannot be a reading's: why, and a few words for its sender."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def number(value: Any) -> float:
    """A finite number; raises `Wrong` (also for a bool, or a number as text)."""
    if type(value) not in (int, float):
        raise Wrong(Reason.BAD_VALUES, "must be a number")
    if not math.isfinite(value):
        raise Wrong(Reason.NOT_FINITE, "must be finite")
    return float(value)


def text(value: Any) -> str:
    """Text of a length that is stored; raises `Wrong`."""
    if type(value) is not str:
        raise Wrong(Reason.BAD_VALUES, "must be text")
    if len(value) > TEXT_CHARS_MAX:
        raise Wrong(Reason.BAD_VALUES, f"must have at most {TEXT_CHARS_MAX} characters")
    return value


def checked(field: Field, value: Any) -> float | bool | str:
    """The value, fit for this field and in its unit already; raises `Wrong`."""
    if field.kind is Kind.TEXT:
        return text(value)
    if field.kind is Kind.BOOL:
        if type(value) is not bool:
            raise Wrong(Reason.BAD_VALUES, "must be true or false")
        return value
    wide = number(value)
    dtype = DTYPE[field.kind]
    with np.errstate(over="ignore"):
        narrow, low, high = dtype(wide), dtype(field.low), dtype(field.high)
    if not low <= narrow <= high:
        raise Wrong(Reason.OUT_OF_RANGE, f"must be {field.low:g} to {field.high:g} {field.unit}".rstrip())
    return wide


def microseconds(seconds: float, path: str) -> int:
    """As an integer; raises `Invalid` for what is no time of day in any century near ours."""
    if not -_SECONDS_MAX < seconds < _SECONDS_MAX:
        raise Invalid(f"{path} must be a time from 1970 to 2262, in seconds", path=path)
    return round(seconds * 1e6)


def time_ns(microseconds: int, path: str) -> int:
    """UTC nanoseconds; raises `Invalid` outside 1970 to 2262."""
    if not 0 <= microseconds * 1000 <= TIME_NS_MAX:
        raise Invalid(f"{path} must be a time from 1970 to 2262", path=path)
    return microseconds * 1000


def series_of(sensor: str, times: Sequence[int], rows: Sequence[Row], extra: Sequence[str | None]) -> Series:
    """Rows as columns."""
    names = dict.fromkeys(name for row in rows for name in row)
    return Series.of(sensor, list(times), {name: [row.get(name) for row in rows] for name in names}, list(extra))


def extra_text(fields: Mapping[str, Any], path: str) -> str | None:
    """The canonical text of what the catalogue lacks, None when that is nothing; raises `Invalid`."""
    named: dict[str, Any] = {}
    for name, value in fields.items():
        named[free(safe_name(name), named)] = value
    if not named:
        return None
    if depth(named) > EXTRA_DEPTH_MAX:
        raise Invalid(f"what the catalogue lacks of {path} nests deeper than {EXTRA_DEPTH_MAX}", path=path)
    if not is_finite(named):
        raise Invalid(f"a number in {path} is not finite", path=path)
    packed = orjson.dumps(named, option=orjson.OPT_SORT_KEYS)
    if len(packed) > EXTRA_BYTES_MAX:
        raise Invalid(f"what the catalogue lacks of {path} is over {EXTRA_BYTES_MAX} bytes", path=path)
    return packed.decode()
