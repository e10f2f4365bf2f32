"""Completeness against a model: plain sets and lists."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from consumers import completeness
from consumers.completeness import INTERVALS_MAX, LATE_SEQS, add, contains
from telemetry.batch import BatchId
from telemetry.ports import Session
from telemetry.records import BatchHeaders

SEQS = st.lists(st.integers(0, 60), max_size=120)


def headers(seq: int, **more: int) -> BatchHeaders:
    return BatchHeaders(BatchId("d", "s", seq), "h", more.pop("readings", 10), 1_000 + seq, **more)


def run(seqs: list[int], state: Session | None = None, first_offset: int = 0) -> Session | None:
    for offset, seq in enumerate(seqs, first_offset):
        state = completeness.apply(state, headers(seq), 0, offset)
    return state


@given(SEQS)
def test_intervals_hold_exactly_the_seqs_that_came(seqs: list[int]) -> None:
    intervals: completeness.Intervals = ()
    for seq in seqs:
        intervals = add(intervals, seq)
        assert contains(intervals, seq)
    held = [seq for low, high in intervals for seq in range(low, high + 1)]
    assert held == sorted(set(seqs))
    assert all(b[0] - a[1] > 1 for a, b in itertools.pairwise(intervals)), "touching intervals are joined"


@given(SEQS.filter(bool))
def test_counts_equal_the_models(seqs: list[int]) -> None:
    state = run(seqs)
    assert state is not None
    first = list(dict.fromkeys(seqs))
    highest_before = [max(first[:k], default=-1) for k in range(len(first))]
    assert state.received_batches == len(first)
    assert state.received_readings == 10 * len(first)
    assert state.duplicate_batches == len(seqs) - len(first)
    assert state.missing_batches == max(first) - min(first) + 1 - len(first)
    assert state.reordered_batches == sum(high > seq for seq, high in zip(first, highest_before, strict=True))
    assert state.late_batches == sum(high - seq > LATE_SEQS for seq, high in zip(first, highest_before, strict=True))


@given(SEQS.filter(bool), st.data())
def test_reading_again_from_any_earlier_offset_changes_nothing(seqs: list[int], data: st.DataObject) -> None:
    state = run(seqs)
    again_from = data.draw(st.integers(0, len(seqs) - 1))
    assert run(seqs[again_from:], state, again_from) == state


def test_tombstones_and_rejected_readings_are_counted() -> None:
    state = completeness.apply(None, headers(0, readings=0, dropped=700), 0, 0)
    state = completeness.apply(state, headers(1, readings=5, rejected=3), 0, 1)
    assert (state.dropped_readings, state.rejected_readings, state.received_readings) == (700, 3, 5)


def test_a_session_with_too_many_gaps_forgets_the_oldest_and_counts_it() -> None:
    state = run(list(range(0, 2 * INTERVALS_MAX + 6, 2)))
    assert state is not None
    assert len(state.seqs) == INTERVALS_MAX
    assert state.forgotten_batches == 3
    assert state.missing_batches == INTERVALS_MAX + 2


def test_another_partition_is_not_covered_by_this_ones_offset() -> None:
    state = run([0, 1, 2])
    assert state is not None
    moved = completeness.apply(state, headers(3), 5, 0)
    assert moved.received_batches == 4
    assert (moved.partition, moved.next_offset) == (5, 1)
