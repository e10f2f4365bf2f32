"""The Sensor Logger phone app's messages -> batches: good readings are kept, bad ones are counted by reason.

A phone never sends a message again, so one bad reading must not cost the others.  `messageId` is the batch's seq,
`sessionId` its session; the device is the token's, the app's own `deviceId` is handed on to be pinned.  A message
without a good reading still gives its batch, so that the ledger sees no gap.  `userId` names a person: not kept.
"""

from collections import Counter
from itertools import chain
from math import inf
from types import NoneType
from typing import Any

import msgspec
import numpy as np

from telemetry.batch import SERIES_MAX, Batch, Series
from telemetry.dialects._sensor_logger_frames import hints
from telemetry.dialects._sensor_logger_message import LAYOUT_OF_TYPE, read_message
from telemetry.dialects._sensor_logger_sensors import Layout, layout_of
from telemetry.dialects._sensor_logger_series import finish
from telemetry.dialects._sensor_logger_sift import Found, check_depth, fields_of, is_time, take
from telemetry.errors import TooLarge
from telemetry.outcome import Reason
from telemetry.ports import Parsed, Sender


def parse(body: bytes, sender: Sender, *, readings_max: int) -> Parsed:
    """One batch, or none for a test push.

    Raises `Malformed` (not JSON), `Invalid` (no message of the app's, or nested too deeply) and `TooLarge`.
    """
    message = read_message(body)
    if message.is_test:
        return Parsed((), source_id=message.source_id, is_test=True)
    if len(message.payload) > readings_max:
        raise TooLarge(
            f"{len(message.payload)} readings in one message; at most {readings_max}: shorten the app's batch period",
            path="$.payload",
        )
    rejected: Counter[Reason] = Counter()
    unknown: Counter[str] = Counter()
    found = _found_typed(message.payload) if message.is_typed else _found_any(message.payload, unknown, rejected)
    series: list[Series] = []
    converted: list[str] = []
    with np.errstate(over="ignore"):
        all_finished = [finish(one, sender) for one in found]
    for finished in all_finished:
        rejected.update(finished.rejected)
        if finished.series is not None:
            series.append(finished.series)
        if finished.converted is not None:
            converted.append(finished.converted)
    return Parsed(
        (Batch(sender.device, message.session, message.seq, tuple(series)),),
        dict(rejected),
        tuple(converted),
        dict(unknown),
        hints(series, sender),
        message.source_id,
    )


def _found_typed(payload: list[Any]) -> list[Found]:
    """The usual case: everything is right, and typed already."""
    by_type: dict[type, list[Any]] = {}
    for reading in payload:
        kind = reading.__class__
        same = by_type.get(kind)
        if same is None:
            by_type[kind] = [reading]
        else:
            same.append(reading)
    return [
        _found(LAYOUT_OF_TYPE[kind], [r.values for r in same], [r.time for r in same], [r.accuracy for r in same])
        for kind, same in by_type.items()
    ]


def _found(layout: Layout, values: list[Any], times: list[int], accuracy: list[float | None]) -> Found:
    return Found(
        layout,
        times,
        accuracy,
        list(chain.from_iterable(map(layout.numbers_of, values))) if layout.numbers_of else [],
        [[getattr(v, f.name) for v in values] for f in layout.others],
    )


def _found_any(payload: list[Any], unknown: Counter[str], rejected: Counter[Reason]) -> list[Found]:
    """Something in the message is not right, or not known: refuse that, keep the rest."""
    by_sensor: dict[str, tuple[Layout, list[dict[str, Any]]]] = {}
    for reading in payload:
        reason = _sort(reading, by_sensor)
        if reason is not None:
            check_depth(reading)
            rejected[reason] += 1
    found = []
    for layout, readings in by_sensor.values():
        one = _all_right(layout, readings) or _sifted(layout, readings, unknown, rejected)
        if one.times:
            found.append(one)
    return found


def _sort(reading: Any, by_sensor: dict[str, tuple[Layout, list[dict[str, Any]]]]) -> Reason | None:
    """Put the reading to its sensor's, or say why it has none."""
    if not isinstance(reading, dict):
        return Reason.NOT_AN_OBJECT
    name = reading.get("name")
    layout = layout_of(name) if isinstance(name, str) else None
    if layout is None:
        return Reason.NO_NAME
    if not is_time(reading.get("time")):
        return Reason.BAD_TIME
    same = by_sensor.get(layout.sensor.name)
    if same is not None:
        same[1].append(reading)
        return None
    if len(by_sensor) >= SERIES_MAX:
        return Reason.TOO_MANY
    by_sensor[layout.sensor.name] = (layout, [reading])
    return None


def _all_right(layout: Layout, readings: list[dict[str, Any]]) -> Found | None:
    """All of a sensor's readings in one go, where only another sensor's are not right; else None."""
    accuracy = [r.get("accuracy") for r in readings]
    if layout.values is None or not {type(a) for a in accuracy} <= {int, NoneType}:
        return None
    if any(a is not None and not -1 <= a <= 3 for a in set(accuracy)):
        return None
    try:
        values = msgspec.convert([fields_of(r) for r in readings], list[layout.values])  # type: ignore[name-defined]
    except msgspec.ValidationError:
        return None
    found = _found(layout, values, [r["time"] for r in readings], accuracy)
    return None if inf in found.numbers or -inf in found.numbers else found


def _sifted(layout: Layout, readings: list[dict[str, Any]], unknown: Counter[str], rejected: Counter[Reason]) -> Found:
    found = Found(layout)
    for reading in readings:
        reason = take(found, reading, reading["time"], unknown)
        if reason is not None:
            check_depth(reading)
            rejected[reason] += 1
    return found
