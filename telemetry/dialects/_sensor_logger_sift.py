"""Good readings from bad ones, one by one, where a phone's readings are not all exactly right."""

from collections import Counter
from dataclasses import dataclass, field
from math import isinf
from typing import Any

import orjson

from telemetry.batch import DEPTH_MAX, EXTRA_BYTES_MAX, TEXT_CHARS_MAX, TIME_NS_MAX, depth
from telemetry.dialects._sensor_logger_message import is_finite
from telemetry.dialects._sensor_logger_sensors import IMAGE, Layout, normal, safe_name
from telemetry.errors import Invalid
from telemetry.outcome import Reason
from telemetry.reading import Field, Kind

_OWN_KEYS = frozenset({"name", "time", "accuracy", "values"})
_EXTRA_DEPTH_MAX = DEPTH_MAX - 3  # message, payload and reading are around it


@dataclass(slots=True)
class Found:
    """One sensor's readings in order of arrival, their types right, their values not yet looked at.

    `numbers` is flat, reading by reading, in the layout's order; None where absent.
    """

    layout: Layout
    times: list[int] = field(default_factory=list)
    accuracy: list[float | None] = field(default_factory=list)
    numbers: list[float | None] = field(default_factory=list)
    others: list[list[Any]] = field(default_factory=list)
    extra: list[str | None] | None = None

    def __post_init__(self) -> None:
        self.others = self.others or [[] for _ in self.layout.others]


def time_of(reading: dict[str, Any]) -> int | None:
    """The reading's time if it is one: an integer (no float: it loses nanoseconds) from 1970 to 2262."""
    time = reading.get("time")
    return time if type(time) is int and 0 <= time <= TIME_NS_MAX else None


def take(found: Found, reading: dict[str, Any], time: int, unknown: Counter[str]) -> Reason | None:
    """Append the reading to `found`, or say why not.  Raises `Invalid` when it nests too deeply."""
    fields = _fields(reading)
    if fields is None:
        return Reason.BAD_VALUES
    known: dict[str, Any] = {}
    lacking: dict[str, Any] = {}
    for name, value in fields.items():
        ours = found.layout.fields.get(name) or found.layout.fields.get(normal(name))
        if ours is None:
            lacking[name] = value
            continue
        reason = Reason.BAD_VALUES if ours.name in known else _wrong(ours, value)
        if reason is not None:
            return reason
        known[ours.name] = value
    return _append(found, reading.get("accuracy"), time, known, lacking, unknown)


def _append(
    found: Found, accuracy: Any, time: int, known: dict[str, Any], lacking: dict[str, Any], unknown: Counter[str]
) -> Reason | None:
    layout = found.layout
    if layout.is_known:
        if accuracy is not None and type(accuracy) not in (int, float):
            return Reason.BAD_VALUES
    elif accuracy is not None:
        lacking.setdefault("accuracy", accuracy)
    text = _extra(lacking)
    if isinstance(text, Reason):
        return Reason.IMAGE_TOO_LARGE if text is Reason.EXTRA_TOO_LARGE and _is_image(layout, lacking) else text
    found.times.append(time)
    found.accuracy.append(accuracy if layout.is_known else None)
    found.numbers.extend([known.get(f.name) for f in layout.numbers])
    for column, other in zip(found.others, layout.others, strict=True):
        column.append(known.get(other.name))
    if found.extra is None and text is not None:
        found.extra = [None] * (len(found.times) - 1)
    if found.extra is not None:
        found.extra.append(text)
    _count(layout, lacking, unknown)
    return None


def _fields(reading: dict[str, Any]) -> dict[str, Any] | None:
    """The fields, nested under `values` or beside `name` and `time`; None when wrong or when one is given twice."""
    beside = {name: value for name, value in reading.items() if name not in _OWN_KEYS}
    if "values" not in reading:
        return beside
    nested = reading["values"]
    if not isinstance(nested, dict) or not beside.keys().isdisjoint(nested):
        return None
    return nested | beside


def _wrong(ours: Field, value: Any) -> Reason | None:
    """Why this value cannot be the field's; null is absent."""
    if value is None:
        return None
    if ours.kind.is_number:
        if type(value) not in (int, float):
            return Reason.BAD_VALUES
        return Reason.NOT_FINITE if type(value) is float and isinf(value) else None
    if ours.kind is Kind.BOOL:
        return None if type(value) is bool else Reason.BAD_VALUES
    return None if type(value) is str and len(value) <= TEXT_CHARS_MAX else Reason.BAD_VALUES


def _extra(lacking: dict[str, Any]) -> str | Reason | None:
    """The canonical text of what the catalogue lacks."""
    if not lacking:
        return None
    if depth(lacking) > _EXTRA_DEPTH_MAX:
        raise Invalid(f"nested deeper than {DEPTH_MAX}", path="$.payload")
    if not is_finite(lacking):
        return Reason.NOT_FINITE
    named: dict[str, Any] = {}
    for name, value in lacking.items():
        named[_free(safe_name(name), named)] = value
    text = orjson.dumps(named, option=orjson.OPT_SORT_KEYS)
    return text.decode() if len(text) <= EXTRA_BYTES_MAX else Reason.EXTRA_TOO_LARGE


def _free(name: str, taken: dict[str, Any]) -> str:
    """`name`, or a numbered one where two names became the same."""
    free, n = name, 2
    while free in taken:
        free, n = f"{name[:56]}_{n}", n + 1
    return free


def _is_image(layout: Layout, lacking: dict[str, Any]) -> bool:
    return layout.sensor.name == "camera" and IMAGE in lacking


def _count(layout: Layout, lacking: dict[str, Any], unknown: Counter[str]) -> None:
    if not layout.is_known:
        unknown[layout.sensor.name] += 1
        return
    for name in lacking:
        if not (name == IMAGE and layout.sensor.name == "camera"):
            unknown[f"{layout.sensor.name}.{safe_name(name)}"] += 1
