"""Batch <-> bytes: the canonical columnar JSON and its hash.  Pure.

    {"v":1,"device":"pi-7f3a","session":"01JD...","seq":1042,
     "series":[{"sensor":"acceleration","t0":<ns>,"dt":[0,10000000,...],"values":{"x":[...],"y":[...],"z":[...]}}]}

`dt` is nanoseconds since `t0`, one a reading.  Floats are the shortest text that keeps the declared precision.
`decode` is for bytes from outside: everything is checked and the path of what is wrong is given.
`decode_own` is for bytes that `encode` made (the log's): no check is repeated.
"""

import hashlib
import json
from typing import Any

import msgspec
import numpy as np
import orjson

from telemetry.batch import (
    DEPTH_MAX,
    EXTRA_BYTES_MAX,
    READINGS_MAX,
    SEQ_MAX,
    SERIES_MAX,
    TEXT_CHARS_MAX,
    TIME_NS_MAX,
    Batch,
    Column,
    Dropped,
    Series,
    Times,
    check_name,
    depth,
    narrow,
    out_of_range,
    packed_floats,
    packed_times,
)
from telemetry.errors import Invalid, Malformed, TooLarge
from telemetry.reading import CATALOGUE, Field, Kind

VERSION = 1
CONTENT_TYPE = "application/json"


class _Series(msgspec.Struct, forbid_unknown_fields=True):
    sensor: str
    t0: int
    dt: list[int]
    values: dict[str, msgspec.Raw] = {}
    extra: list[dict[str, Any] | None] | None = None


class _Dropped(msgspec.Struct, forbid_unknown_fields=True):
    readings: int
    reason: str


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    device: str
    session: str
    seq: int
    series: list[_Series]
    dropped: _Dropped | None = None


_DECODER = msgspec.json.Decoder(_Batch)
_COLUMN: dict[Kind, msgspec.json.Decoder[list[Any]]] = {
    Kind.FLOAT32: msgspec.json.Decoder(list[float | None]),
    Kind.FLOAT64: msgspec.json.Decoder(list[float | None]),
    Kind.BOOL: msgspec.json.Decoder(list[bool | None]),
    Kind.TEXT: msgspec.json.Decoder(list[str | None]),
}


def encode(batch: Batch) -> bytes:
    """The canonical bytes of a batch."""
    document: dict[str, Any] = {
        "v": VERSION,
        "device": batch.device,
        "session": batch.session,
        "seq": batch.seq,
        "series": [_series_document(s) for s in batch.series],
    }
    if batch.dropped is not None:
        document["dropped"] = {"readings": batch.dropped.readings, "reason": batch.dropped.reason}
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def content_hash(canonical: bytes) -> str:
    """The hash (32 hex digits, BLAKE2b-128) of a batch's canonical bytes."""
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def decode(body: bytes, *, readings_max: int = READINGS_MAX) -> Batch:
    """A batch from untrusted bytes.

    Raises `Malformed` (not JSON), `Invalid` (shape or value; `path` says where) or `TooLarge` (readings).
    """
    raw = _parse(body)
    if raw.v != VERSION:
        raise Invalid(f"schema version {raw.v} is not spoken here; send v={VERSION}", path="$.v")
    if not 0 <= raw.seq <= SEQ_MAX:
        raise Invalid("seq must be an integer from 0 to 2^63-1", path="$.seq")
    if len(raw.series) > SERIES_MAX:
        raise Invalid(f"at most {SERIES_MAX} series a batch", path="$.series")
    readings = sum(len(s.dt) for s in raw.series)
    if readings > readings_max:
        raise TooLarge(f"{readings} readings in one batch; at most {readings_max}: split it", path="$.series")
    check_name(raw.device, "$.device")
    check_name(raw.session, "$.session")
    series = tuple(_series(s, f"$.series[{k}]") for k, s in enumerate(raw.series))
    return Batch(raw.device, raw.session, raw.seq, series, _dropped(raw))


def decode_own(canonical: bytes) -> Batch:
    """A batch from bytes that `encode` made; raises `Malformed` when they are not (a poisoned log record)."""
    try:
        raw = orjson.loads(canonical)
        gone = raw.get("dropped")
        return Batch(
            raw["device"],
            raw["session"],
            raw["seq"],
            tuple(_own_series(s) for s in raw["series"]),
            Dropped(gone["readings"], gone["reason"]) if gone else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, Invalid) as e:
        raise Malformed(f"not a canonical batch: {type(e).__name__}: {e}") from e


def _series_document(series: Series) -> dict[str, Any]:
    t0 = int(series.t[0]) if len(series) else 0
    document: dict[str, Any] = {
        "sensor": series.sensor,
        "t0": t0,
        "dt": series.t - t0,
        "values": dict(series.values),
    }
    if series.extra is not None:
        document["extra"] = [None if text is None else orjson.Fragment(text) for text in series.extra]
    return document


def _parse(body: bytes) -> _Batch:
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError as e:
        message, path = _where(e)
        raise Invalid(message, path=path) from e
    except RecursionError as e:
        raise Invalid(f"nested deeper than {DEPTH_MAX}", path="$") from e
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        constant = _path_of_constant(body)
        if constant is not None:
            raise Invalid("NaN and infinities are no values: leave the value out, or send null", path=constant) from e
        raise Malformed(f"not JSON: {e}") from e


class _Constant:
    """Stands for a NaN, Infinity or -Infinity that some encoders write into JSON."""

    def __init__(self, name: str) -> None:
        self.name = name


def _path_of_constant(body: bytes) -> str | None:
    """Where the first such constant stands, if that is all that keeps the body from being JSON."""
    if b"NaN" not in body and b"Infinity" not in body:
        return None
    try:
        layer: list[tuple[str, Any]] = [("$", json.loads(body, parse_constant=_Constant))]
    except (ValueError, RecursionError):
        return None
    while layer:
        path, value = layer.pop()
        if isinstance(value, _Constant):
            return path
        if isinstance(value, dict):
            layer.extend((f"{path}.{name[:64]}", inner) for name, inner in reversed(value.items()))
        elif isinstance(value, list):
            layer.extend((f"{path}[{k}]", inner) for k, inner in reversed(tuple(enumerate(value))))
    return None


def _where(error: msgspec.ValidationError) -> tuple[str, str]:
    """The message of a decoder's error and the path in it, `$` when it names none."""
    message, _, path = str(error).partition(" - at `")
    return message, path.rstrip("`") or "$"


def _series(raw: _Series, path: str) -> Series:
    check_name(raw.sensor, f"{path}.sensor")
    known = CATALOGUE.get(raw.sensor)
    columns: dict[str, Column] = {}
    for name, column in raw.values.items():
        field = known.by_name.get(name) if known else None
        if field is None:
            where = f"{path}.values.{name[:64]}"
            raise Invalid(
                f"{raw.sensor} has no field {name[:64]!r}: put what the catalogue lacks in 'extra'", path=where
            )
        columns[name] = _column(field, column, len(raw.dt), f"{path}.values.{name}")
    return Series.of(raw.sensor, _times(raw.t0, raw.dt, path), columns, _extra(raw.extra, len(raw.dt), path))


def _times(t0: int, dt: list[int], path: str) -> Times:
    if not dt:
        return np.empty(0, np.int64)
    if not 0 <= t0 + min(dt) <= t0 + max(dt) <= TIME_NS_MAX or not 0 <= t0 <= TIME_NS_MAX:
        raise Invalid("times must be UTC nanoseconds from 1970 to 2262", path=f"{path}.t0")
    try:
        return packed_times(dt) + t0
    except OverflowError as e:
        raise Invalid("dt is nanoseconds since t0", path=f"{path}.dt") from e


def _column(field: Field, raw: msgspec.Raw, n: int, path: str) -> Column:
    try:
        values = _COLUMN[field.kind].decode(raw)
    except msgspec.ValidationError as e:
        message, inner = _where(e)
        raise Invalid(message, path=path + inner[1:]) from e
    except RecursionError as e:
        raise Invalid(f"nested deeper than {DEPTH_MAX}", path=path) from e
    if len(values) != n:
        raise Invalid(f"{len(values)} values for {n} times", path=path)
    if not field.kind.is_number:
        return _texts(values, path)
    column = packed_floats(values, field.kind)
    outside = out_of_range(field, column)
    if outside.any():
        where = int(outside.argmax())
        bounds = f"{field.low:g} to {field.high:g} {field.unit}".rstrip()
        raise Invalid(f"{values[where]!r} is outside {bounds}", path=f"{path}[{where}]")
    return column


def _texts(values: list[Any], path: str) -> Column:
    for k, value in enumerate(values):
        if isinstance(value, str) and len(value) > TEXT_CHARS_MAX:
            raise Invalid(f"text is over {TEXT_CHARS_MAX} characters", path=f"{path}[{k}]")
    return tuple(values)


def _extra(raw: list[dict[str, Any] | None] | None, n: int, path: str) -> list[str | None] | None:
    if raw is None:
        return None
    if len(raw) != n:
        raise Invalid(f"{len(raw)} extras for {n} times", path=f"{path}.extra")
    return [None if e is None else extra_text(e, f"{path}.extra[{k}]") for k, e in enumerate(raw)]


def extra_text(extra: dict[str, Any], path: str) -> str:
    """The canonical JSON text of one reading's extra; raises `Invalid` when it is too deep or too long."""
    if depth(extra) > DEPTH_MAX - 3:
        raise Invalid(f"nested deeper than {DEPTH_MAX}", path=path)
    try:
        text = orjson.dumps(extra, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as e:  # an integer beyond 64 bits
        raise Invalid(str(e), path=path) from e
    if len(text) > EXTRA_BYTES_MAX:
        raise Invalid(f"extra is {len(text)} bytes; at most {EXTRA_BYTES_MAX}", path=path)
    return text.decode()


def _dropped(raw: _Batch) -> Dropped | None:
    if raw.dropped is None:
        return None
    if raw.series:
        raise Invalid("a tombstone carries no series", path="$.series")
    if not 0 <= raw.dropped.readings <= SEQ_MAX:
        raise Invalid("readings must be an integer from 0", path="$.dropped.readings")
    return Dropped(raw.dropped.readings, check_name(raw.dropped.reason, "$.dropped.reason"))


def _own_series(raw: dict[str, Any]) -> Series:
    sensor, times = raw["sensor"], packed_times(raw["dt"])
    times += raw["t0"]
    columns: dict[str, Column] = {}
    if raw["values"]:
        fields = CATALOGUE[sensor].by_name
        for name, column in raw["values"].items():
            if len(column) != len(times):
                raise Invalid(f"{sensor}.{name} has {len(column)} values for {len(times)} times")
            narrowed = narrow(fields[name], column)
            if narrowed is not None:
                columns[name] = narrowed
    extra = raw.get("extra")
    texts = extra and tuple(None if e is None else orjson.dumps(e, option=orjson.OPT_SORT_KEYS).decode() for e in extra)
    return Series(sensor, times, columns, texts or None)
