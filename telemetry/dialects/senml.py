"""SenML packs in JSON (RFC 8428, application/senml+json) -> batches, one for each node that the names begin with.

Names become sensors and fields (`_senml_names`), units the catalogue's (`_senml_units`).  Records of one sensor and
time are one reading; a second value of the same field begins another.  What the catalogue does not know is kept
in `extra`, under a sensor of its own name, with its unit; so are sums.  `ut` is not kept.

All or nothing, as its sender reads statuses: one wrong record refuses the pack, with the path.

SenML numbers nothing: see `telemetry.unnumbered`.  So a pack with absolute times is stored once, however often it is
sent.  Times relative to now have no such identity: the same bytes a minute later are another measurement, and nobody
can tell that from a repetition.  A sender that repeats what got no answer must give absolute times.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from telemetry import unnumbered
from telemetry.batch import DEPTH_MAX, SERIES_MAX, Series, depth
from telemetry.dialects._checked import Wrong, checked, extra_text, series_of
from telemetry.dialects._json import load_json
from telemetry.dialects._senml_names import Meaning, meaning
from telemetry.dialects._senml_records import Record, resolved
from telemetry.dialects._senml_units import conversion, spoken
from telemetry.errors import Invalid, TooLarge
from telemetry.ports import Parsed, Sender
from telemetry.reading import Field, Kind

PROTOCOL = "senml"
NODES_MAX = 32  # of one pack; each is a batch of its own
_KIND = {Kind.TEXT: "vs", Kind.BOOL: "vb", Kind.FLOAT32: "v", Kind.FLOAT64: "v"}
_UNKNOWN_MAX = 1_000  # names counted apart; beyond, they are one


@dataclass(slots=True)
class _Reading:
    """One sensor's at one time."""

    at: int
    row: dict[str, float | bool | str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


_Places = dict[tuple[str, int], list[_Reading]]  # by sensor and time, in order of arrival


def parse(body: bytes, sender: Sender, *, readings_max: int) -> Parsed:
    """A batch a node; raises `Malformed` (not JSON), `Invalid` (at the first wrong record) and `TooLarge`."""
    return parsed(load_json(body), sender, readings_max=readings_max)


def too_many(records: str, records_max: int) -> TooLarge:
    """The refusal of a pack with so many."""
    return TooLarge(f"{records} records in one pack; at most {records_max}: split it", path="$")


def parsed(pack: Any, sender: Sender, *, readings_max: int) -> Parsed:
    """The same of a decoded pack, whatever it came in."""
    if not isinstance(pack, list) or not pack:
        raise Invalid("a SenML pack is an array of at least one record", path="$")
    if len(pack) > readings_max:
        raise too_many(f"{len(pack)}", readings_max)
    if depth(pack) > DEPTH_MAX:
        raise Invalid(f"nested deeper than {DEPTH_MAX}", path="$")
    nodes: dict[str, _Places] = {}
    converted: dict[str, None] = {}
    unknown: Counter[str] = Counter()
    for record in resolved(pack, sender.received_ns):
        means = meaning(record.name, record.unit)
        places = nodes.setdefault(means.node, {})
        if len(nodes) > NODES_MAX:
            raise TooLarge(f"more than {NODES_MAX} nodes in one pack: split it", path=f"$[{record.at}].n")
        _take(places.setdefault((means.sensor, record.t), []), record, means, converted, unknown)
    batches = [unnumbered.batch_of(sender.device, PROTOCOL, _series(nodes[node]), node) for node in nodes]
    return Parsed(tuple(batches), converted=tuple(converted), unknown=dict(unknown))


def _take(
    readings: list[_Reading], record: Record, means: Meaning, converted: dict[str, None], unknown: Counter[str]
) -> None:
    ours = means.field
    values, extra = {}, {}
    if record.kind:
        if ours is not None:
            values[ours.name] = _converted(record, ours, means.sensor, converted)
        else:
            extra[means.key] = record.value
            if record.unit is not None:
                extra["unit" if means.key == "value" else f"{means.key}.unit"] = record.unit
            name = means.sensor if means.key == "value" else f"{means.sensor}.{means.key}"
            unknown[name if name in unknown or len(unknown) < _UNKNOWN_MAX else "other"] += 1
    if record.total is not None:
        extra["sum" if means.key == "value" else f"{means.key}.sum"] = record.total
    last = readings[-1] if readings else None
    if last is None or not last.row.keys().isdisjoint(values) or not last.extra.keys().isdisjoint(extra):
        last = _Reading(record.at)
        readings.append(last)
    last.row |= values
    last.extra |= extra


def _converted(record: Record, ours: Field, sensor: str, converted: dict[str, None]) -> float | bool | str:
    """The value in the catalogue's unit, of its kind and in its range; raises `Invalid`."""
    path = f"$[{record.at}].{record.kind}"
    wanted = _KIND[ours.kind]
    if record.kind != wanted:
        raise Invalid(f"{sensor}.{ours.name} is given as {wanted}, not {record.kind}", path=path)
    value = record.value
    if isinstance(value, float):
        linear = conversion(ours.unit, record.unit)
        if linear is None:
            raise Invalid(
                f"{sensor}.{ours.name} cannot be in {record.unit!r:.40}; it is understood in {spoken(ours.unit)}",
                path=f"$[{record.at}].u",
            )
        factor, addend = linear
        if linear != (1.0, 0.0):
            converted[f"{sensor}: {record.unit} -> {ours.unit}"] = None
            value = value * factor + addend
    try:
        return checked(ours, value)
    except Wrong as e:
        raise Invalid(f"{sensor}.{ours.name} {e.message}", path=path) from e


def _series(places: _Places) -> list[Series]:
    """Each sensor's readings by time."""
    by_sensor: dict[str, list[tuple[int, _Reading]]] = {}
    for (sensor, t), readings in places.items():
        by_sensor.setdefault(sensor, []).extend((t, reading) for reading in readings)
    if len(by_sensor) > SERIES_MAX:
        raise TooLarge(f"more than {SERIES_MAX} sensors in one pack: split it", path="$")
    return [_one(sensor, sorted(rows, key=_time)) for sensor, rows in by_sensor.items()]


def _time(row: tuple[int, _Reading]) -> int:
    return row[0]


def _one(sensor: str, rows: Iterable[tuple[int, _Reading]]) -> Series:
    times, readings = zip(*rows, strict=True)
    extra = [extra_text(reading.extra, f"$[{reading.at}]") for reading in readings]
    return series_of(sensor, times, [reading.row for reading in readings], extra)
