"""A batch as bulk operations: one document a reading, every column encoded at once.

A row's `_id` is 24 characters (18 bytes): microseconds of the claim's receive time (7 bytes), BLAKE2b of the batch's
identity (8 bytes), ordinal in the batch (3 bytes).  Ids then rise as batches arrive, so that Elasticsearch's check for
one that is there already ends at each segment's largest id; and two batches share one only with the same
microsecond and the same 64 bits.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from telemetry.batch import Batch, BatchId, Column, Series
from telemetry.stores import _elastic_smile as smile
from telemetry.stores._days import DAY_NS
from telemetry.stores._elastic_names import Names, iso_text

_ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8)
_SEXTETS = np.array([18, 12, 6, 0], np.int64)
_ID_CHARS = 24
_ACTION = smile.HEADER + smile.OBJECT + smile.key("create") + smile.OBJECT + smile.key("_id")
_ACTION_END = smile.OBJECT_END * 2 + smile.END
_TIME = smile.HEADER + smile.OBJECT + smile.key("@timestamp") + smile.ascii_head(30)
_DOC_END = smile.OBJECT_END + smile.END

Indices = npt.NDArray[np.intp]
Part = bytes | smile.Bytes2D


@dataclass(frozen=True, slots=True)
class Chunk:
    """Operations of one item for one index; `operations` of them in `body`."""

    index: str
    item: int
    operations: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Window:
    """Which event times have a day index of their own, for a batch received then; older than `oldest_ns` is expired."""

    oldest_ns: int
    first_day: int
    last_day: int

    @classmethod
    def of(cls, received_ns: int, *, oldest_ns: int, late_days_max: int) -> "Window":
        """One day ahead for clocks that run fast, `late_days_max` back for devices that were offline."""
        day = received_ns // DAY_NS
        return cls(oldest_ns, day - late_days_max, day + 1)


def id_prefix(id_: BatchId, received_ns: int) -> bytes:
    """The first 20 characters of the ids of a batch's rows."""
    identity = f"{id_.device}/{id_.session}/{id_.seq}".encode()
    digest = hashlib.blake2b(identity, digest_size=8).digest()
    return base64.urlsafe_b64encode((received_ns // 1000).to_bytes(7, "big") + digest)


def chunks_of(item: int, batch: Batch, received_ns: int, window: Window, names: Names) -> Iterator[Chunk]:
    """The operations of a batch's readings that are not expired."""
    prefix = _ACTION + smile.ascii_head(_ID_CHARS) + id_prefix(batch.id, received_ns)
    constant = (
        (smile.key("device") + smile.text(batch.device))
        + (smile.key("session") + smile.text(batch.session))
        + (smile.key("seq") + smile.integer(batch.seq))
    )
    first = 0
    for ordinal, series in enumerate(batch.series):
        about = constant + smile.key("sensor") + smile.text(series.sensor)
        about += smile.key("series") + smile.integer(ordinal) + smile.key("i")
        for day, rows in _by_day(series, window):
            index = names.skewed if day is None else names.day(day)
            yield Chunk(index, item, len(rows), _render(prefix, about, series, rows, first))
        first += len(series)


def _by_day(series: Series, window: Window) -> Iterator[tuple[int | None, Indices]]:
    """The rows by their index' day, None for the skewed ones; the expired ones are left out."""
    if not len(series):
        return
    low, high = int(series.t.min()), int(series.t.max())
    if low >= window.oldest_ns and low // DAY_NS == high // DAY_NS:
        yield _clamped(low // DAY_NS, window), np.arange(len(series))
        return
    days = series.t // DAY_NS
    kept = series.t >= window.oldest_ns
    normal = kept & (days >= window.first_day) & (days <= window.last_day)
    for day in np.unique(days[normal]):
        yield int(day), np.flatnonzero(normal & (days == day))
    skewed = np.flatnonzero(kept & ~normal)
    if len(skewed):
        yield None, skewed


def _clamped(day: int, window: Window) -> int | None:
    return day if window.first_day <= day <= window.last_day else None


def _render(prefix: bytes, about: bytes, series: Series, rows: Indices, first: int) -> bytes:
    """The operations of some rows of a series; when all of its values are there, all at once."""
    columns = series.values if len(rows) == len(series) else _taken(series.values, rows)
    t = series.t if len(rows) == len(series) else series.t[rows]
    extra = None if series.extra is None else [series.extra[k] for k in rows]
    ids = _suffixes(first + len(series))[first:][rows]
    head: list[Part] = [prefix, ids, _ACTION_END + _TIME, _times(t.tobytes()), about, _places(len(series))[rows]]
    if extra is None and (fixed := _fixed(columns)) is not None:
        return _laid_out([*head, *fixed, _DOC_END], len(rows)).tobytes()
    return _with_gaps(head, columns, extra, len(rows))


def _with_gaps(head: list[Part], columns: Mapping[str, Column], extra: Sequence[str | None] | None, n: int) -> bytes:
    """As `_render`, where some values are absent or of no fixed width: fields by fields, row by row."""
    fields: list[list[bytes]] = [_rows_of(_laid_out(head, n))]
    for name, column in columns.items():
        fields.append(_optional(name, column))
    if "latitude" in columns and "longitude" in columns:
        fields.append(_optional_point(columns["latitude"], columns["longitude"]))
    if extra is not None:
        fields.append(_optional("extra", tuple(extra)))
    return b"".join(b"".join(row) + _DOC_END for row in zip(*fields, strict=True))


def _fixed(columns: Mapping[str, Column]) -> list[Part] | None:
    """The fields as columns of bytes; None when a value is absent, or is a text."""
    encoded: dict[str, smile.Bytes2D] = {}
    for dtype in (np.float32, np.float64):
        alike = {name: c for name, c in columns.items() if isinstance(c, np.ndarray) and c.dtype == dtype}
        if alike:
            stacked = np.stack(list(alike.values()))
            if np.isnan(stacked).any():
                return None
            encoded |= zip(alike, smile.floats(stacked), strict=True)
    for name, column in columns.items():
        if not isinstance(column, np.ndarray):
            if not all(isinstance(value, bool) for value in column):
                return None
            encoded[name] = np.array([_scalar(bool(value))[0] for value in column], np.uint8)[:, None]
    parts: list[Part] = [part for name in columns for part in (smile.key(name), encoded[name])]
    if "latitude" in columns and "longitude" in columns:
        parts += _point(encoded["latitude"], encoded["longitude"])
    return parts


def _point(latitude: smile.Bytes2D, longitude: smile.Bytes2D) -> list[Part]:
    """A geo_point as [longitude, latitude], for maps; the exact values are in their own fields."""
    return [smile.key("location") + smile.ARRAY, longitude, latitude, smile.ARRAY_END]


def _optional(name: str, column: Column) -> list[bytes]:
    """The property of each row, empty where it is absent."""
    key = smile.key(name)
    if isinstance(column, np.ndarray):
        absent = np.isnan(column)
        return [
            b"" if gone else key + value for gone, value in zip(absent, _rows_of(smile.floats(column)), strict=True)
        ]
    return [b"" if value is None else key + _scalar(value) for value in column]


def _optional_point(latitude: Any, longitude: Any) -> list[bytes]:
    whole = _rows_of(_laid_out(_point(smile.floats(latitude), smile.floats(longitude)), len(latitude)))
    absent = np.isnan(latitude) | np.isnan(longitude)
    return [b"" if gone else point for gone, point in zip(absent, whole, strict=True)]


def _scalar(value: str | bool) -> bytes:
    if isinstance(value, bool):
        return smile.TRUE if value else smile.FALSE
    return smile.text(value)


def _taken(columns: Mapping[str, Column], rows: Indices) -> dict[str, Column]:
    return {
        name: column[rows] if isinstance(column, np.ndarray) else tuple(column[k] for k in rows)
        for name, column in columns.items()
    }


@lru_cache(maxsize=4)
def _times(t: bytes) -> smile.Bytes2D:
    """Sensors that were read together share their times: these are often the last ones again."""
    return iso_text(np.frombuffer(t, np.int64))


def _suffixes(n: int) -> smile.Bytes2D:
    """(at least n, 4): the last characters of the ids; they differ while a batch has fewer than 2^24 readings."""
    return _suffix_table(_table_size(n))


def _places(n: int) -> smile.Bytes2D:
    """(at least n, 4): the integers from 0."""
    return _place_table(_table_size(n))


def _table_size(n: int) -> int:
    return max(1024, 1 << (n - 1).bit_length()) if n else 1024


@cache
def _suffix_table(size: int) -> smile.Bytes2D:
    table: smile.Bytes2D = _ALPHABET[(np.arange(size)[:, None] >> _SEXTETS) & 63]
    return table


@cache
def _place_table(size: int) -> smile.Bytes2D:
    return smile.integers(np.arange(size))


def _laid_out(parts: Sequence[Part], n: int) -> smile.Bytes2D:
    """(n, width): constants repeated, columns in their place."""
    widths = [len(p) if isinstance(p, bytes) else p.shape[1] for p in parts]
    template = b"".join(p if isinstance(p, bytes) else bytes(w) for p, w in zip(parts, widths, strict=True))
    out = np.empty((n, len(template)), np.uint8)
    out[:] = np.frombuffer(template, np.uint8)
    at = 0
    for part, width in zip(parts, widths, strict=True):
        if not isinstance(part, bytes):
            out[:, at : at + width] = part
        at += width
    return out


def _rows_of(block: smile.Bytes2D) -> list[bytes]:
    raw, width = block.tobytes(), block.shape[1]
    return [raw[k : k + width] for k in range(0, len(raw), width)]
