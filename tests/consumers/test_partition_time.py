"""A partition's time: monotone, and not counting after a hole or a step until everyone could speak."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.partition_time import SETTLE_NS, PartitionTime
from tests.telemetry.batches import unhurried

S = 10**9
T0 = 1_763_800_000 * S


def paced(seconds: int, every_s: float = 1.0) -> PartitionTime:
    time = PartitionTime()
    for k in range(round(seconds / every_s)):
        time.advance(T0 + round(k * every_s * S))
    return time


def test_it_settles_and_then_counts() -> None:
    assert not paced(30).is_settled
    assert paced(62).is_settled


def test_a_hole_in_which_nobody_spoke_is_nobodys_silence() -> None:
    time = paced(100)
    time.advance(T0 + 3_600 * S)
    assert time.now_ns == T0 + 3_600 * S
    assert not time.is_settled
    for k in range(1, 62):
        time.advance(T0 + (3_600 + k) * S)
    assert time.is_settled


def test_a_slow_pace_is_no_hole_once_it_is_known() -> None:
    time = PartitionTime()
    for k in range(40):
        time.advance(T0 + k * 300 * S)
    assert time.is_settled


def test_gateways_that_differ_by_seconds_move_nothing_back() -> None:
    time = paced(100)
    before = time.now_ns
    time.advance(before - 3 * S)
    assert time.now_ns == before
    assert time.is_settled


def test_a_clock_that_steps_back_starts_anew() -> None:
    time = paced(100)
    time.advance(T0 - 7_200 * S)
    assert time.now_ns == T0 - 7_200 * S
    assert time.settled_ns == time.now_ns + SETTLE_NS


@unhurried
@given(st.lists(st.integers(T0, T0 + 10_000 * S), max_size=50))
def test_the_same_record_twice_changes_nothing(received: list[int]) -> None:
    once, twice = PartitionTime(), PartitionTime()
    for at_ns in received:
        once.advance(at_ns)
        twice.advance(at_ns)
        twice.advance(at_ns)
        assert once == twice
