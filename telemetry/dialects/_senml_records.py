"""A SenML pack resolved (RFC 8428, section 4.6): each record with its whole name, its time and its one value.

Base fields hold from their record on.  Of a base value and a value the one that is absent is zero, so a record without
any has the base value; so it is with sums (section 4.5.4).  A time below 2^28 is relative to when the pack came
(section 4.5.3), all others are epoch seconds; they are read to the microsecond, as no float of today's seconds holds
more.  Fields that are not known are ignored, unless their name ends with `_`: those must be understood (section 4.4).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from telemetry.dialects._checked import Wrong, microseconds, number, text, time_ns
from telemetry.dialects._senml_names import NAME, NAME_CHARS_MAX
from telemetry.errors import Invalid

# RFC 8428: 10.  RFC 9100 reads a version as bits; 2^4 says that secondary units are used.
VERSIONS = frozenset({*range(1, 11), 10 + 2**4})
RELATIVE_BELOW_US = 2**28 * 1_000_000
_VALUES = ("v", "vs", "vb", "vd")


@dataclass(frozen=True, slots=True)
class Record:
    """`kind` is v, vs, vb or vd, or "" where there is only a sum; `at` is the record's place in the pack."""

    at: int
    name: str
    unit: str | None
    t: int  # UTC nanoseconds
    kind: str
    value: float | bool | str | None
    total: float | None  # the sum


@dataclass(slots=True)
class _Base:
    name: str = ""
    time_us: int = 0
    unit: str | None = None
    value: float | None = None
    total: float | None = None
    version: int | None = None


def resolved(pack: list[Any], received_ns: int | None) -> Iterator[Record]:
    """The records in order; raises `Invalid` at the first that is wrong."""
    base = _Base()
    for at, record in enumerate(pack):
        if not isinstance(record, dict):
            raise Invalid("a record is an object (in CBOR a map)", path=f"$[{at}]")
        _check_fields(record, at)
        _rebase(base, record, at)
        yield _resolved(base, record, at, received_ns)


def _check_fields(record: dict[str, Any], at: int) -> None:
    for name in record:
        if name.endswith("_"):
            raise Invalid(f"{name[:64]} must be understood, and is not known here", path=f"$[{at}].{name[:64]}")


def _rebase(base: _Base, record: dict[str, Any], at: int) -> None:
    if "bn" in record:
        base.name = _text(record, "bn", at)
    if "bt" in record:
        base.time_us = _us(record, "bt", at)
    if "bu" in record:
        base.unit = _text(record, "bu", at) or None
    if "bv" in record:
        base.value = _number(record, "bv", at)
    if "bs" in record:
        base.total = _number(record, "bs", at)
    version = record.get("bver", base.version if at else 10)
    if type(version) is not int or version not in VERSIONS:
        raise Invalid("bver must be one that is known here: 10, or 26 (secondary units)", path=f"$[{at}].bver")
    if base.version is not None and version != base.version:
        raise Invalid("all records of a pack have the same version", path=f"$[{at}].bver")
    base.version = version


def _resolved(base: _Base, record: dict[str, Any], at: int, received_ns: int | None) -> Record:
    name = base.name + (_text(record, "n", at) if "n" in record else "")
    if len(name) > NAME_CHARS_MAX or NAME.fullmatch(name) is None:
        raise Invalid(
            f"bn and n together must be 1 to {NAME_CHARS_MAX} of A-Z a-z 0-9 - : . / _, the first a letter or digit",
            path=f"$[{at}].n",
        )
    unit = (_text(record, "u", at) or None) if "u" in record else base.unit
    kind, value = _value(base, record, at)
    total = _number(record, "s", at) if "s" in record else None
    if total is not None or base.total is not None:
        total = (total or 0.0) + (base.total or 0.0)
    if not kind and total is None:
        raise Invalid("a record has one of v, vs, vb, vd, or a sum s", path=f"$[{at}]")
    return Record(at, name, unit, _time(base, record, at, received_ns), kind, value, total)


def _value(base: _Base, record: dict[str, Any], at: int) -> tuple[str, float | bool | str | None]:
    kinds = [kind for kind in _VALUES if kind in record]
    if not kinds:
        return ("", None) if base.value is None else ("v", base.value)
    if len(kinds) > 1:
        raise Invalid(f"a record has one value, not {' and '.join(kinds)}", path=f"$[{at}].{kinds[1]}")
    kind = kinds[0]
    if kind == "v":
        return kind, _number(record, "v", at) + (base.value or 0.0)
    if kind == "vb":
        if type(record["vb"]) is not bool:
            raise Invalid("vb must be true or false", path=f"$[{at}].vb")
        return kind, record["vb"]
    return kind, _text(record, kind, at)


def _time(base: _Base, record: dict[str, Any], at: int, received_ns: int | None) -> int:
    us = base.time_us + (_us(record, "t", at) if "t" in record else 0)
    path = f"$[{at}].t"
    if us >= RELATIVE_BELOW_US:
        return time_ns(us, path)
    if received_ns is None:
        raise Invalid("this time is relative to when the pack came, and nobody knows that any more", path=path)
    return time_ns(received_ns // 1000 + us, path)


def _us(record: dict[str, Any], name: str, at: int) -> int:
    return microseconds(_number(record, name, at), f"$[{at}].{name}")


def _number(record: dict[str, Any], name: str, at: int) -> float:
    try:
        return number(record[name])
    except Wrong as e:
        raise Invalid(f"{name} {e.message}", path=f"$[{at}].{name}") from e


def _text(record: dict[str, Any], name: str, at: int) -> str:
    try:
        return text(record[name])
    except Wrong as e:
        raise Invalid(f"{name} {e.message}", path=f"$[{at}].{name}") from e
