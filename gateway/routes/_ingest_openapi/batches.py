"""POST /v1/batches: the canonical batch, and what travels beside it."""

from typing import Any

from gateway.routes._ingest_openapi._parts import (
    COMMON,
    EXAMPLE_RECEIPT,
    NAME,
    PASSING,
    RECEIPT,
    REFUSED,
    TIME,
    answer,
    problem,
)
from telemetry import beside
from telemetry.batch import EXTRA_BYTES_MAX, READINGS_MAX, SEQ_MAX, SERIES_MAX, TEXT_CHARS_MAX

VALUE = {
    "anyOf": [
        {"type": "number"},
        {"type": "boolean"},
        {"type": "string", "maxLength": TEXT_CHARS_MAX},
        {"type": "null"},
    ]
}

SERIES: dict[str, Any] = {
    "type": "object",
    "required": ["sensor", "t0", "dt"],
    "additionalProperties": False,
    "properties": {
        "sensor": NAME,
        "t0": TIME,
        "dt": {"type": "array", "items": {"type": "integer"}, "description": "nanoseconds since t0, one a reading"},
        "values": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": VALUE},
            "description": "the catalogue's fields of this sensor: a column each, as long as dt; null where absent",
        },
        "extra": {
            "type": ["array", "null"],
            "items": {"type": ["object", "null"]},
            "description": f"what the catalogue lacks, by reading; at most {EXTRA_BYTES_MAX} bytes of JSON each",
        },
    },
}

BATCH: dict[str, Any] = {
    "type": "object",
    "required": ["v", "device", "session", "seq", "series"],
    "additionalProperties": False,
    "properties": {
        "v": {"const": 1},
        "device": NAME,
        "session": NAME,
        "seq": {"type": "integer", "minimum": 0, "maximum": SEQ_MAX},
        "series": {
            "type": "array",
            "maxItems": SERIES_MAX,
            "items": SERIES,
            "description": f"at most {READINGS_MAX} readings in all",
        },
        "dropped": {
            "type": ["object", "null"],
            "required": ["readings", "reason"],
            "additionalProperties": False,
            "properties": {"readings": {"type": "integer", "minimum": 0}, "reason": NAME},
            "description": "a tombstone: what the edge dropped under this seq; with an empty series",
        },
    },
}

EXAMPLE_BATCH = {
    "v": 1,
    "device": "pi-7f3a",
    "session": "01JD8X4Q5R6S7T8V9W0XYZABCD",
    "seq": 1042,
    "series": [
        {
            "sensor": "acceleration",
            "t0": 1700000000000000000,
            "dt": [0, 10000000],
            "values": {"x": [0.01, 0.02], "y": [0.0, 0.01], "z": [9.81, 9.8]},
        }
    ],
}

_BESIDE = {
    beside.SENT: (
        "UTC nanoseconds when this copy went out, on the clock that stamped the readings.",
        "1700000001000000000",
    ),
    beside.SYNCHRONISED: ("1 if that clock had been set (NTP, GPS) when it stamped them, else 0.", "1"),
    beside.CORRECTION: ("Nanoseconds to be added to the readings' times, as far as the sender knows by now.", "-1500"),
    beside.SETTINGS: (
        "The version of the downloaded settings in force, and one that failed.",
        "7 failed=8 no such source",
    ),
}
"""Nothing is refused for these: a value that makes no sense is as if it were absent."""


def _beside() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": text,
            "schema": {"type": "string"},
            "example": example,
        }
        for name, (text, example) in _BESIDE.items()
    ]


ITEM: dict[str, Any] = {
    "post": {
        **COMMON,
        "operationId": "post_batch",
        "summary": "Send a batch",
        "description": "All or nothing. 200 means that every reading is durable in the log. "
        "Content-Encoding: identity, gzip or zstd. What is learned of the sender's clock goes beside the batch, in "
        "headers: its bytes never change.",
        "parameters": _beside(),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": BATCH, "example": EXAMPLE_BATCH}},
        },
        "responses": {
            "200": answer(RECEIPT, EXAMPLE_RECEIPT, "Durable."),
            **REFUSED,
            "403": problem("Another device's batch, or an operator's key."),
            **PASSING,
        },
    }
}
