"""POST /v1/sensor-logger: the app's message."""

from typing import Any

from gateway.routes._ingest_openapi._parts import COMMON, EXAMPLE_RECEIPT, PASSING, RECEIPT, TIME, answer

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

TEST_PUSH: dict[str, Any] = {
    "type": "object",
    "required": ["status", "stored"],
    "properties": {"status": {"const": "ok"}, "stored": {"const": 0}},
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

ITEM: dict[str, Any] = {
    "post": {
        **COMMON,
        "operationId": "post_sensor_logger",
        "summary": "Send a Sensor Logger message",
        "description": "The app's HTTP push. Good readings are kept, bad ones counted by reason. "
        "The token's device is the device.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": MESSAGE, "example": EXAMPLE_MESSAGE}},
        },
        "responses": {
            "200": answer({"anyOf": [RECEIPT, TEST_PUSH]}, EXAMPLE_RECEIPT, "Durable; or a test push."),
            "499": {
                "description": "Refused for good; the app shows the text to its user.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            **PASSING,
        },
    }
}
