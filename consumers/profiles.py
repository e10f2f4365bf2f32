"""Which detectors judge a stream: a sensor picks its profile, and the settings may pick another.

Four profiles: `series` (one number), `channels` (several), `motion` (accelerometer, gyroscope and GPS as one stream)
and `health` (rules only).  `none` looks away.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from telemetry.reading import CATALOGUE

SENSORS_REMEMBERED = 256  # names come from outside: the memory of them is bounded
MOTION_STREAM = "motion"
MOTION_FIELDS = ("ax", "ay", "az", "gx", "gy", "gz", "latitude", "longitude", "speed", "horizontalAccuracy")
"""The columns of the motion stream: m/s2 with gravity, rad/s, degrees, m/s, m; GPS is absent between fixes."""

DETECTORS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "series": ("series",),
        "channels": ("channels",),
        "motion": ("motion", "health"),
        "health": ("health",),
        "none": (),
    }
)
"""The detectors of each profile, by the names of their files."""

_BY_SENSOR: Mapping[str, str] = MappingProxyType(
    {
        "acceleration": "motion",
        "gyroscope": "motion",
        "location": "motion",
        "magnetometer": "health",  # it turns with the phone
        "orientation": "none",  # a person turning a phone
        "gravity": "none",  # it and the next are parts of acceleration
        "linear_acceleration": "none",
        "battery": "health",
        "pedometer": "none",  # a counter
        "brightness": "none",  # a person's setting
        "system": "channels",
    }
)


@dataclass(frozen=True, slots=True)
class Profile:
    """A stream's name, its fields, and the detectors (names of files) that judge it."""

    name: str
    fields: tuple[str, ...]
    detectors: tuple[str, ...]


def profile_of(sensor: str, overrides: Mapping[str, str] = MappingProxyType({})) -> str:
    """The profile's name for a sensor of the catalogue: by the settings, by the table, or by its number of fields."""
    if sensor in overrides:
        return overrides[sensor]
    if sensor in _BY_SENSOR:
        return _BY_SENSOR[sensor]
    fields = numeric_fields(sensor)
    if not fields or sensor.endswith("_uncalibrated"):
        return "none"
    return "series" if len(fields) == 1 else "channels"


@functools.lru_cache(maxsize=SENSORS_REMEMBERED)
def numeric_fields(sensor: str) -> tuple[str, ...]:
    """The fields that detectors look at; `accuracy` says how good the others are."""
    known = CATALOGUE.get(sensor)
    return tuple(f.name for f in known.fields if f.kind.is_number and f.name != "accuracy") if known else ()


def made(name: str, fields: Sequence[str]) -> Profile:
    """The profile of that name over these columns."""
    return Profile(name, tuple(fields), DETECTORS[name])
