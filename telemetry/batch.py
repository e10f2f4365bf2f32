"""The batch: columns of readings with one identity, the unit in which everything travels.

A batch is (device, session, seq).  A reading is its batch's identity plus its series' ordinal and its index
there; every key in a store is derived from that.  Built through `Series.of`, a series is canonical: values are
narrowed to their field's declared precision, fields stand in the catalogue's order, and a field that is absent
from every reading is not there.  So the same readings always have the same bytes and the same hash, also when
they are rebuilt from a store.
"""

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Self, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from telemetry.errors import Invalid
from telemetry.reading import CATALOGUE, Field, Kind

NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}")
SEQ_MAX = 2**63 - 1
TIME_NS_MAX = 2**63 - 1
READINGS_MAX = 20_000
SERIES_MAX = 1_000
TEXT_CHARS_MAX = 4_096
EXTRA_BYTES_MAX = 2_048  # JSON text a reading, of what the catalogue does not know
DEPTH_MAX = 8

Floats: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Column: TypeAlias = Floats | tuple[str | None, ...] | tuple[bool | None, ...]
Times: TypeAlias = npt.NDArray[np.int64]

DTYPE: Mapping[Kind, type[np.float32] | type[np.float64]] = {Kind.FLOAT32: np.float32, Kind.FLOAT64: np.float64}


class BatchId(NamedTuple):
    """The identity of a batch; `session` is new at every start of an edge agent, `seq` rises by one."""

    device: str
    session: str
    seq: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """A tombstone's content: what the edge dropped under this seq, and by which policy."""

    readings: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One sensor's readings: `t` (n,) int64 UTC nanoseconds; columns (n,), NaN or None where absent.

    `extra` holds, for each reading, a JSON object's text of what the catalogue does not know, or None.
    """

    sensor: str
    t: Times
    values: Mapping[str, Column]
    extra: tuple[str | None, ...] | None = None

    def __len__(self) -> int:
        return len(self.t)

    @classmethod
    def of(
        cls,
        sensor: str,
        t: Times | Sequence[int],
        values: Mapping[str, Column | Sequence[Any]],
        extra: Sequence[str | None] | None = None,
    ) -> Self:
        """Build the canonical form; columns shorter or longer than `t` raise `Invalid`."""
        times = np.ascontiguousarray(t, dtype=np.int64)
        known = CATALOGUE.get(sensor)
        columns: dict[str, Column] = {}
        for field in known.fields if known else ():
            if field.name in values and (column := narrow(field, values[field.name])) is not None:
                columns[field.name] = column
        _same_length(sensor, len(times), columns, extra)
        kept = tuple(extra) if extra is not None and any(e is not None for e in extra) else None
        return cls(sensor, times, columns, kept)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A batch and its series; a tombstone has `dropped` and no series."""

    device: str
    session: str
    seq: int
    series: tuple[Series, ...]
    dropped: Dropped | None = None

    @property
    def id(self) -> BatchId:
        """The identity."""
        return BatchId(self.device, self.session, self.seq)

    @property
    def readings(self) -> int:
        """Number of readings in all series."""
        return sum(map(len, self.series))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a sender is told of one batch or message; every reading is in one of the counts."""

    device: str
    session: str
    seq: int
    readings: int
    rejected: Mapping[str, int]
    duplicate: bool = False


@lru_cache(maxsize=1024)
def _packer(code: str, n: int) -> struct.Struct:
    return struct.Struct(f"{n}{code}")


def packed_floats(values: Sequence[float | None], kind: Kind) -> Floats:
    """Python floats as an array of the kind's precision, None as NaN; beyond the precision's reach is infinite.

    Thrice as fast as `np.array` where nothing is None.  Raises as `np.array` does for what is no number.
    """
    try:
        packer = _packer("f" if kind is Kind.FLOAT32 else "d", len(values))
        buffer = bytearray(packer.size)
        packer.pack_into(buffer, 0, *values)
    except (struct.error, OverflowError):
        return _converted(values, kind)
    packed: Any = np.frombuffer(buffer, DTYPE[kind])  # numpy's types do not take "one dtype or the other"
    return cast(Floats, packed)


def packed_times(values: Sequence[int]) -> Times:
    """Python integers as int64; raises `OverflowError` beyond it and `TypeError` for what is no integer."""
    packer = _packer("q", len(values))
    buffer = bytearray(packer.size)
    try:
        packer.pack_into(buffer, 0, *values)
    except struct.error as e:
        raise (OverflowError if all(type(v) is int for v in values) else TypeError)(str(e)) from e
    return np.frombuffer(buffer, np.int64)


def narrow(field: Field, column: Column | Sequence[Any]) -> Column | None:
    """The column at the field's declared precision, or None when no reading has the field."""
    if field.kind.is_number:
        numbers = _numbers(field.kind, column)
        # most columns have a first value: to look at it is quicker than to look at all
        return None if not len(numbers) or (numbers[0] != numbers[0] and np.isnan(numbers).all()) else numbers
    if all(value is None for value in column):
        return None
    return tuple(column)


def _numbers(kind: Kind, column: Column | Sequence[Any]) -> Floats:
    if isinstance(column, list):
        return packed_floats(column, kind)
    return _converted(column, kind)


def _converted(column: Column | Sequence[Any], kind: Kind) -> Floats:
    with np.errstate(over="ignore"):
        numbers: Any = np.ascontiguousarray(column, dtype=DTYPE[kind])
    if numbers.ndim != 1:
        raise TypeError("a column is a flat list of numbers")
    return cast(Floats, numbers)


def out_of_range(field: Field, column: Floats) -> npt.NDArray[np.bool_]:
    """Which values are infinite or outside the plausible range, after narrowing; absent (NaN) ones are fine."""
    outside: npt.NDArray[np.bool_] = (column < field.low) | (column > field.high)
    return outside


def is_name(text: str) -> bool:
    """True when `text` may be a device, session or sensor name: it can reach a key, a topic or a file name."""
    return NAME.fullmatch(text) is not None


def check_name(text: str, path: str) -> str:
    """`text` itself, or `Invalid` at `path`."""
    if not is_name(text):
        raise Invalid(f"{path} must match [A-Za-z0-9_.-]{{1,64}} (and not be '.' or '..')", path=path)
    return text


def depth(value: object) -> int:
    """How deeply lists and objects nest in a decoded JSON value; a scalar has depth 0."""
    level, deepest, layer = 0, 0, [value]
    while layer and level <= DEPTH_MAX + 1:
        inner: list[object] = []
        for item in layer:
            children: Iterable[object] | None = (
                item.values() if isinstance(item, dict) else item if isinstance(item, list) else None
            )
            if children is not None:
                deepest = level + 1
                inner.extend(children)
        layer, level = inner, level + 1
    return deepest


def _same_length(sensor: str, n: int, columns: Mapping[str, Column], extra: Sequence[str | None] | None) -> None:
    for name, column in columns.items():
        if len(column) != n:
            raise Invalid(f"{sensor}.{name} has {len(column)} values for {n} times", path=f"values.{name}")
    if extra is not None and len(extra) != n:
        raise Invalid(f"{sensor} has {len(extra)} extras for {n} times", path="extra")
