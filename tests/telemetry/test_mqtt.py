"""The words of MQTT: addresses, topics, payloads, receipts."""

import gzip

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from telemetry import mqtt
from telemetry.errors import Invalid, LogUnavailable, Misconfigured

GOOD = orjson.loads(mqtt.stored("ab", {"status": "stored"}))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://h", "mqtt://h:1883"),
        ("mqtts://h", "mqtts://h:8883"),
        ("ws://h", "ws://h:80/mqtt"),
        ("wss://h/other?x=1", "wss://h:443/other?x=1"),
        ("mqtts://[::1]:1", "mqtts://[::1]:1"),
    ],
)
def test_addresses(url: str, address: str) -> None:
    assert str(mqtt.parse_url(url)) == address


@pytest.mark.parametrize("url", ["", "h:1883", "http://h", "mqtt://", "mqtt://h:0", "mqtt://h:x", "mqtt://u:secret@h"])
def test_what_is_no_address_is_refused_without_repeating_a_password(url: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        mqtt.parse_url(url)
    assert "secret" not in raised.value.message


def test_topics() -> None:
    assert mqtt.parse_topic(mqtt.batches_topic("pi.1")) == (mqtt.Kind.BATCHES, "pi.1")
    assert mqtt.parse_topic(mqtt.sensor_logger_topic("phone")) == (mqtt.Kind.SENSOR_LOGGER, "phone")
    for other in (
        "",
        "telemetry/pi",
        "telemetry/pi/receipts",
        "telemetry//batches",
        "telemetry/../batches",
        "telemetry/a b/batches",
        "sensor-logger",
        "sensor-logger/a/b",
        f"sensor-logger/{'x' * 65}",
    ):
        assert mqtt.parse_topic(other) is None, other


def test_the_encoding_is_told_by_the_first_bytes() -> None:
    assert mqtt.encoding_of(zstandard.compress(b"{}")) == "zstd"
    assert mqtt.encoding_of(gzip.compress(b"{}")) == "gzip"
    assert mqtt.encoding_of(b'{"v":1}') == mqtt.encoding_of(b"") == "identity"


def test_a_refusal_says_what_http_would_have_said() -> None:
    said = orjson.loads(mqtt.refused("ab", Invalid("a \udc80 value", path="$.x")))
    assert said == {
        "v": 1,
        "status": "rejected",
        "http": 422,
        "payload": "ab",
        "code": "invalid",
        "detail": "a ? value",
        "path": "$.x",
    }
    later = mqtt.read_receipt(mqtt.refused("ab", LogUnavailable("away", retry_after_s=2.5)))
    assert later is not None
    assert (later.http, later.code, later.retry_after_s) == (503, "log_unavailable", 2.5)


@pytest.mark.parametrize("change", [{"v": 2}, {"http": "200"}, {"http": 7}, {"http": True}, {"payload": None}])
def test_a_document_that_is_no_receipt_is_not_read(change: dict[str, object]) -> None:
    assert mqtt.read_receipt(orjson.dumps(GOOD)) is not None
    assert mqtt.read_receipt(orjson.dumps(GOOD | change)) is None


NAMES = st.sampled_from([*GOOD, "code", "detail", "retry_after_s"])
SCALARS = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner))


@given(st.binary(max_size=50) | DOCUMENTS.map(orjson.dumps))
def test_whatever_comes_reading_a_receipt_never_fails(body: bytes) -> None:
    mqtt.read_receipt(body)
