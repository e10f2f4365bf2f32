"""What the OpenAPI document says of the ingest routes, by hand: path -> method -> operation."""

from typing import Any

from telemetry import beside
from telemetry.batch import EXTRA_BYTES_MAX, READINGS_MAX, SEQ_MAX, SERIES_MAX, TEXT_CHARS_MAX, TIME_NS_MAX

NAME: dict[str, Any] = {"type": "string", "pattern": r"^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}$"}
TIME = {"type": "integer", "minimum": 0, "maximum": TIME_NS_MAX, "description": "UTC nanoseconds"}
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

MESSAGE: dict[str, Any] = {
    "type": "object",
    "required": ["messageId", "sessionId", "payload"],
    "properties": {
        "messageId": {"type": "integer", "minimum": 0},
        "sessionId": {"type": "string"},
        "deviceId": {"type": "string", "description": "the app's own; the first seen with a token is pinned to it"},
        "payload": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "time"],
                "properties": {
                    "name": {"type": "string"},
                    "time": TIME,
                    "values": {"type": "object"},
                    "accuracy": {"type": "integer"},
                },
            },
        },
    },
}

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

FIX: dict[str, Any] = {
    "type": "object",
    "required": ["_type"],
    "properties": {
        "_type": {
            "type": "string",
            "description": "location, transition and waypoint are stored; encrypted is refused",
        },
        "tst": {"type": "number", "description": "epoch seconds"},
        "lat": {"type": "number"},
        "lon": {"type": "number"},
        "topic": {
            "type": "string",
            "description": "owntracks/user/device; the first seen with a token is pinned to it",
        },
    },
    "description": "See https://owntracks.org/booklet/tech/json",
}

PACK: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": READINGS_MAX,
    "items": {
        "type": "object",
        "properties": {
            "bn": {"type": "string", "description": "base name; all base fields hold from their record on"},
            "bt": {"type": "number", "description": "base time, epoch seconds; below 2^28: relative to now"},
            "bu": {"type": "string"},
            "bv": {"type": "number"},
            "bs": {"type": "number"},
            "bver": {"type": "integer"},
            "n": {"type": "string", "description": "name: its last part is a sensor, or a sensor and its field"},
            "u": {"type": "string", "description": "unit of the IANA registry; converted to the catalogue's"},
            "t": {"type": "number"},
            "v": {"type": "number"},
            "vs": {"type": "string"},
            "vb": {"type": "boolean"},
            "vd": {"type": "string"},
            "s": {"type": "number"},
        },
    },
    "description": "RFC 8428. Unknown fields are ignored, but for names that end with `_`.",
}

TEST_PUSH: dict[str, Any] = {
    "type": "object",
    "required": ["status", "stored"],
    "properties": {"status": {"const": "ok"}, "stored": {"const": 0}},
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
EXAMPLE_RECEIPT = {
    "status": "stored",
    "device": "pi-7f3a",
    "session": "01JD8X4Q5R6S7T8V9W0XYZABCD",
    "seq": 1042,
    "readings": 2,
    "rejected": {},
    "duplicate": False,
}
EXAMPLE_MESSAGE = {
    "messageId": 46,
    "sessionId": "b3c1f3a2-6c0d-4f0f-9a55-2a3a7c1d9e10",
    "deviceId": "d7f2",
    "payload": [
        {
            "name": "accelerometer",
            "values": {"z": -0.11, "y": 0.002, "x": -0.011},
            "accuracy": 3,
            "time": 1675646835546228200,
        }
    ],
}

EXAMPLE_FIX = {
    "_type": "location",
    "tst": 1700000000,
    "lat": 52.52,
    "lon": 13.405,
    "acc": 5,
    "alt": 34,
    "vel": 36,
    "batt": 87,
    "bs": 1,
    "conn": "m",
    "tid": "jp",
    "topic": "owntracks/jane/phone",
}

EXAMPLE_PACK = [
    {"bn": "urn:dev:mac:0024befffe804ff1:", "bt": 1700000000, "n": "temperature", "u": "Cel", "v": 23.1},
    {"n": "humidity", "u": "%RH", "v": 41},
]


def _problem(text: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answer: dict[str, Any] = {"description": text, "content": content}
    return answer | ({"headers": headers} if headers else {})


_RETRY = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "required": True}}
_PASSING = {
    "429": _problem("This device sends too much; try again later.", _RETRY),
    "503": _problem("Not durable: the log or the registry is behind; send it again.", _RETRY),
    "507": _problem("Not durable: the log has no room; send it again later.", _RETRY),
}
_REFUSED = {
    "400": _problem("Not JSON, or a broken compressed frame."),
    "401": _problem("No token, or one that is not known: unknown, expired or revoked."),
    "409": _problem("The same device, session and seq with other content; the first is kept."),
    "413": _problem("Over a size limit."),
    "415": _problem("A content type or encoding that is not spoken here."),
    "422": _problem("A wrong shape or value; `path` says where."),
}
_COMMON: dict[str, Any] = {"tags": ["ingest"], "security": [{"device": []}]}


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


def _answer(schema: dict[str, Any], example: Any, text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema, "example": example}}}


OPENAPI: dict[str, dict[str, Any]] = {
    "/v1/batches": {
        "post": {
            **_COMMON,
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
                "200": _answer(RECEIPT, EXAMPLE_RECEIPT, "Durable."),
                **_REFUSED,
                "403": _problem("Another device's batch, or an operator's key."),
                **_PASSING,
            },
        }
    },
    "/v1/sensor-logger": {
        "post": {
            **_COMMON,
            "operationId": "post_sensor_logger",
            "summary": "Send a Sensor Logger message",
            "description": "The app's HTTP push. Good readings are kept, bad ones counted by reason. "
            "The token's device is the device.",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": MESSAGE, "example": EXAMPLE_MESSAGE}},
            },
            "responses": {
                "200": _answer({"anyOf": [RECEIPT, TEST_PUSH]}, EXAMPLE_RECEIPT, "Durable; or a test push."),
                "499": {
                    "description": "Refused for good; the app shows the text to its user.",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                },
                **_PASSING,
            },
        }
    },
    "/v1/owntracks": {
        "post": {
            **_COMMON,
            "security": [{"device": []}, {"device_password": []}],
            "operationId": "post_owntracks",
            "summary": "Send an OwnTracks message",
            "description": "The app's HTTP mode; the token is its password, with any user. 200 and [] mean durable, or "
            "of a kind that stores nothing. What the app would lose on a 429 is a 503. The Android app alone, which "
            "would send it again for ever, is answered 200 with the header Sensorline-Error where others get 400, 409, "
            "413 or 422.",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": FIX, "example": EXAMPLE_FIX}},
            },
            "responses": {
                "200": _answer({"type": "array", "maxItems": 0}, [], "Durable; or nothing to store."),
                **_REFUSED,
                "403": _problem("Another phone's token (`topic` is another), or an operator's key."),
                "503": _problem("Not durable, or too much at once; the app sends it again.", _RETRY),
            },
        }
    },
    "/v1/senml": {
        "post": {
            **_COMMON,
            "operationId": "post_senml",
            "summary": "Send a SenML pack",
            "description": "RFC 8428 in JSON, as application/senml+json or application/json. All or nothing. A pack "
            "with absolute times (bt, t) is stored once, however often it is sent; one whose times are relative to now "
            "is a new measurement each time. The receipt names the first batch: there is one for each node that the "
            "names begin with.",
            "requestBody": {
                "required": True,
                "content": {
                    "application/senml+json": {"schema": PACK, "example": EXAMPLE_PACK},
                    "application/json": {"schema": PACK, "example": EXAMPLE_PACK},
                },
            },
            "responses": {
                "200": _answer(RECEIPT, EXAMPLE_RECEIPT, "Durable."),
                **_REFUSED,
                "403": _problem("An operator's key."),
                **_PASSING,
            },
        }
    },
}
