"""What counts as the gateway's word for a batch, and what is a login page."""

from typing import Any

import orjson
import pytest

from edge.receipts import Receipted, believed, receipt_of
from edge.transports import Answer
from telemetry.batch import BatchId

ID = BatchId("pi", "01S", 7)
GOOD = {"status": "stored", "device": "pi", "session": "01S", "seq": 7, "readings": 3, "rejected": {}}


def test_a_receipt_frees_and_may_bring_settings() -> None:
    body = orjson.dumps(GOOD | {"duplicate": True, "settings": {"version": 3}})
    answer, receipt = believed(Answer(200, body=body), ID)
    assert answer.status == 200
    assert receipt == Receipted(3, True, {"version": 3})


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": "pi2"},
        {"session": "01T"},
        {"seq": 8},
        {"seq": "7"},
        {"seq": 7.5},
        {"status": "ok"},
        {"status": "retry"},
    ],
)
def test_of_another_batch_it_is_none(wrong: dict[str, Any]) -> None:
    assert receipt_of(orjson.dumps(GOOD | wrong), ID) is None


def test_true_is_not_one() -> None:
    assert receipt_of(orjson.dumps(GOOD | {"seq": True}), ID._replace(seq=1)) is None


@pytest.mark.parametrize("body", [b"", b"<html>log in</html>", b"[]", b"null", b"\xff", b'{"status":"stored"}', b"7"])
def test_a_2xx_that_says_something_else_is_silence(body: bytes) -> None:
    answer, receipt = believed(Answer(200, body=body), ID)
    assert receipt is None
    assert answer.status is None
    assert "captive portal" in answer.detail


def test_other_answers_stay_what_they_are() -> None:
    for answer in (Answer(503, 2.0, "not_ready"), Answer(None), Answer(302), Answer(409, body=orjson.dumps(GOOD))):
        assert believed(answer, ID) == (answer, None)
