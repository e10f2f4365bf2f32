"""Our own dialect: all or nothing, and only for the token's device."""

import pytest

from telemetry import wire
from telemetry.batch import Batch, Series
from telemetry.dialects import load_dialect
from telemetry.errors import Forbidden, Invalid, Malformed, Misconfigured, TooLarge
from telemetry.ports import Sender

BATCH = Batch("pi-1", "s", 3, (Series.of("gravity", [1, 2], {"x": [1, 2]}),))
native = load_dialect("native")


def test_one_batch_as_it_was_sent() -> None:
    parsed = native.parse(wire.encode(BATCH), Sender("pi-1"), readings_max=2)
    assert [wire.encode(b) for b in parsed.batches] == [wire.encode(BATCH)]
    assert not parsed.rejected
    assert not parsed.is_test


def test_another_device_is_forbidden() -> None:
    with pytest.raises(Forbidden) as e:
        native.parse(wire.encode(BATCH), Sender("pi-2"), readings_max=2)
    assert e.value.path == "$.device"


def test_one_wrong_value_refuses_all() -> None:
    with pytest.raises(Invalid) as e:
        native.parse(wire.encode(BATCH).replace(b"2.0", b"true"), Sender("pi-1"), readings_max=2)
    assert e.value.path == "$.series[0].values.x[1]"
    with pytest.raises(TooLarge):
        native.parse(wire.encode(BATCH), Sender("pi-1"), readings_max=1)
    with pytest.raises(Malformed):
        native.parse(b"{", Sender("pi-1"), readings_max=1)


def test_a_dialect_that_is_not_there_is_said_so() -> None:
    with pytest.raises(Misconfigured, match="native"):
        load_dialect("morse")
