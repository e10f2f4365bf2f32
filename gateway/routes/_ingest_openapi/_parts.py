"""What the ingest routes' descriptions share: names, times, the receipt, and how a request is refused."""

from typing import Any

from telemetry.batch import TIME_NS_MAX

NAME: dict[str, Any] = {"type": "string", "pattern": r"^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}$"}
TIME = {"type": "integer", "minimum": 0, "maximum": TIME_NS_MAX, "description": "UTC nanoseconds"}

RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["status", "device", "session", "seq", "readings", "rejected", "duplicate"],
    "properties": {
        "status": {"const": "stored"},
        "device": NAME,
        "session": NAME,
        "seq": {"type": "integer"},
        "readings": {"type": "integer"},
        "rejected": {"type": "object", "additionalProperties": {"type": "integer"}},
        "duplicate": {"type": "boolean"},
        "settings": {
            "$ref": "#/components/schemas/Versioned",
            "description": "what this edge is to run with; only where its header sensorline-settings says otherwise",
        },
    },
}

EXAMPLE_RECEIPT = {
    "status": "stored",
    "device": "pi-7f3a",
    "session": "01JD8X4Q5R6S7T8V9W0XYZABCD",
    "seq": 1042,
    "readings": 2,
    "rejected": {},
    "duplicate": False,
}


def problem(text: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """A response that is a problem document."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    response: dict[str, Any] = {"description": text, "content": content}
    return response | ({"headers": headers} if headers else {})


def answer(schema: dict[str, Any], example: Any, text: str) -> dict[str, Any]:
    """A response in JSON."""
    return {"description": text, "content": {"application/json": {"schema": schema, "example": example}}}


RETRY = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "required": True}}
PASSING = {
    "429": problem("This device sends too much; try again later.", RETRY),
    "503": problem("Not durable: the log or the registry is behind; send it again.", RETRY),
    "507": problem("Not durable: the log has no room; send it again later.", RETRY),
}
REFUSED = {
    "400": problem("Not JSON, or a broken compressed frame."),
    "401": problem("No token, or one that is not known: unknown, expired or revoked."),
    "409": problem("The same device, session and seq with other content; the first is kept."),
    "413": problem("Over a size limit."),
    "415": problem("A content type or encoding that is not spoken here."),
    "422": problem("A wrong shape or value; `path` says where."),
}
COMMON: dict[str, Any] = {"tags": ["ingest"], "security": [{"device": []}]}
