"""SenML packs in CBOR (RFC 8428, section 6; application/senml+cbor) -> what the same pack is in JSON: see `senml`.

Labels are the integers of the RFC's table.  That is complete, so an extension's label is text; those are ignored, as
in JSON, unless they end with `_`.  Numbers may be decimal fractions (tag 4); data (`vd`) is a byte string.
"""

import base64
from typing import Any

from telemetry.dialects import senml
from telemetry.dialects._cbor import ARRAY, ENDLESS, MAP, NEGATIVE, TEXT, UNSIGNED, NoScalar, Reader, Scalar
from telemetry.errors import Invalid, Malformed
from telemetry.ports import Parsed, Sender

LABELS = {  # RFC 8428, table 4; 7 is `ut`, which is not kept
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 8: "vd",
}  # fmt: skip
_INTEGERS = {name: label for label, name in LABELS.items()}
ITEMS_EACH_MAX = 32  # of CBOR, a record: it has at most 15 labels of its own, and mostly three
_VALUE_DEPTH = 2  # the pack and the record are around it


def parse(body: bytes, sender: Sender, *, readings_max: int) -> Parsed:
    """A batch a node; raises `Malformed` (not CBOR), `Invalid` (at the first wrong record) and `TooLarge`."""
    return senml.parsed(
        _pack(Reader(body, ITEMS_EACH_MAX * readings_max), readings_max), sender, readings_max=readings_max
    )


def _pack(reader: Reader, records_max: int) -> Any:
    """The pack as from JSON; None where there is none."""
    if reader.major() != ARRAY:
        reader.passed(0)
        return None
    n = reader.opened()
    if n > records_max:
        raise senml.too_many(f"{n}", records_max)
    pack: list[Any] = []
    while not reader.is_closed() if n == ENDLESS else len(pack) < n:
        if len(pack) == records_max:
            raise senml.too_many(f"over {records_max}", records_max)
        pack.append(_record(reader, len(pack)))
    if not reader.is_at_end:
        raise Malformed("not CBOR: something follows the pack")
    return pack


def _record(reader: Reader, at: int) -> Any:
    if reader.major() != MAP:
        reader.passed(1)
        return None
    n = reader.opened()
    record: dict[str, Any] = {}
    k = 0
    while not reader.is_closed() if n == ENDLESS else k < n:
        k += 1
        name = _label(reader, at)
        if name is None:
            reader.passed(_VALUE_DEPTH)
        elif name in record:
            raise Invalid(f"{name[:64]} is there twice", path=f"$[{at}].{name[:64]}")
        else:
            record[name] = _value(reader, name, at)
    return record


def _label(reader: Reader, at: int) -> str | None:
    """The field's name in JSON; None of one that may be ignored."""
    if reader.major() not in (UNSIGNED, NEGATIVE, TEXT):
        raise Invalid("a label is an integer or text", path=f"$[{at}]")
    label = reader.scalar()
    if not isinstance(label, str):
        return LABELS.get(label) if isinstance(label, int) else None
    if label in _INTEGERS:
        raise Invalid(f"in CBOR the label of {label} is {_INTEGERS[label]}", path=f"$[{at}].{label}")
    return label if label.endswith("_") else None


def _value(reader: Reader, name: str, at: int) -> Scalar:
    try:
        value = reader.scalar()
    except NoScalar as e:
        raise Invalid(f"{name[:64]} {e.message}", path=f"$[{at}].{name[:64]}") from e
    if name != "vd":
        return value
    if not isinstance(value, bytes):
        raise Invalid("vd must be a byte string", path=f"$[{at}].vd")
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()  # RFC 8428, section 5: no padding
