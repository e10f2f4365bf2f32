"""Data views: what Kibana calls an index pattern, with the unit of every field that has one."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sensorline.kibana.fields import Fields, fields_of
from telemetry.reading import CATALOGUE
from telemetry.stores._elastic_names import Names

CORE_VERSION = "8.8.0"
TYPE_VERSIONS = {"index-pattern": "8.0.0", "dashboard": "8.9.0", "map": "8.4.0", "lens": "8.9.0"}
"""The oldest levels supported: Kibana imports what is as old as itself or older, and brings it up to date."""

Document = dict[str, Any]

_PERCENT: Document = {"id": "percent", "params": {"pattern": "0.[0]%"}}
_DURATION: Document = {
    "id": "duration",
    "params": {
        "inputFormat": "nanoseconds",
        "outputFormat": "humanizePrecise",
        "outputPrecision": 3,
        "useShortSuffix": True,
        "includeSpaceWithSuffix": True,
    },
}
_SHARES = frozenset({"level", "memory_used", "disk_used"})  # from 0 to 1
_WORDS = {"m/s2": "m/s²", "degC": "°C", "uT": "µT", "deg": "°", "1/min": "1/min"}
_LABELS: dict[str, dict[str, str]] = {
    "readings": {"@timestamp": "Time", "device": "Device", "sensor": "Sensor", "location": "Position"},
    "anomalies": {
        "@timestamp": "Start",
        "end": "End",
        "received": "Received",
        "device": "Device",
        "stream": "Sensor",
        "kind": "Kind",
        "severity": "Severity",
        "is_open": "Still open",
        "score": "Score (times the threshold)",
        "words": "What happened",
    },
    "sessions": {
        "device": "Device",
        "session": "Session",
        "first_received": "First received",
        "last_received": "Last received",
        "received_batches": "Batches received",
        "received_readings": "Readings received",
        "missing_batches": "Batches missing",
        "duplicate_batches": "Batches received again",
        "reordered_batches": "Batches out of order",
        "late_batches": "Batches late",
        "dropped_readings": "Readings dropped by the device",
        "rejected_readings": "Readings rejected",
        "clock_offset_ns": "Clock offset (to be added to its times)",
        "clock_is_skewed": "Clock is wrong",
    },
    "windows": {"@timestamp": "Start", "end": "End", "device": "Device", "sensor": "Sensor", "count": "Readings"},
}


@dataclass(frozen=True)
class View:
    """A data view on one of our indices; `index` names its template."""

    index: str
    id: str
    title: str  # the index pattern
    name: str
    time_field: str

    @cached_property
    def fields(self) -> Fields:
        """What can be asked of it."""
        return fields_of(self.index)

    def saved(self) -> Document:
        """As a saved object."""
        attributes = {
            "title": self.title,
            "name": self.name,
            "timeFieldName": self.time_field,
            "allowNoIndex": True,  # before the first reading there is no index
            "fields": "[]",
            "fieldAttrs": json.dumps({name: {"customLabel": label} for name, label in self._labels()}),
            "fieldFormatMap": json.dumps(dict(self._formats())),
            "runtimeFieldMap": "{}",
            "sourceFilters": "[]",
            "typeMeta": "{}",
        }
        return saved_object("index-pattern", self.id, attributes, [])

    def _labels(self) -> Iterator[tuple[str, str]]:
        named = _LABELS[self.index]
        for name in self.fields:
            if name in named:
                yield name, named[name]
            elif self.index == "readings" and (unit := units().get(name)):
                yield name, f"{name} ({unit})"

    def _formats(self) -> Iterator[tuple[str, Document]]:
        for name in self.fields:
            if self.index == "readings" and name in _SHARES:
                yield name, _PERCENT
            elif name.endswith("_ns"):
                yield name, _DURATION


@dataclass(frozen=True)
class Views:
    """The data views of an installation."""

    readings: View
    anomalies: View
    sessions: View
    windows: View

    def __iter__(self) -> Iterator[View]:
        yield from (self.readings, self.anomalies, self.sessions, self.windows)


def views(prefix: str) -> Views:
    """The data views over the indices with this prefix; installations with different prefixes share no object."""
    names = Names(prefix)

    def view(index: str, title: str, name: str, time_field: str) -> View:
        shown = f"Sensorline {name} ({prefix})" if prefix else f"Sensorline {name}"
        return View(index, object_id(prefix, index), title, shown, time_field)

    return Views(
        readings=view("readings", names.readings, "readings", "@timestamp"),
        anomalies=view("anomalies", names.anomalies, "anomalies", "@timestamp"),
        sessions=view("sessions", names.sessions, "sessions", "last_received"),
        windows=view("windows", names.windows, "windows", "@timestamp"),
    )


def object_id(prefix: str, name: str) -> str:
    """The id of one of our saved objects: the same at every install, so that the next one replaces it."""
    return f"{prefix}sensorline-{name}".replace(".", "_")


def units() -> Mapping[str, str]:
    """The unit of each field name that has the same one in every sensor: `x` is m/s² here and µT there, so it has none.

    Shares have none either: they are shown in percent.
    """
    found: dict[str, set[str]] = {}
    for sensor in CATALOGUE.values():
        for field in sensor.fields:
            found.setdefault(field.name, set()).add(field.unit)
    alone = {name: next(iter(those)) for name, those in found.items() if len(those) == 1}
    return {name: _WORDS.get(unit, unit) for name, unit in alone.items() if unit not in {"", "1"}}


def saved_object(type_: str, id_: str, attributes: Document, references: list[Document]) -> Document:
    """A line of the file that Kibana imports."""
    return {
        "id": id_,
        "type": type_,
        "managed": False,
        "attributes": attributes,
        "references": references,
        "coreMigrationVersion": CORE_VERSION,
        "typeMigrationVersion": TYPE_VERSIONS[type_],
    }


def reference(name: str, view_id: str) -> Document:
    """Where an object says by `name` which data view it uses."""
    return {"type": "index-pattern", "id": view_id, "name": name}
