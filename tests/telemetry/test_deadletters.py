"""A dead letter gives its original back whole, whatever the original was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.deadletters import Letter, dead_letter, id_of, marker, original, position_of, replayed_id
from telemetry.errors import Invalid, Malformed
from telemetry.outcome import Reason
from telemetry.ports import Entry, Position, Record

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


def entry_of(record: Record, topic: str = "batches", partition: int = 3, offset: int = 17) -> Entry:
    return Entry(topic, partition, offset, record.key, record.value, record.headers, 1)


@given(
    key=TEXT,
    value=st.none() | st.binary(max_size=50),
    headers=st.dictionaries(TEXT.filter(lambda name: not name.startswith("dl-")), TEXT, max_size=5),
    detail=st.text(max_size=600),
    reason=st.sampled_from(list(Reason)),
)
def test_the_original_comes_back_whole(
    key: str, value: bytes | None, headers: dict[str, str], detail: str, reason: Reason
) -> None:
    before = Record(key, value, headers)
    letter = entry_of(dead_letter(entry_of(before), reason, detail, 5), "deadletters", 0, 9)
    assert original(letter) == before
    told = Letter.of(letter)
    assert (told.reason, told.topic, told.partition, told.offset, told.at_ns) == (str(reason), "batches", 3, 17, 5)
    assert told.id == "0-9"
    assert len(told.detail) <= 500
    assert all(text.encode() is not None for text in letter.headers.values())


def test_a_letter_of_a_replayed_letter_names_the_second_death_only() -> None:
    first = entry_of(dead_letter(entry_of(Record("pi", b"x", {"seq": "4"})), Reason.CONFLICT, "a", 5), "deadletters")
    second = entry_of(dead_letter(entry_of(original(first), offset=40), Reason.UNDECODABLE, "b", 6), "deadletters")
    told = Letter.of(second)
    assert (told.reason, told.offset, told.seq, told.session) == ("undecodable", 40, 4, None)
    assert original(second) == Record("pi", b"x", {"seq": "4"})


def test_a_marker_names_its_letter_and_is_none_itself() -> None:
    letter = entry_of(dead_letter(entry_of(Record("pi", b"x")), Reason.CONFLICT, "", 5), "deadletters", 2, 8)
    mark = entry_of(marker(Letter.of(letter), 6), "deadletters", 2, 9)
    assert mark.key == letter.key  # so that it lies behind it in the same partition
    assert replayed_id(mark) == "2-8"
    assert replayed_id(letter) is None
    with pytest.raises(Malformed, match="no dead letter"):
        Letter.of(mark)


@given(st.integers(0, 2**31), st.integers(0, 2**63 - 1))
def test_an_id_is_a_position(partition: int, offset: int) -> None:
    assert position_of(id_of(Position(partition, offset))) == (partition, offset)


@pytest.mark.parametrize("text", ["", "1", "-1", "1-", "a-b", "1-2-3", "1-²", "0--1", "0-" + "9" * 30])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        position_of(text)
