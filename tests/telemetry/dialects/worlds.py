"""A world of readings as the Sensor Logger app would send it, and the batch that must come of it.

Written from what the app sends, not from the dialect: sensors, fields, units and frames stand here a second time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from telemetry.batch import TIME_NS_MAX
from telemetry.ports import Sender
from telemetry.reading import CATALOGUE, Kind
from tests.telemetry.batches import value

G = 9.80665
XYZ = {a: a for a in "xyz"}
WORN = {
    f"{theirs}{a.upper()}": f"{ours}_{a}"
    for theirs, ours in (("rotationRate", "rotation_rate"), ("gravity", "gravity"), ("acceleration", "acceleration"))
    for a in "xyz"
} | {f"quaternion{a.upper()}": f"quaternion_{a}" for a in "wxyz"}
SENSORS: dict[str, tuple[str, dict[str, str]]] = {
    "accelerometer": ("linear_acceleration", XYZ),
    "totalacceleration": ("acceleration", XYZ),
    "gravity": ("gravity", XYZ),
    "accelerometeruncalibrated": ("acceleration_uncalibrated", XYZ),
    "gyroscope": ("gyroscope", XYZ),
    "gyroscopeuncalibrated": ("gyroscope_uncalibrated", XYZ),
    "magnetometer": ("magnetometer", XYZ),
    "magnetometeruncalibrated": ("magnetometer_uncalibrated", XYZ),
    "orientation": ("orientation", {f: f for f in ("pitch", "roll", "yaw", "qx", "qy", "qz", "qw")}),
    "barometer": ("barometer", {"pressure": "pressure", "relativeAltitude": "relative_altitude"}),
    "location": (
        "location",
        {
            "latitude": "latitude",
            "longitude": "longitude",
            "altitude": "altitude",
            "speed": "speed",
            "bearing": "bearing",
            "horizontalAccuracy": "horizontal_accuracy",
            "verticalAccuracy": "vertical_accuracy",
            "speedAccuracy": "speed_accuracy",
            "bearingAccuracy": "bearing_accuracy",
            "altitudeAboveMeanSeaLevel": "altitude_msl",
        },
    ),
    "microphone": ("microphone", {"dBFS": "dbfs"}),
    "battery": ("battery", {"batteryLevel": "level", "batteryState": "state", "lowPowerMode": "low_power"}),
    "light": ("light", {"lux": "illuminance"}),
    "brightness": ("brightness", {"brightness": "level"}),
    "pedometer": ("pedometer", {"steps": "steps"}),
    "heart rate": ("heart_rate", {"bpm": "rate"}),
    "Wrist Motion": ("wrist_motion", WORN),
    "annotation": ("annotation", {"text": "text"}),
}
FLIPPED = {f"{s}.{a}" for s in ("linear_acceleration", "acceleration", "gravity") for a in "xyz"} | {
    "orientation.pitch",
    "orientation.yaw",
}
FLIPPED_G = {f"acceleration_uncalibrated.{a}" for a in "xyz"} | {
    f"wrist_motion.{q}_{a}" for q in ("gravity", "acceleration") for a in "xyz"
}


@dataclass(frozen=True)
class World:
    """What the app sends, and the readings that must be stored: (sensor, time, {field: value}) in order."""

    sender: Sender
    payload: list[dict[str, Any]]
    readings: list[tuple[str, int, dict[str, Any]]]


def stored(sensor: str, field: str, sent: Any, sender: Sender) -> Any:
    """The value in our unit and frame, at the field's precision."""
    f = CATALOGUE[sensor].by_name[field]
    if not f.kind.is_number:
        return sent
    is_ios = sender.platform == "ios" and not sender.standardised
    factor = 1.0
    if is_ios:
        factor = -1.0 if f"{sensor}.{field}" in FLIPPED else -G if f"{sensor}.{field}" in FLIPPED_G else 1.0
    number = np.float64(sent) * factor
    return float(np.float32(number)) if f.kind is Kind.FLOAT32 else float(number)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to twelve readings of several sensors, in either shape and any order of keys."""
    sender = Sender("phone-1", draw(st.sampled_from(["", "android", "ios"])), draw(st.booleans()))
    payload, readings = [], []
    for _ in range(draw(st.integers(0, 12))):
        theirs = draw(st.sampled_from(sorted(SENSORS)))
        ours, fields = SENSORS[theirs]
        sent = draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, unique=True))
        # a hundredth of the range: inside also once g has become m/s2
        values = {name: _small(ours, fields[name], draw(value(CATALOGUE[ours].by_name[fields[name]]))) for name in sent}
        time = draw(st.integers(0, TIME_NS_MAX))
        accuracy = draw(st.none() | st.integers(0, 3))
        items: list[tuple[str, Any]] = [("name", theirs), ("time", time)]
        items += [("values", values)] if draw(st.booleans()) else list(values.items())
        items += [] if accuracy is None else [("accuracy", accuracy)]
        payload.append(dict(draw(st.permutations(items))))
        expected = {fields[name]: stored(ours, fields[name], v, sender) for name, v in values.items()}
        readings.append((ours, time, expected | ({} if accuracy is None else {"accuracy": float(accuracy)})))
    return World(sender, payload, readings)


def _small(sensor: str, field: str, number: Any) -> Any:
    is_motion = f"{sensor}.{field}" in FLIPPED_G
    return number / 100 if is_motion else number
