"""One message of the Sensor Logger app as identity and payload; what is inside a reading is not looked at here.

A message in which everything is right is decoded by one typed pass, which is most of the work of a gateway;
anything else is decoded generally, so that its good readings can be told from its bad ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any

import msgspec

from telemetry.batch import DEPTH_MAX, SEQ_MAX, TIME_NS_MAX, check_name, depth
from telemetry.dialects._json import load_json
from telemetry.dialects._sensor_logger_sensors import LAYOUTS, Layout, normal
from telemetry.errors import Invalid

SOURCE_ID_CHARS_MAX = 256


@dataclass(frozen=True, slots=True)
class Message:
    """Identity and payload; a test push may lack all but the payload."""

    session: str
    seq: int
    source_id: str | None
    payload: list[Any]
    is_typed: bool  # the payload is all readings of `LAYOUT_OF_TYPE`'s types
    is_test: bool


def _reading_type(name: str, layout: Layout) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        ("values", layout.values),
        ("time", Annotated[int, msgspec.Meta(ge=0, le=TIME_NS_MAX)]),
        ("accuracy", Annotated[int, msgspec.Meta(ge=-1, le=3)] | None, None),
    ]
    return msgspec.defstruct(f"_{name}", fields, tag_field="name", tag=name, forbid_unknown_fields=True, gc=False)


LAYOUT_OF_TYPE: Mapping[type, Layout] = {_reading_type(name, layout): layout for name, layout in LAYOUTS.items()}
_READING = reduce(or_, LAYOUT_OF_TYPE)
_MESSAGE = msgspec.defstruct(
    "_Message",
    [
        ("messageId", Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]),
        ("sessionId", str),
        ("payload", list[_READING]),  # type: ignore[valid-type]
        ("deviceId", str | None, None),
        ("userId", str | None, None),  # names a person: not kept
    ],
    forbid_unknown_fields=True,
)
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_MESSAGE)


def read_message(body: bytes) -> Message:
    """Raises `Malformed` (not JSON) and `Invalid` (no message of the app's; `path` says where)."""
    try:
        m = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_any(load_json(body))
    return _identified(m.messageId, m.sessionId, m.deviceId, m.payload, is_typed=True)


def _read_any(document: Any) -> Message:
    if not isinstance(document, dict):
        raise Invalid("a message is a JSON object with messageId, sessionId and payload", path="$")
    payload = document.get("payload")
    if not isinstance(payload, list):
        raise Invalid("payload must be a list of readings", path="$.payload")
    for name, value in document.items():
        if name != "payload" and isinstance(value, dict | list) and depth(value) >= DEPTH_MAX:
            raise Invalid(f"nested deeper than {DEPTH_MAX}", path=f"$.{name[:64]}")
    first = payload[0].get("name") if payload and isinstance(payload[0], dict) else None
    source_id = document.get("deviceId")
    if isinstance(first, str) and normal(first) == "test":
        return Message("", 0, source_id if _is_source_id(source_id) else None, [], is_typed=False, is_test=True)
    seq, session = document.get("messageId"), document.get("sessionId")
    if type(seq) is not int or not 0 <= seq <= SEQ_MAX:
        raise Invalid("messageId must be an integer from 0 to 2^63-1", path="$.messageId")
    if not isinstance(session, str):
        raise Invalid("sessionId must be text", path="$.sessionId")
    return _identified(seq, session, source_id, payload, is_typed=False)


def _identified(seq: int, session: str, source_id: Any, payload: list[Any], *, is_typed: bool) -> Message:
    if source_id is not None and not _is_source_id(source_id):
        raise Invalid(f"deviceId must be text of 1 to {SOURCE_ID_CHARS_MAX} characters", path="$.deviceId")
    return Message(check_name(session, "$.sessionId"), seq, source_id, payload, is_typed, is_test=False)


def _is_source_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= SOURCE_ID_CHARS_MAX
