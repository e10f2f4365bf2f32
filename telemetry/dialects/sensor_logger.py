"""The Sensor Logger phone app's messages -> batches: good readings are kept, bad ones are counted by reason.

A phone never sends a message again, so one bad reading must not cost the others.  `messageId` is the batch's seq,
`sessionId` its session; the device is the token's, the app's own `deviceId` is handed on to be pinned.  A message
without a good reading still gives its batch, so that the ledger sees no gap.  `userId` names a person: not kept.
"""

from collections import Counter
from itertools import chain
from typing import Any

import msgspec

from telemetry.batch import SERIES_MAX, Batch, Series
from telemetry.dialects._sensor_logger_frames import hints
from telemetry.dialects._sensor_logger_message import Message, Reading, load_json, read_message
from telemetry.dialects._sensor_logger_sensors import Layout, layout_of
from telemetry.dialects._sensor_logger_series import finish
from telemetry.dialects._sensor_logger_sift import Found, take, time_of
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
    if not message.is_well_shaped or (found := _found_together(message, unknown, rejected)) is None:
        found = _found_singly(message.payload, unknown, rejected)
    series: list[Series] = []
    converted: list[str] = []
    for one in found:
        finished = finish(one, sender)
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


def _found_together(message: Message, unknown: Counter[str], rejected: Counter[Reason]) -> list[Found] | None:
    """The usual case: all of a sensor's readings in one go.  None when they must be sorted one by one."""
    by_name: dict[str, list[Reading]] = {}
    for reading in message.payload:
        same = by_name.get(reading.name)
        if same is None:
            by_name[reading.name] = [reading]
        else:
            same.append(reading)
    layouts = {name: layout_of(name) for name in by_name}
    sensors = {layout.sensor.name for layout in layouts.values() if layout is not None}
    if len(sensors) != len(by_name) or len(sensors) > SERIES_MAX:
        return None  # a name that is none, or one sensor under two names
    found = []
    for name, readings in by_name.items():
        layout = layouts[name]
        assert layout is not None  # noqa: S101 - counted just above
        found.append(_decoded(layout, readings) or _sifted(layout, readings, unknown, rejected))
    return [one for one in found if one.times]


def _decoded(layout: Layout, readings: list[Reading]) -> Found | None:
    """All readings decoded by type; None when one of them is not exactly right."""
    if layout.decode_values is None:
        return None
    try:
        values = layout.decode_values(_joined(readings))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return Found(
        layout,
        [r.time for r in readings],
        [r.accuracy for r in readings],
        list(chain.from_iterable(map(layout.numbers_of, values))) if layout.numbers_of else [],
        [[getattr(v, f.name) for v in values] for f in layout.others],
    )


def _sifted(layout: Layout, readings: list[Reading], unknown: Counter[str], rejected: Counter[Reason]) -> Found:
    found = Found(layout)
    for reading, values in zip(readings, load_json(_joined(readings)), strict=True):
        reason = take(found, {"values": values, "accuracy": reading.accuracy}, reading.time, unknown)
        if reason is not None:
            rejected[reason] += 1
    return found


def _joined(readings: list[Reading]) -> bytes:
    return b"[" + b",".join([r.values for r in readings]) + b"]"


def _found_singly(payload: list[Any], unknown: Counter[str], rejected: Counter[Reason]) -> list[Found]:
    """Sort the readings one by one, whatever they are."""
    by_sensor: dict[str, Found] = {}
    for item in payload:
        reading = _as_dict(item)
        reason = Reason.NOT_AN_OBJECT if reading is None else _sort(reading, by_sensor, unknown)
        if reason is not None:
            rejected[reason] += 1
    return [one for one in by_sensor.values() if one.times]


def _as_dict(item: Any) -> dict[str, Any] | None:
    if isinstance(item, Reading):
        return {"name": item.name, "values": load_json(item.values), "time": item.time, "accuracy": item.accuracy}
    return item if isinstance(item, dict) else None


def _sort(reading: dict[str, Any], by_sensor: dict[str, Found], unknown: Counter[str]) -> Reason | None:
    name = reading.get("name")
    layout = layout_of(name) if isinstance(name, str) else None
    if layout is None:
        return Reason.NO_NAME
    time = time_of(reading)
    if time is None:
        return Reason.BAD_TIME
    found = by_sensor.get(layout.sensor.name)
    if found is None:
        if len(by_sensor) >= SERIES_MAX:
            return Reason.TOO_MANY
        found = by_sensor[layout.sensor.name] = Found(layout)
    return take(found, reading, time, unknown)
