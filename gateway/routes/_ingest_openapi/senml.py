"""POST /v1/senml: a pack of RFC 8428."""

from typing import Any

from gateway.routes._ingest_openapi._parts import COMMON, EXAMPLE_RECEIPT, PASSING, RECEIPT, REFUSED, answer, problem
from telemetry.batch import READINGS_MAX

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

EXAMPLE_PACK = [
    {"bn": "urn:dev:mac:0024befffe804ff1:", "bt": 1700000000, "n": "temperature", "u": "Cel", "v": 23.1},
    {"n": "humidity", "u": "%RH", "v": 41},
]

ITEM: dict[str, Any] = {
    "post": {
        **COMMON,
        "operationId": "post_senml",
        "summary": "Send a SenML pack",
        "description": "RFC 8428 in JSON, as application/senml+json or application/json, or in CBOR, as "
        "application/senml+cbor. All or nothing. A pack "
        "with absolute times (bt, t) is stored once, however often it is sent; one whose times are relative to now "
        "is a new measurement each time. The receipt names the first batch: there is one for each node that the "
        "names begin with.",
        "requestBody": {
            "required": True,
            "content": {
                "application/senml+json": {"schema": PACK, "example": EXAMPLE_PACK},
                "application/senml+cbor": {"schema": {"description": "The same, by section 6 of the RFC."}},
                "application/json": {"schema": PACK, "example": EXAMPLE_PACK},
            },
        },
        "responses": {
            "200": answer(RECEIPT, EXAMPLE_RECEIPT, "Durable."),
            **REFUSED,
            "400": problem("Neither JSON nor CBOR, or a broken compressed frame."),
            "403": problem("An operator's key."),
            **PASSING,
        },
    }
}
