"""What the Sensor Logger app calls its sensors and fields, and where each stands in our catalogue.

To add one of the app's sensors, add one row to ``_ROWS`` (and its sensor to the catalogue, if it is new).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from telemetry.batch import DTYPE, TEXT_CHARS_MAX, Floats
from telemetry.dialects._names import safe_name
from telemetry.reading import CATALOGUE, Field, Kind, Sensor

_XYZ = {"x": "x", "y": "y", "z": "z"}
_ANGLES = {"pitch": "pitch", "roll": "roll", "yaw": "yaw"}
_WORN = {
    **{
        f"{app}{axis.upper()}": f"{ours}_{axis}"
        for app, ours in (("rotationRate", "rotation_rate"), ("gravity", "gravity"), ("acceleration", "acceleration"))
        for axis in "xyz"
    },
    **{f"quaternion{axis.upper()}": f"quaternion_{axis}" for axis in "wxyz"},
    **_ANGLES,
    "devicelocation": "worn_at",
}

# The app's sensor: (ours, {the app's field: ours}).
_ROWS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "accelerometer": ("linear_acceleration", _XYZ),
    "totalacceleration": ("acceleration", _XYZ),
    "gravity": ("gravity", _XYZ),
    "accelerometeruncalibrated": ("acceleration_uncalibrated", _XYZ),
    "gyroscope": ("gyroscope", _XYZ),
    "gyroscopeuncalibrated": ("gyroscope_uncalibrated", _XYZ),
    "magnetometer": ("magnetometer", _XYZ),
    "magnetometeruncalibrated": ("magnetometer_uncalibrated", _XYZ),
    "orientation": ("orientation", {**_ANGLES, **{q: q for q in ("qx", "qy", "qz", "qw")}}),
    "barometer": ("barometer", {"pressure": "pressure", "relativeAltitude": "relative_altitude"}),
    "location": (
        "location",
        {
            "latitude": "latitude",
            "longitude": "longitude",
            "altitude": "altitude",
            "altitudeAboveMeanSeaLevel": "altitude_msl",
            "speed": "speed",
            "bearing": "bearing",
            "horizontalAccuracy": "horizontal_accuracy",
            "verticalAccuracy": "vertical_accuracy",
            "speedAccuracy": "speed_accuracy",
            "bearingAccuracy": "bearing_accuracy",
        },
    ),
    "microphone": ("microphone", {"dBFS": "dbfs"}),
    "battery": (
        "battery",
        {
            "batteryLevel": "level",
            "batteryState": "state",
            "lowPowerMode": "low_power",
            "voltage": "voltage",
            "chargingCurrent": "charging_current",
            "health": "health",
        },
    ),
    "light": ("light", {"lux": "illuminance"}),
    "brightness": ("brightness", {"brightness": "level"}),
    "pedometer": ("pedometer", {"steps": "steps"}),
    "heartrate": ("heart_rate", {"bpm": "rate"}),
    "wristmotion": ("wrist_motion", _WORN),
    "headphone": ("headphone", _WORN),
    "network": (
        "network",
        {
            "text": "text",
            "type": "connection",
            "isConnected": "is_connected",
            "isInternetReachable": "is_internet_reachable",
            "isWifiEnabled": "is_wifi_enabled",
            "isConnectionExpensive": "is_connection_expensive",
            "ssid": "ssid",
            "bssid": "bssid",
            "ipAddress": "ip_address",
            "carrier": "carrier",
            "cellularGeneration": "cellular_generation",
            "strength": "strength",
            "frequency": "frequency",
        },
    ),
    "bluetooth": (
        "bluetooth",
        {
            "text": "text",
            "id": "beacon",
            "rssi": "rssi",
            "txPowerLevel": "tx_power",
            "manufacturerData": "manufacturer_data",
            "advertisement": "advertisement",
            "serviceData": "service_data",
        },
    ),
    "bluetoothmetadata": (
        "bluetooth_metadata",
        {
            "text": "text",
            "id": "beacon",
            "name": "beacon_name",
            "localName": "local_name",
            "manufacturer": "manufacturer",
            "model": "model",
            "isConnectable": "is_connectable",
        },
    ),
    "annotation": ("annotation", {"text": "text", "millisecond_press_duration": "press_duration"}),
    "camera": ("camera", {"imageFormat": "image_format"}),
}

IMAGE = "image"  # the camera's base64 JPEG: known, but it has no column

_JSON_TYPE: Mapping[Kind, Any] = {
    Kind.FLOAT32: float | None,
    Kind.FLOAT64: float | None,
    Kind.BOOL: bool | None,
    Kind.TEXT: Annotated[str, msgspec.Meta(max_length=TEXT_CHARS_MAX)] | None,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of series as the dialect builds it: a table of the number fields, and columns of the others.

    `low` and `high` are (k, 1), at each field's precision; `is_single`: all numbers are float32.
    """

    sensor: Sensor
    is_known: bool
    fields: Mapping[str, Field]  # by the app's own name, and by its normalised one
    numbers: tuple[Field, ...]
    number_names: tuple[str, ...]
    others: tuple[Field, ...]
    is_single: bool
    low: Floats
    high: Floats
    low_everywhere: float  # the tightest of the bounds
    high_everywhere: float
    values: type[msgspec.Struct] | None  # of the app's field names, in our order; None when the app's sensor is unknown
    numbers_of: Callable[[Any], tuple[float | None, ...]] | None  # the numbers of one `values`

    def row(self, name: str) -> int:
        """The row of a number field in the table."""
        return self.number_names.index(name)


def normal(name: str) -> str:
    """A sensor's or field's name without case, spaces and underscores."""
    return re.sub(r"[\s_]+", "", name).lower()


def layout_of(name: str) -> Layout | None:
    """The layout for the app's sensor name (also one that we do not know), or None when it is no name at all."""
    known = LAYOUTS.get(name)
    if known is not None:
        return known
    key = normal(name)
    if not key:
        return None
    # a name that is the catalogue's, but not the app's, must not mix with what the catalogue means by it
    return LAYOUTS.get(key) or _unknown(safe_name(f"app.{key}" if key in CATALOGUE else key))


@lru_cache(maxsize=256)
def _unknown(name: str) -> Layout:
    return _layout(Sensor(name, ()), {}, is_known=False)


def _layout(sensor: Sensor, app_fields: Mapping[str, str], *, is_known: bool) -> Layout:
    ours = {app: sensor.by_name[name] for app, name in app_fields.items()}
    wanted = set(app_fields.values())
    numbers = tuple(f for f in sensor.fields if f.name in wanted and f.kind.is_number)
    is_single = all(f.kind is Kind.FLOAT32 for f in numbers)
    return Layout(
        sensor,
        is_known,
        MappingProxyType({**{normal(app): f for app, f in ours.items()}, **ours}),
        numbers,
        tuple(f.name for f in numbers),
        tuple(f for f in sensor.fields if f.name in wanted and not f.kind.is_number),
        is_single,
        _bounds(numbers, [f.low for f in numbers], is_single=is_single),
        _bounds(numbers, [f.high for f in numbers], is_single=is_single),
        max((f.low for f in numbers), default=0.0),
        min((f.high for f in numbers), default=0.0),
        _values(sensor.name, ours) if is_known else None,
        _getter(tuple(f.name for f in numbers), len(ours)) if numbers else None,
    )


def _bounds(numbers: tuple[Field, ...], bounds: list[float], *, is_single: bool) -> Floats:
    narrow = [float(DTYPE[f.kind](b)) for f, b in zip(numbers, bounds, strict=True)]
    column: npt.NDArray[np.float64] = np.array(narrow, np.float64).reshape(-1, 1)
    return column.astype(np.float32) if is_single else column


def _values(name: str, ours: Mapping[str, Field]) -> type[msgspec.Struct]:
    """The type of a reading's `values`: exact, so that what is anything else is sorted one by one."""
    order = [f.name for f in CATALOGUE[name].fields]
    fields = [
        (f.name, _JSON_TYPE[f.kind], msgspec.field(default=None, name=app))
        for app, f in sorted(ours.items(), key=lambda item: order.index(item[1].name))
    ]
    return msgspec.defstruct(f"_{name}_values", fields, forbid_unknown_fields=True, gc=False)


def _getter(names: tuple[str, ...], fields: int) -> Callable[[Any], tuple[float | None, ...]]:
    if len(names) == fields:
        return msgspec.structs.astuple  # twice as fast, and in the catalogue's order
    if len(names) > 1:
        return attrgetter(*names)
    one = attrgetter(names[0])
    return lambda values: (one(values),)


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {app: _layout(CATALOGUE[ours], fields, is_known=True) for app, (ours, fields) in _ROWS.items()}
)
