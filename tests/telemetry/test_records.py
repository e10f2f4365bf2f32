"""A batch's record: its headers say what the ledger needs, and records of old are still read."""

import pytest

from telemetry.batch import Batch, BatchId, Dropped, Series
from telemetry.beside import CORRECTION, SENT, SETTINGS, SYNCHRONISED, TEXT_CHARS_MAX, Beside
from telemetry.errors import Malformed
from telemetry.ports import Entry
from telemetry.records import BatchHeaders, batch_record, item_of

T0 = 1_763_800_000_000_000_000
SERIES = (
    Series.of("acceleration", [T0 + 5, T0 + 9, T0], {"x": [1.0, 2.0, 3.0]}),
    Series.of("gyroscope", [T0 + 7], {"x": [1.0]}),
)
SAID = Beside(T0 + 100, False, -3 * 10**9, "7 failed=8 no such source")


def entry(headers: dict[str, str], value: bytes = b"") -> Entry:
    return Entry("batches", 0, 0, "d", value, headers, 0)


def test_headers_are_read_back_as_they_were_written() -> None:
    record = batch_record(Batch("d", "s", 7, SERIES), received_ns=T0 + 200, dialect="native", rejected=2, said=SAID)
    read = BatchHeaders.of(entry(dict(record.headers)))
    assert (read.id, read.readings, read.rejected, read.said) == (BatchId("d", "s", 7), 4, 2, SAID)
    assert read.newest_ns == T0 + 9
    assert item_of(entry(dict(record.headers), record.value or b"")).received_ns == T0 + 200


def test_a_tombstone_has_no_newest_reading() -> None:
    record = batch_record(Batch("d", "s", 8, (), Dropped(5, "spool_full")), received_ns=T0, dialect="native")
    assert "newest" not in record.headers
    assert BatchHeaders.of(entry(dict(record.headers))).newest_ns is None


def test_a_record_written_before_there_was_anything_beside_it_is_read() -> None:
    old = {"session": "s", "seq": "3", "hash": "h", "readings": "10", "received": str(T0), "dialect": "native"}
    read = BatchHeaders.of(entry(old | {"rejected": "0", "dropped": "0"}))
    assert read == BatchHeaders(BatchId("d", "s", 3), "h", 10, T0)
    assert (read.newest_ns, read.said) == (None, Beside())


@pytest.mark.parametrize("newest", ["", "soon", "1e9"])
def test_a_newest_that_no_gateway_wrote_is_malformed(newest: str) -> None:
    whole = batch_record(Batch("d", "s", 7, SERIES), received_ns=T0, dialect="native").headers
    with pytest.raises(Malformed):
        BatchHeaders.of(entry({**whole, "newest": newest}))


def test_what_travels_beside_is_read_back_and_nonsense_is_as_if_it_were_absent() -> None:
    assert Beside.of_headers(SAID.to_headers()) == SAID
    assert Beside().to_headers() == {}
    assert Beside.of_headers({SENT: "now", SYNCHRONISED: "yes", CORRECTION: "9" * 30, SETTINGS: ""}) == Beside()
    assert Beside.of_headers({SENT: str(2**63), CORRECTION: str(-(2**63))}) == Beside(correction_ns=-(2**63))
    assert Beside.of_headers({SETTINGS: "x" * 999}) == Beside(settings="x" * TEXT_CHARS_MAX)
