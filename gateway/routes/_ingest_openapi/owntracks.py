"""POST /v1/owntracks: the app's message."""

from typing import Any

from gateway.routes._ingest_openapi._parts import COMMON, REFUSED, RETRY, answer, problem

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

ITEM: dict[str, Any] = {
    "post": {
        **COMMON,
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
            "200": answer({"type": "array", "maxItems": 0}, [], "Durable; or nothing to store."),
            **REFUSED,
            "403": problem("Another phone's token (`topic` is another), or an operator's key."),
            "503": problem("Not durable, or too much at once; the app sends it again.", RETRY),
        },
    }
}
