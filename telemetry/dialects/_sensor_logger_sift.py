"""Good readings from bad ones, one by one, where a phone's readings are not all exactly right."""

from collections import Counter
from dataclasses import dataclass, field
from math import isinf
from typing import Any

import orjson

from telemetry.batch import DEPTH_MAX, EXTRA_BYTES_MAX, TEXT_CHARS_MAX, TIME_NS_MAX, depth
from telemetry.dialects._json import is_finite
from telemetry.dialects._names import free, safe_name
from telemetry.dialects._sensor_logger_sensors import IMAGE, Layout, normal
from telemetry.errors import Invalid
from telemetry.outcome import Reason
from telemetry.reading import Field, Kind

_OWN_KEYS = frozenset({"name", "time", "accuracy", "values"})
_FIELD_BYTES_MIN = 6  # "a":1 and a comma
_UNKNOWN_MAX = 1_000  # names counted apart; beyond, they are one
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

    def add(self, time: int, accuracy: float | None, known: dict[str, Any], text: str | None) -> None:
        """Append one reading; `known` is by our field names, `text` its extra."""
        self.others = self.others or [[] for _ in self.layout.others]
        self.times.append(time)
        self.accuracy.append(accuracy)
        self.numbers.extend([known.get(f.name) for f in self.layout.numbers])
        for column, f in zip(self.others, self.layout.others, strict=True):
            column.append(known.get(f.name))
        if self.extra is None and text is not None:
            self.extra = [None] * (len(self.times) - 1)
        if self.extra is not None:
            self.extra.append(text)

    def only(self, rows: list[int]) -> "Found":
        """These readings; without their numbers, which stand in a table by then."""
        extra = None if self.extra is None else [self.extra[k] for k in rows]
        return Found(
            self.layout,
            [self.times[k] for k in rows],
            [self.accuracy[k] for k in rows],
            [],
            [[column[k] for k in rows] for column in self.others],
            extra if extra and any(text is not None for text in extra) else None,
        )


def is_time(value: object) -> bool:
    """An integer (no float: it loses nanoseconds) from 1970 to 2262."""
    return type(value) is int and 0 <= value <= TIME_NS_MAX


def check_depth(value: object, depth_max: int = DEPTH_MAX - 2) -> None:
    """Raises `Invalid` when a reading nests too deeply; message and payload are around it."""
    if depth(value) > depth_max:
        raise Invalid(f"a reading nests deeper than {DEPTH_MAX}, counted from the message", path="$.payload")


def take(found: Found, reading: dict[str, Any], time: int, unknown: Counter[str]) -> Reason | None:
    """Append the reading to `found`, or say why not.  Raises `Invalid` when it nests too deeply."""
    layout = found.layout
    fields = fields_of(reading)
    if fields is None:
        return Reason.BAD_VALUES
    accuracy = reading.get("accuracy")
    if not layout.is_known:
        fields, accuracy = _with_beside(fields, reading, layout), None
    known, lacking, reason = _known(layout, fields)
    reason = reason or _wrong_accuracy(accuracy)
    text = None if reason else _extra(layout, lacking)
    if reason or isinstance(text, Reason):
        return reason or text  # type: ignore[return-value]
    found.add(time, accuracy, known, text)
    _count(layout, lacking, unknown)
    return None


def _known(layout: Layout, fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], Reason | None]:
    """The fields under our names, those that we lack, and what is wrong with one."""
    known: dict[str, Any] = {}
    lacking: dict[str, Any] = {}
    for name, value in fields.items():
        ours = layout.fields.get(name) or layout.fields.get(normal(name))
        if ours is None:
            lacking[name] = value
            continue
        reason = Reason.BAD_VALUES if ours.name in known else _wrong(ours, value)
        if reason is not None:
            return known, lacking, reason
        known[ours.name] = value
    return known, lacking, None


def _wrong_accuracy(accuracy: Any) -> Reason | None:
    """As Android's SensorEvent has it: -1 (no contact) to 3."""
    if accuracy is None:
        return None
    if type(accuracy) not in (int, float):
        return Reason.BAD_VALUES
    return None if -1 <= accuracy <= 3 else Reason.OUT_OF_RANGE


def fields_of(reading: dict[str, Any]) -> dict[str, Any] | None:
    """The fields, nested under `values` or beside `name` and `time`; None when wrong or when one is given twice."""
    nested = reading.get("values")
    if isinstance(nested, dict) and reading.keys() <= _OWN_KEYS:
        return nested  # the usual shape
    beside = {name: value for name, value in reading.items() if name not in _OWN_KEYS}
    if "values" not in reading:
        return beside
    if not isinstance(nested, dict) or not beside.keys().isdisjoint(nested):
        return None
    return nested | beside if beside else nested


def _with_beside(fields: dict[str, Any], reading: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """An unknown sensor's fields with its accuracy, and with its name where that is no name for a series."""
    fields = dict(fields)
    if reading.get("accuracy") is not None:
        fields[free("accuracy", fields)] = reading["accuracy"]
    if normal(reading["name"]) != layout.sensor.name:
        fields[free("name", fields)] = reading["name"]
    return fields


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


def _extra(layout: Layout, lacking: dict[str, Any]) -> str | Reason | None:
    """The canonical text of what the catalogue lacks."""
    if not lacking:
        return None
    if len(lacking) > EXTRA_BYTES_MAX // _FIELD_BYTES_MIN:
        return Reason.EXTRA_TOO_LARGE
    check_depth(lacking, _EXTRA_DEPTH_MAX)
    if not is_finite(lacking):
        return Reason.NOT_FINITE
    named: dict[str, Any] = {}
    for name, value in lacking.items():
        named[free(safe_name(name), named)] = value
    text = orjson.dumps(named, option=orjson.OPT_SORT_KEYS)
    if len(text) <= EXTRA_BYTES_MAX:
        return text.decode()
    return Reason.IMAGE_TOO_LARGE if _is_image(layout, lacking) else Reason.EXTRA_TOO_LARGE


def _is_image(layout: Layout, lacking: dict[str, Any]) -> bool:
    return layout.sensor.name == "camera" and IMAGE in lacking


def _count(layout: Layout, lacking: dict[str, Any], unknown: Counter[str]) -> None:
    names = [layout.sensor.name]
    if layout.is_known:
        is_camera = layout.sensor.name == "camera"
        names = [f"{layout.sensor.name}.{safe_name(name)}" for name in lacking if not (is_camera and name == IMAGE)]
    for name in names:
        unknown[name if name in unknown or len(unknown) < _UNKNOWN_MAX else "other"] += 1
