"""A backup's lines give the records back, and a damaged or cut backup is never taken for a whole one."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.backup import end_line, head_line, read, record_line
from telemetry.errors import Malformed
from telemetry.ports import TOPICS, Record, Topic

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
RECORDS = st.lists(
    st.tuples(
        st.sampled_from(TOPICS),
        st.builds(
            Record,
            TEXT,
            st.none() | st.binary(max_size=50) | TEXT.map(str.encode),
            st.dictionaries(TEXT, TEXT, max_size=3),
        ),
    ),
    max_size=10,
)


def lines_of(records: list[tuple[Topic, Record]]) -> list[bytes]:
    counts = Counter(topic.name for topic, _ in records)
    return [head_line(5), *(record_line(*r) for r in records), end_line(counts, 0)]


@given(RECORDS)
def test_the_records_come_back(records: list[tuple[Topic, Record]]) -> None:
    body = b"".join(lines_of(records))
    assert list(read(body.splitlines(keepends=True))) == records


@given(RECORDS, st.data())
def test_every_missing_line_is_noticed(records: list[tuple[Topic, Record]], data: st.DataObject) -> None:
    lines = lines_of(records)
    del lines[data.draw(st.integers(0, len(lines) - 1))]
    with pytest.raises(Malformed):
        list(read(lines))


@given(RECORDS, st.data())
def test_every_cut_is_noticed(records: list[tuple[Topic, Record]], data: st.DataObject) -> None:
    body = b"".join(lines_of(records))
    cut = body[: data.draw(st.integers(0, len(body) - 2))]
    with pytest.raises(Malformed):
        list(read(cut.splitlines(keepends=True)))


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"null",
        b"{}",
        b"nonsense",
        b'{"topic":"nowhere","key":"","headers":{},"value":""}',
        b'{"topic":"devices","key":1,"headers":{},"value":""}',
        b'{"topic":"devices","key":"","headers":{"a":1},"value":""}',
        b'{"topic":"devices","key":"","headers":[],"value":""}',
        b'{"topic":"devices","key":"","headers":{},"value":1}',
        b'{"topic":"devices","key":"","headers":{},"base64":"?"}',
        b'{"topic":["devices"],"key":"","headers":{},"value":""}',
    ],
)
def test_a_damaged_line_is_refused(line: bytes) -> None:
    with pytest.raises(Malformed):
        list(read([head_line(5), line, end_line({"devices": 1}, 0)]))


def test_lines_after_the_end_are_refused() -> None:
    with pytest.raises(Malformed, match="follow"):
        list(read([head_line(5), end_line({}, 0), record_line(TOPICS[0], Record("a", b""))]))
