"""What a SenML name means: the node it begins with, then a sensor and field of the catalogue, or a name of its own.

    urn:dev:mac:0024befffe804ff1:acceleration/x     node urn:dev:mac:0024befffe804ff1, acceleration.x
    urn:dev:ow:10e2073a01080063_temperature         node urn:dev:ow:10e2073a01080063, temperature.celsius
    kitchen/humidity                                node kitchen, humidity.relative
    acceleration.x, lat, heart-rate                 no node
    urn:dev:ow:10e2073a01080063                     the node itself: its unit says what it measures (RFC 8428, 5.1.4)
    urn:dev:ow:10e2073a0108006:voltage              node urn:dev:ow:10e2073a0108006, a sensor `voltage` of its own

Parts are set apart by `:`, `/` or `.`; in a device's URN also by the `_` after its identifier (RFC 9039).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from telemetry.dialects._names import safe_name
from telemetry.reading import CATALOGUE, Field

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]*")  # RFC 8428, section 4.5.1
NAME_CHARS_MAX = 256
_DEVICE = re.compile(r"(urn:dev:[a-z0-9]+:[^:/_]+)(?:[:/_](.*))?", re.IGNORECASE)  # RFC 9039, section 3
_BETWEEN = re.compile(r"[:/.]")

# A sensor named alone means this field of it.
_MAIN: Mapping[str, str] = {
    "barometer": "pressure",
    "battery": "level",
    "microphone": "dbfs",
    "light": "illuminance",
    "brightness": "level",
    "pedometer": "steps",
    "heart_rate": "rate",
    "temperature": "celsius",
    "humidity": "relative",
    "annotation": "text",
}
_ALIASES: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("lat", "latitude"), ("location", "latitude")),
    **dict.fromkeys(("lon", "lng", "long", "longitude"), ("location", "longitude")),
    **dict.fromkeys(("alt", "altitude"), ("location", "altitude")),
    "speed": ("location", "speed"),
    **dict.fromkeys(("bearing", "heading", "course"), ("location", "bearing")),
    "temp": ("temperature", "celsius"),
    **dict.fromkeys(("rh", "relativehumidity"), ("humidity", "relative")),
    "pressure": ("barometer", "pressure"),
    **dict.fromkeys(("illuminance", "lux"), ("light", "illuminance")),
    "batterylevel": ("battery", "level"),
    **dict.fromkeys(("heartrate", "hr"), ("heart_rate", "rate")),
    "steps": ("pedometer", "steps"),
}
_OF_UNIT: Mapping[str, tuple[str, str]] = {
    "lat": ("location", "latitude"),
    "lon": ("location", "longitude"),
    "%RH": ("humidity", "relative"),
    "%EL": ("battery", "level"),
    "Cel": ("temperature", "celsius"),
    "K": ("temperature", "celsius"),
    "lx": ("light", "illuminance"),
    "beat/min": ("heart_rate", "rate"),
    "Pa": ("barometer", "pressure"),
    "hPa": ("barometer", "pressure"),
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """`field` is None where the catalogue has none; then the value is kept in `extra` as `key`."""

    node: str
    sensor: str
    field: Field | None
    key: str


def _normal(name: str) -> str:
    return re.sub(r"[_-]", "", name).lower()


_SENSORS = {_normal(name): sensor for name, sensor in CATALOGUE.items()}
_FIELDS = {name: {_normal(f.name): f for f in sensor.fields} for name, sensor in CATALOGUE.items()}


@lru_cache(maxsize=4_096)
def meaning(name: str, unit: str | None) -> Meaning:
    """What a resolved name of good form means."""
    device = _DEVICE.fullmatch(name)
    node, local = (device[1], device[2] or "") if device else ("", name)
    parts = [part for part in _BETWEEN.split(local) if part]
    if not parts:
        return _by_unit(node or name, unit)
    sensor = _SENSORS.get(_normal(parts[-2])) if len(parts) > 1 else None
    if sensor is not None:
        field = _FIELDS[sensor.name].get(_normal(parts[-1]))
        return Meaning(_joined(node, parts[:-2]), sensor.name, field, safe_name(parts[-1]))
    return _alone(_joined(node, parts[:-1]), parts[-1])


def _alone(node: str, last: str) -> Meaning:
    found = _ALIASES.get(_normal(last))
    if found is None and (sensor := _SENSORS.get(_normal(last))) is not None:
        main = _MAIN.get(sensor.name)
        if main is None:
            return Meaning(node, sensor.name, None, "value")
        found = sensor.name, main
    if found is None:
        return Meaning(node, safe_name(last), None, "value")
    return Meaning(node, found[0], CATALOGUE[found[0]].by_name[found[1]], found[1])


def _by_unit(node: str, unit: str | None) -> Meaning:
    found = _OF_UNIT.get(unit or "")
    if found is None:
        return Meaning(node, safe_name(node), None, "value")
    return Meaning(node, found[0], CATALOGUE[found[0]].by_name[found[1]], found[1])


def _joined(node: str, parts: list[str]) -> str:
    return ":".join([node, *parts] if node else parts)
