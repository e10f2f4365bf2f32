"""A second of a device's readings as the bytes that it sends, with the batch that must come of them known beforehand.

`native` sends the canonical batch.  `sensor_logger` sends what the phone app sends: its own names, values nested,
key order, grouping and the optional accuracy varied.  What is expected is computed from the readings alone, never
by the gateway's dialect: two roads to one hash.

`owntracks` sends a second's position as that app does: whole seconds, metres, degrees, percent and km/h.  The readings
that must come of it are those of the numbers so rounded; that they are its identity as well (`telemetry.unnumbered`)
is shared with the dialect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import orjson

from telemetry import unnumbered, wire
from telemetry.batch import Batch, Series

NATIVE_PATH = "/v1/batches"
SENSOR_LOGGER_PATH = "/v1/sensor-logger"
OWNTRACKS_PATH = "/v1/owntracks"

_XYZ = {axis: axis for axis in "xyz"}
_APP: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "linear_acceleration": ("accelerometer", _XYZ),
    "acceleration": ("totalacceleration", _XYZ),
    "gravity": ("gravity", _XYZ),
    "gyroscope": ("gyroscope", _XYZ),
    "magnetometer": ("magnetometer", _XYZ),
    "orientation": ("orientation", {a: a for a in ("pitch", "roll", "yaw", "qx", "qy", "qz", "qw")}),
    "location": (
        "location",
        {
            "latitude": "latitude",
            "longitude": "longitude",
            "altitude": "altitude",
            "speed": "speed",
            "bearing": "bearing",
            "horizontal_accuracy": "horizontalAccuracy",
            "vertical_accuracy": "verticalAccuracy",
            "speed_accuracy": "speedAccuracy",
            "bearing_accuracy": "bearingAccuracy",
        },
    ),
    "battery": ("battery", {"level": "batteryLevel", "state": "batteryState", "low_power": "lowPowerMode"}),
}
_INVALID = {"bearing": -1, "bearingAccuracy": -1}  # what the app writes when a fix has none
_CHARGE = {"unknown": 0, "unplugged": 1, "charging": 2, "full": 3}  # OwnTracks' `bs`
_FIX = (  # ours, the app's, and how many of its units are one of ours
    ("latitude", "lat", 1.0),
    ("longitude", "lon", 1.0),
    ("altitude", "alt", 1.0),
    ("speed", "vel", 3.6),
    ("bearing", "cog", 1.0),
    ("horizontal_accuracy", "acc", 1.0),
    ("vertical_accuracy", "vac", 1.0),
)
_EXACT = frozenset({"latitude", "longitude"})
_WITH_ACCURACY = frozenset(_APP) - {"location", "battery"}


@dataclass(frozen=True, slots=True)
class Spoken:
    """Bytes to POST to `path`, and the batch that must be stored for them."""

    path: str
    encoding: str
    body: bytes
    expected: Batch
    content_hash: str


def native(device: str, session: str, seq: int, chunk: Sequence[Series]) -> Spoken:
    """The canonical batch, to be sent with zstd."""
    batch = Batch(device, session, seq, tuple(chunk))
    body = wire.encode(batch)
    return Spoken(NATIVE_PATH, "zstd", body, batch, wire.content_hash(body))


def sensor_logger(device: str, session: str, seq: int, chunk: Sequence[Series], random: Random) -> Spoken:
    """One of the app's messages, plain as the app sends it; `random` picks its variations."""
    series = [_with_accuracy(s, random) for s in random.sample(list(chunk), len(chunk))]
    body = orjson.dumps(
        {
            "messageId": seq,
            "sessionId": session,
            "deviceId": f"app-{device}",
            "payload": _payload(series, random),
        }
    )
    batch = Batch(device, session, seq, tuple(series))
    return Spoken(SENSOR_LOGGER_PATH, "identity", body, batch, wire.content_hash(wire.encode(batch)))


def owntracks(device: str, chunk: Sequence[Series]) -> Spoken | None:
    """The second's first position as the app's message; None where it has none."""
    by_sensor = {series.sensor: series for series in chunk if len(series)}
    fix = by_sensor.get("location")
    if fix is None:
        return None
    at_s = int(fix.t[0]) // 10**9
    fields = {name: float(column[0] or 0) for name, column in fix.values.items()}
    fields = {name: value for name, value in fields.items() if not np.isnan(value)}
    message: dict[str, Any] = {"_type": "location", "tst": at_s, "topic": f"owntracks/sim/{device}"}
    wanted: dict[str, float] = {}
    for name, app, per_unit in _FIX:
        if name in fields:
            sent = fields[name] if name in _EXACT else round(fields[name] * per_unit)
            message[app] = sent
            wanted[name] = sent / per_unit
    times = [at_s * 10**9]
    series = [Series.of("location", times, {name: [value] for name, value in wanted.items()})]
    if (battery := by_sensor.get("battery")) is not None:
        percent, state = round(float(battery.values["level"][0] or 0) * 100), str(battery.values["state"][0])
        message |= {"batt": percent, "bs": _CHARGE[state]}
        series.append(Series.of("battery", times, {"level": [percent / 100], "state": [state]}))
    batch = unnumbered.batch_of(device, "owntracks", series)
    return Spoken(OWNTRACKS_PATH, "identity", orjson.dumps(message), batch, wire.content_hash(wire.encode(batch)))


def _with_accuracy(series: Series, random: Random) -> Series:
    if series.sensor not in _WITH_ACCURACY or random.random() < 0.25:
        return series
    accuracy = np.full(len(series), random.choice((1, 2, 3, 3, 3)), np.float32)
    return Series.of(series.sensor, series.t, {**series.values, "accuracy": accuracy})


def _payload(series: Sequence[Series], random: Random) -> list[dict[str, Any]]:
    grouped = [_readings(s, random) for s in series]
    readings = [r for group in grouped for r in group]
    if random.random() < 0.5:
        return readings
    # interleaved as they were measured, each sensor's first where it stood
    return [group[0] for group in grouped] + sorted((r for g in grouped for r in g[1:]), key=lambda r: r["time"])


def _readings(series: Series, random: Random) -> list[dict[str, Any]]:
    name, fields = _APP[series.sensor]
    order = random.sample(list(fields.items()), len(fields))
    columns = {app: _column(series.values[ours]) for ours, app in order if ours in series.values}
    lacking = {app: value for _, app in order if app not in columns and (value := _INVALID.get(app)) is not None}
    keys = tuple(columns)
    values = [dict(zip(keys, row, strict=True)) | lacking for row in zip(*columns.values(), strict=True)]
    times = series.t.tolist()
    accuracy = series.values.get("accuracy")
    if accuracy is None:
        return [{"name": name, "time": t, "values": v} for t, v in zip(times, values, strict=True)]
    level = int(accuracy[0] or 0)
    if random.random() < 0.5:
        pairs = zip(times, values, strict=True)
        return [{"name": name, "values": v, "accuracy": level, "time": t} for t, v in pairs]
    return [{"time": t, "accuracy": level, "values": v, "name": name} for t, v in zip(times, values, strict=True)]


def _column(column: Any) -> list[Any]:
    """As JSON values; a float32 widened, as a phone writes it: 0.1 becomes 0.10000000149011612."""
    return column.astype(np.float64).tolist() if isinstance(column, np.ndarray) else list(column)
