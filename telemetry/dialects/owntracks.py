"""The OwnTracks app's JSON (https://owntracks.org/booklet/tech/json) -> batches; one message is one batch.

    location                a `location`; where the message has them `battery`, `barometer` and `network`; all at `tst`
    transition, waypoint    an `annotation` ("enter Home", "waypoint Home"); its position is in `extra`
    encrypted               refused: the app's key is the receiver's to know, and this one knows none
    any other `_type`       nothing is stored (lwt, cmd, card, configuration, waypoints, status, steps, beacon, ...)

A message stands and falls with its position (its words, for an annotation): when that is wrong, it is refused, with
the path.  A battery, pressure or network that is wrong is left out and counted.  Where the app means "not known" by
something negative (vel, cog, acc, vac, batt), the field is absent.  What the catalogue lacks (t, tid, m, inregions,
created_at, poi, tag, ...) goes to the position's `extra`, but for a picture, which is left out.

The app numbers nothing: see `telemetry.unnumbered`.  Its `topic` (owntracks/user/device) says which phone it is, and
is pinned to the token.
"""

from collections.abc import Callable, Mapping
from typing import Any

from telemetry import unnumbered
from telemetry.batch import DEPTH_MAX, Series, depth
from telemetry.dialects._checked import Row, Wrong, checked, extra_text, microseconds, number, series_of, text, time_ns
from telemetry.dialects._json import load_json
from telemetry.errors import Invalid, TooLarge, Unsupported
from telemetry.outcome import Reason
from telemetry.ports import Parsed, Sender
from telemetry.reading import CATALOGUE, Field

PROTOCOL = "owntracks"
SOURCE_ID_CHARS_MAX = 256

Document = dict[str, Any]

_ABOUT = ("_type", "topic", "tst")
_POSITION: Mapping[str, tuple[str, float]] = {  # the app's field: ours, and how many of its units are one of ours
    "lat": ("latitude", 1.0),
    "lon": ("longitude", 1.0),
    "alt": ("altitude", 1.0),
    "vel": ("speed", 3.6),
    "cog": ("bearing", 1.0),
    "acc": ("horizontal_accuracy", 1.0),
    "vac": ("vertical_accuracy", 1.0),
}
_NEGATIVE_IS_UNKNOWN = frozenset({"vel", "cog", "acc", "vac", "batt"})
_CHARGE = {0: "unknown", 1: "unplugged", 2: "charging", 3: "full"}
_CONNECTION = {"w": "wifi", "m": "cellular", "o": "none"}
_SIDES: Mapping[str, tuple[str, ...]] = {
    "battery": ("batt", "bs"),
    "barometer": ("p",),
    "network": ("conn", "SSID", "BSSID"),
}
_PICTURE = "image"  # of a point of interest, in base64
_SAYS = {"vel": "location: km/h -> m/s", "batt": "battery: % -> 1", "p": "barometer: kPa -> hPa"}
_TOPIC_ENDS = frozenset({"event", "waypoint", "waypoints", "cmd", "dump", "status", "step", "steps", "beacon", "info"})


def parse(body: bytes, sender: Sender, *, readings_max: int) -> Parsed:
    """One batch, or none for what is no reading; raises `Malformed`, `Invalid`, `TooLarge` and `Unsupported`."""
    document = load_json(body)
    if not isinstance(document, dict):
        raise Invalid("an OwnTracks message is a JSON object with _type", path="$")
    if depth(document) > DEPTH_MAX:
        raise Invalid(f"nested deeper than {DEPTH_MAX}", path="$")
    kind = document.get("_type")
    if not isinstance(kind, str):
        raise Invalid("_type must be text", path="$._type")
    if kind == "encrypted":
        raise Unsupported(
            "this message is encrypted by the app: clear the encryption key in its settings and use https instead",
            path="$._type",
        )
    source_id = _source_id(document.get("topic"))
    read = _READERS.get(kind)
    if read is None:
        return Parsed((), source_id=source_id, is_test=True)
    series, rejected = read(document)
    if len(series) > readings_max:
        raise TooLarge(f"{len(series)} readings in one message; at most {readings_max}", path="$")
    batch = unnumbered.batch_of(sender.device, PROTOCOL, series)
    converted = tuple(words for name, words in _SAYS.items() if _has(series, name))
    if _PICTURE in document:
        converted += ("location: a picture was left out",) if kind == "location" else ()
    return Parsed((batch,), rejected, converted, source_id=source_id)


def _source_id(topic: Any) -> str | None:
    """The phone's own topic, without what an event or waypoint adds; None where the message has none."""
    if topic is None:
        return None
    if not isinstance(topic, str) or not 0 < len(topic) <= SOURCE_ID_CHARS_MAX:
        raise Invalid(f"topic must be text of 1 to {SOURCE_ID_CHARS_MAX} characters", path="$.topic")
    own, _, end = topic.rpartition("/")
    return own if own and end in _TOPIC_ENDS else topic


def _location(document: Document) -> tuple[list[Series], dict[Reason, int]]:
    t = _time(document)
    used = {*_ABOUT, *_POSITION, _PICTURE, *(name for names in _SIDES.values() for name in names)}
    extra = extra_text({k: v for k, v in document.items() if k not in used and v is not None}, "$")
    series = [series_of("location", [t], [_position(document, required=True)], [extra])]
    rejected: dict[Reason, int] = {}
    for sensor, names in _SIDES.items():
        said = {name: value for name in names if (value := _given(document, name)) is not None}
        try:
            row = _SIDE_ROWS[sensor](said)
        except Wrong as e:
            rejected[e.reason] = rejected.get(e.reason, 0) + 1
            continue
        if row:
            series.append(series_of(sensor, [t], [row], [None]))
    return series, rejected


def _event(document: Document, verb: str) -> tuple[list[Series], dict[Reason, int]]:
    t = _time(document)
    name = document.get("desc")
    try:
        words = text(f"{verb} {text(name)}" if name is not None else verb)
    except Wrong as e:
        raise Invalid(f"desc {e.message}", path="$.desc") from e
    position = _position(document, required=False)
    used = {*_ABOUT, *_POSITION, "desc", "event"}
    rest = {k: v for k, v in document.items() if k not in used and v is not None}
    extra = extra_text({**rest, **position}, "$")
    return [series_of("annotation", [t], [{"text": words}], [extra])], {}


def _transition(document: Document) -> tuple[list[Series], dict[Reason, int]]:
    event = document.get("event")
    if not isinstance(event, str) or not 0 < len(event) <= 64:
        raise Invalid("event must be text: enter or leave", path="$.event")
    return _event(document, event)


def _waypoint(document: Document) -> tuple[list[Series], dict[Reason, int]]:
    return _event(document, "waypoint")


def _time(document: Document) -> int:
    """`tst`, epoch seconds, in nanoseconds; to the microsecond where it is no integer."""
    try:
        seconds = number(document.get("tst"))
    except Wrong as e:
        raise Invalid(f"tst {e.message}: epoch seconds", path="$.tst") from e
    return time_ns(microseconds(seconds, "$.tst"), "$.tst")


def _position(document: Document, *, required: bool) -> dict[str, float | bool | str]:
    row: dict[str, float | bool | str] = {}
    for name, (ours, divisor) in _POSITION.items():
        value = _given(document, name)
        if value is None:
            if required and name in ("lat", "lon"):
                raise Invalid(f"a location needs {name}", path=f"$.{name}")
            continue
        try:
            row[ours] = checked(_field("location", ours), number(value) / divisor)
        except Wrong as e:
            raise Invalid(f"{name} {e.message}", path=f"$.{name}") from e
    return row


def _given(document: Document, name: str) -> Any:
    """The value, None where it is absent or says that it is not known."""
    value = document.get(name)
    is_unknown = name in _NEGATIVE_IS_UNKNOWN and isinstance(value, int | float) and value < 0
    return None if is_unknown else value


def _battery(said: Document) -> Row:
    row: dict[str, float | bool | str] = {}
    if "batt" in said:
        row["level"] = checked(_field("battery", "level"), number(said["batt"]) / 100)
    if "bs" in said:
        state = _CHARGE.get(said["bs"]) if type(said["bs"]) is int else None
        if state is None:
            raise Wrong(Reason.BAD_VALUES, "must be 0 to 3")
        row["state"] = state
    return row


def _barometer(said: Document) -> Row:
    return {"pressure": checked(_field("barometer", "pressure"), number(said["p"]) * 10)} if said else {}


def _network(said: Document) -> Row:
    row: dict[str, float | bool | str] = {}
    if "conn" in said:
        connection = _CONNECTION.get(text(said["conn"]))
        if connection is None:
            raise Wrong(Reason.BAD_VALUES, "must be w, m or o")
        row |= {"connection": connection, "is_connected": connection != "none"}
    return row | {ours: text(said[name]) for name, ours in (("SSID", "ssid"), ("BSSID", "bssid")) if name in said}


def _field(sensor: str, name: str) -> Field:
    return CATALOGUE[sensor].by_name[name]


def _has(series: list[Series], name: str) -> bool:
    """Whether a reading has what this field of the app was converted to."""
    sensor, ours = {"vel": ("location", "speed"), "batt": ("battery", "level"), "p": ("barometer", "pressure")}[name]
    return any(one.sensor == sensor and ours in one.values for one in series)


_READERS: Mapping[str, Callable[[Document], tuple[list[Series], dict[Reason, int]]]] = {
    "location": _location,
    "transition": _transition,
    "waypoint": _waypoint,
}
_SIDE_ROWS: Mapping[str, Callable[[Document], Row]] = {
    "battery": _battery,
    "barometer": _barometer,
    "network": _network,
}
