"""The catalogue: which sensors there are, their fields, SI units, precision and plausible range.

A field's precision is declared here (float32 for motion, float64 for position): it is what is stored, and
what a ledger compares.  Ranges are checked after narrowing.  Axes follow Android's convention.  Units are SI
(with the prefixes that Android's sensor API uses: microtesla, hectopascal).

To add a sensor, add one entry to ``CATALOGUE``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType


class Kind(StrEnum):
    """How a field's values are held."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BOOL = "bool"
    TEXT = "text"

    @property
    def is_number(self) -> bool:
        """True for the two float kinds."""
        return self in (Kind.FLOAT32, Kind.FLOAT64)


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a reading; ``low`` and ``high`` bound what is plausible, both included."""

    name: str
    kind: Kind = Kind.FLOAT32
    unit: str = ""
    low: float = -3.4e38
    high: float = 3.4e38


@dataclass(frozen=True)
class Sensor:
    """A sensor and its fields, in canonical order."""

    name: str
    fields: tuple[Field, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by name."""
        return MappingProxyType({f.name: f for f in self.fields})


_ACCURACY = Field("accuracy", unit="", low=-1, high=3)  # Android's SensorEvent.accuracy, -1 = no contact


def _xyz(name: str, unit: str, bound: float) -> Sensor:
    axes = (Field(axis, Kind.FLOAT32, unit, -bound, bound) for axis in "xyz")
    return Sensor(name, (*axes, _ACCURACY))


_QUATERNION_MAX = 10.0  # not 1: a rotation is the same at any length, and not every sender normalises
_ANGLES = tuple(Field(angle, Kind.FLOAT32, "rad", -100, 100) for angle in ("pitch", "roll", "yaw"))


# Angles may be unwrapped and quaternions not normalised, by drivers that leave it to their reader: the bounds are wide.


def _worn(name: str) -> Sensor:
    """A watch's or headphone's combined motion record."""
    vector = (
        Field(f"{quantity}_{axis}", Kind.FLOAT32, unit, -bound, bound)
        for quantity, unit, bound in (
            ("rotation_rate", "rad/s", 200.0),
            ("gravity", "m/s2", 200.0),
            ("acceleration", "m/s2", 4000.0),
        )
        for axis in "xyz"
    )
    quaternion = (Field(f"quaternion_{axis}", Kind.FLOAT32, "", -100, 100) for axis in "wxyz")
    return Sensor(name, (*vector, *quaternion, *_ANGLES, Field("worn_at", Kind.TEXT), _ACCURACY))


def _one(name: str, field: str, unit: str, low: float, high: float) -> Sensor:
    return Sensor(name, (Field(field, Kind.FLOAT32, unit, low, high), _ACCURACY))


_SENSORS = (
    # `acceleration` has gravity in it, `linear_acceleration` has not; `gravity` is the difference.
    _xyz("acceleration", "m/s2", 4000.0),
    _xyz("linear_acceleration", "m/s2", 4000.0),
    _xyz("gravity", "m/s2", 200.0),
    _xyz("acceleration_uncalibrated", "m/s2", 4000.0),
    _xyz("gyroscope", "rad/s", 200.0),
    _xyz("gyroscope_uncalibrated", "rad/s", 200.0),
    _xyz("magnetometer", "uT", 100_000.0),
    _xyz("magnetometer_uncalibrated", "uT", 100_000.0),
    Sensor(
        "orientation",
        (
            *_ANGLES,
            *(Field(part, Kind.FLOAT32, "", -100, 100) for part in ("qx", "qy", "qz", "qw")),
            _ACCURACY,
        ),
    ),
    Sensor(
        "location",
        (
            Field("latitude", Kind.FLOAT64, "deg", -90, 90),
            Field("longitude", Kind.FLOAT64, "deg", -180, 180),
            Field("altitude", Kind.FLOAT64, "m", -12_000, 1_000_000),
            Field("altitude_msl", Kind.FLOAT64, "m", -12_000, 1_000_000),
            Field("speed", Kind.FLOAT32, "m/s", 0, 12_000),
            Field("bearing", Kind.FLOAT32, "deg", 0, 360),
            Field("horizontal_accuracy", Kind.FLOAT32, "m", 0, 1e8),
            Field("vertical_accuracy", Kind.FLOAT32, "m", 0, 1e8),
            Field("speed_accuracy", Kind.FLOAT32, "m/s", 0, 1e6),
            Field("bearing_accuracy", Kind.FLOAT32, "deg", 0, 360),
            _ACCURACY,
        ),
    ),
    Sensor(
        "barometer",
        (
            Field("pressure", Kind.FLOAT32, "hPa", 0, 20_000),
            Field("relative_altitude", Kind.FLOAT32, "m", -2e4, 1e6),
            _ACCURACY,
        ),
    ),
    Sensor(
        "battery",
        (
            Field("level", Kind.FLOAT32, "1", 0, 1),
            Field("state", Kind.TEXT),
            Field("low_power", Kind.BOOL),
            Field("voltage", Kind.FLOAT32, "V", 0, 1000),
            Field("charging_current", Kind.FLOAT32, "A", -1000, 1000),
            Field("health", Kind.TEXT),
            _ACCURACY,
        ),
    ),
    _one("microphone", "dbfs", "dB", -400, 100),
    _one("light", "illuminance", "lx", 0, 1e7),
    _one("brightness", "level", "1", 0, 1),
    _one("pedometer", "steps", "1", 0, 1e8),
    _one("heart_rate", "rate", "1/min", 0, 1000),
    _one("temperature", "celsius", "degC", -273.15, 5000),
    _one("humidity", "relative", "%", 0, 100.5),
    Sensor(
        "system",
        (
            Field("cpu_temperature", Kind.FLOAT32, "degC", -100, 300),
            Field("load", Kind.FLOAT32, "1", 0, 1e6),
            Field("memory_used", Kind.FLOAT32, "1", 0, 1),
            Field("disk_used", Kind.FLOAT32, "1", 0, 1),
        ),
    ),
    _worn("wrist_motion"),
    _worn("headphone"),
    Sensor(
        "network",
        (
            Field("text", Kind.TEXT),
            Field("connection", Kind.TEXT),
            Field("is_connected", Kind.BOOL),
            Field("is_internet_reachable", Kind.BOOL),
            Field("is_wifi_enabled", Kind.BOOL),
            Field("is_connection_expensive", Kind.BOOL),
            Field("ssid", Kind.TEXT),
            Field("bssid", Kind.TEXT),
            Field("ip_address", Kind.TEXT),
            Field("carrier", Kind.TEXT),
            Field("cellular_generation", Kind.TEXT),
            Field("strength", Kind.FLOAT32, "%", -1000, 1000),
            Field("frequency", Kind.FLOAT32, "MHz", 0, 1e6),
            _ACCURACY,
        ),
    ),
    Sensor(
        "bluetooth",
        (
            Field("text", Kind.TEXT),
            Field("beacon", Kind.TEXT),
            Field("rssi", Kind.FLOAT32, "dBm", -1000, 1000),
            Field("tx_power", Kind.FLOAT32, "dBm", -1000, 1000),
            Field("manufacturer_data", Kind.TEXT),
            Field("advertisement", Kind.TEXT),
            Field("service_data", Kind.TEXT),
            _ACCURACY,
        ),
    ),
    Sensor(
        "bluetooth_metadata",
        (
            Field("text", Kind.TEXT),
            Field("beacon", Kind.TEXT),
            Field("beacon_name", Kind.TEXT),
            Field("local_name", Kind.TEXT),
            Field("manufacturer", Kind.TEXT),
            Field("model", Kind.TEXT),
            Field("is_connectable", Kind.BOOL),
            _ACCURACY,
        ),
    ),
    Sensor("annotation", (Field("text", Kind.TEXT), Field("press_duration", Kind.FLOAT32, "s", 0, 1e6), _ACCURACY)),
    Sensor("camera", (Field("image_format", Kind.TEXT), _ACCURACY)),
)

CATALOGUE: Mapping[str, Sensor] = MappingProxyType({s.name: s for s in _SENSORS})

FIELD_NAMES: Mapping[str, Kind] = MappingProxyType({f.name: f.kind for s in _SENSORS for f in s.fields})
"""Every field name of the catalogue with its kind: a name has one kind wherever it stands (a test holds it)."""
