"""Golden messages, written from what the app is known to send: input and expected output side by side."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from telemetry import wire
from telemetry.dialects import sensor_logger
from telemetry.ports import Parsed, Sender

CASES = sorted((Path(__file__).parent / "golden").glob("*/case.json"))


def _plain(parsed: Parsed) -> dict[str, Any]:
    return {
        "batch": orjson.loads(wire.encode(parsed.batches[0])) if parsed.batches else None,
        "rejected": {str(k): v for k, v in parsed.rejected.items()},
        "converted": list(parsed.converted),
        "unknown": dict(parsed.unknown),
        "hints": list(parsed.hints),
        "source_id": parsed.source_id,
        "is_test": parsed.is_test,
    }


NOTHING: dict[str, Any] = {
    "batch": None,
    "rejected": {},
    "converted": [],
    "unknown": {},
    "hints": [],
    "source_id": None,
    "is_test": False,
}


def test_there_are_cases() -> None:
    assert len(CASES) >= 10


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.parent.name)
def test_golden(path: Path) -> None:
    case = orjson.loads(path.read_bytes())
    parsed = sensor_logger.parse(orjson.dumps(case["message"]), Sender(**case["sender"]), readings_max=1000)
    assert _plain(parsed) == NOTHING | case["expected"]
    for batch in parsed.batches:
        assert wire.encode(wire.decode(wire.encode(batch))) == wire.encode(batch), "is a canonical batch"
