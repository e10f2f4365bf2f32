"""Whose turn it is: each once, in order, one session live; and never by how the records were cut."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.operator import Lane
from consumers.ordering import Bounds, DeviceOrder, Ended, Ordering, Turn, Waiting
from tests.telemetry.batches import unhurried

S = 10**9
T0 = 1_763_800_000 * S
BOUNDS = Bounds(waiting_max=4, hold_ns=30 * S, sessions_max=3, idle_ns=900 * S)


def one(
    seq: int,
    at_s: float = 0.0,
    *,
    session: str = "s",
    newest_s: float | None = None,
    sent_s: float | None = None,
    empty: bool = False,
    value: bytes = b"v",
) -> Waiting:
    """A record at `at_s` of receive time; its newest reading half a second older unless told."""
    at_ns = T0 + round(at_s * S)
    newest_ns = at_ns - S // 2 if newest_s is None else T0 + round(newest_s * S)
    sent_ns = None if sent_s is None else T0 + round(sent_s * S)
    return Waiting(session, seq, seq, at_ns, at_ns, None if empty else newest_ns, sent_ns, {}, value)


def turns(ordering: Ordering, *waiting: Waiting) -> list[tuple[str, int, str] | str]:
    """What came of these: (session, seq, lane), or the session that ended."""
    said: list[tuple[str, int, str] | str] = []
    for w in waiting:
        steps = ordering.take(w) or []
        said += [step.session if isinstance(step, Ended) else _said(step) for step in steps]
    return said


def _said(turn: Turn) -> tuple[str, int, str]:
    return turn.waiting.session, turn.waiting.seq, str(turn.lane)


def seqs(ordering: Ordering, *waiting: Waiting) -> list[int]:
    return [t[1] for t in turns(ordering, *waiting) if not isinstance(t, str)]


def test_a_session_passes_in_order_and_duplicates_do_not() -> None:
    ordering = Ordering(BOUNDS)
    assert seqs(ordering, one(0), one(1), one(1), one(0), one(2)) == [0, 1, 2]
    assert ordering.take(one(2)) is None


def test_what_follows_a_gap_waits_until_it_is_filled() -> None:
    ordering = Ordering(BOUNDS)
    assert seqs(ordering, one(0), one(3), one(2)) == [0]
    assert seqs(ordering, one(1)) == [1, 2, 3]
    assert ordering.due_ns() is None


def test_a_tombstone_fills_a_gap() -> None:
    ordering = Ordering(BOUNDS)
    assert seqs(ordering, one(0), one(2), one(1, empty=True)) == [0, 1, 2]


def test_a_gap_is_given_up_when_too_many_wait_and_what_comes_behind_is_late() -> None:
    ordering = Ordering(BOUNDS)
    assert seqs(ordering, one(0), one(2), one(3), one(4), one(5)) == [0]
    assert seqs(ordering, one(6)) == [2, 3, 4, 5, 6]
    assert turns(ordering, one(1), one(1), one(7)) == [("s", 1, "late"), ("s", 7, "live")]


def test_a_gap_is_given_up_when_too_many_bytes_wait() -> None:
    ordering = Ordering(replace(BOUNDS, waiting_bytes_max=10))
    assert seqs(ordering, one(0), one(2, value=b"123456")) == [0]
    assert seqs(ordering, one(3, value=b"123456")) == [2, 3]


def test_a_gap_is_given_up_after_a_while_of_receive_time() -> None:
    ordering = Ordering(BOUNDS)
    assert seqs(ordering, one(0), one(2, 1.0), one(3, 30.9)) == [0]
    assert ordering.due_ns() == T0 + 31 * S
    assert ordering.pass_time(T0 + 30 * S) == []
    passed = ordering.pass_time(T0 + 31 * S)
    assert [_said(t) for t in passed if isinstance(t, Turn)] == [("s", 2, "live"), ("s", 3, "live")]


def test_a_receive_time_that_goes_back_holds_nothing_for_ever() -> None:
    ordering = Ordering(BOUNDS)
    assert seqs(ordering, one(0, 7_200), one(2, 7_200)) == [0]
    assert seqs(ordering, one(3, 0)) == [2, 3]


@pytest.mark.parametrize(("first", "passes"), [(0, True), (1, True), (3, False), (1_000, True)])
def test_a_session_may_begin_at_0_or_1_or_long_before_we_came(first: int, passes: bool) -> None:
    assert seqs(Ordering(BOUNDS), one(first)) == ([first] if passes else [])


def test_the_first_batches_may_come_in_any_order() -> None:
    assert seqs(Ordering(BOUNDS), one(2), one(3), one(0), one(1)) == [0, 1, 2, 3]


# --- which session is live


def test_a_backlog_drains_behind_the_live_session() -> None:
    ordering = Ordering(BOUNDS)
    a = turns(ordering, one(0, 0, session="new"), one(0, 1, session="old", newest_s=-500), one(1, 2, session="new"))
    assert a == [("new", 0, "live"), ("old", 0, "backlog"), ("new", 1, "live")]
    assert turns(ordering, one(1, 3, session="old", newest_s=-400)) == [("old", 1, "backlog")]


def test_a_session_with_newer_data_takes_over() -> None:
    ordering = Ordering(BOUNDS)
    assert turns(ordering, one(0, 0, session="a"), one(0, 5, session="b"), one(1, 6, session="a", newest_s=-3)) == [
        ("a", 0, "live"),
        ("b", 0, "live"),
        ("a", 1, "backlog"),
    ]


def test_the_clock_of_a_session_that_is_days_ahead_silences_nobody() -> None:
    ordering = Ordering(BOUNDS)
    assert turns(ordering, one(0, 0, session="ahead", newest_s=3 * 86_400)) == [("ahead", 0, "live")]
    assert turns(ordering, one(0, 10, session="right")) == [("right", 0, "live")]
    assert turns(ordering, one(1, 11, session="ahead", newest_s=3 * 86_400 + 1)) == [("ahead", 1, "backlog")]
    assert turns(ordering, one(1, 12, session="right")) == [("right", 1, "live")]


def test_a_machine_that_starts_in_1970_is_live_by_its_own_clock() -> None:
    ordering = Ordering(BOUNDS)
    turns(ordering, one(0, 0, session="right"))
    epoch_s = -T0 / S + 50.0
    assert turns(ordering, one(0, 9, session="reset", newest_s=epoch_s, sent_s=epoch_s + 1)) == [("reset", 0, "live")]


def test_the_end_of_a_short_outage_is_a_backlog() -> None:
    ordering = Ordering(BOUNDS)
    turns(ordering, one(0, 0, session="live"))
    assert turns(ordering, one(0, 1, session="short", newest_s=-5)) == [("short", 0, "backlog")]


def test_a_session_that_was_taken_for_a_backlog_comes_back() -> None:
    ordering = Ordering(BOUNDS)
    turns(ordering, one(0, 0, session="a"), one(0, 1, session="b", newest_s=-5))
    assert turns(ordering, one(1, 9, session="b")) == [("b", 1, "live")]


# --- bounds


def test_the_session_longest_not_heard_is_forgotten_but_not_the_live_one() -> None:
    ordering = Ordering(BOUNDS)
    turns(ordering, one(0, 0, session="live"))
    for k in range(2):
        turns(ordering, one(0, 1 + k, session=f"old{k}", newest_s=-500))
    turns(ordering, one(2, 2.5, session="old0", newest_s=-490))
    assert turns(ordering, one(0, 3, session="old2", newest_s=-700)) == ["old1", ("old2", 0, "backlog")]
    assert turns(ordering, one(0, 4, session="old3", newest_s=-700)) == [
        ("old0", 2, "backlog"),
        "old0",
        ("old3", 0, "backlog"),
    ]
    assert set(ordering.state.sessions) == {"live", "old2", "old3"}


def test_a_session_that_drained_is_over_after_a_while_and_told_once() -> None:
    ordering = Ordering(BOUNDS)
    turns(ordering, one(0, 0, session="live"), one(0, 1, session="old", newest_s=-500))
    assert ordering.due_ns() == T0 + 901 * S
    assert ordering.pass_time(T0 + 901 * S) == [Ended("old")]
    assert ordering.pass_time(T0 + 2_000 * S) == []
    assert turns(ordering, one(0, 2_001, session="old", newest_s=-500)) == []
    assert turns(ordering, one(1, 2_001, session="old", newest_s=-499)) == [("old", 1, "backlog")]


records = st.builds(
    lambda seq, at_s, session, newest_s: one(seq, at_s, session=session, newest_s=newest_s),
    st.integers(0, 12),
    st.floats(0, 100),
    st.sampled_from("abcd"),
    st.none() | st.floats(-1_000, 200),
)


@unhurried
@given(st.lists(records, max_size=60), st.integers(0, 60))
def test_a_state_that_was_written_down_goes_on_the_same(taken: list[Waiting], cut: int) -> None:
    whole, parted = Ordering(BOUNDS), Ordering(BOUNDS)
    expected = turns(whole, *taken)
    said = turns(parted, *taken[:cut])
    packed = msgspec.msgpack.encode(parted.state)
    parted = Ordering(BOUNDS, msgspec.msgpack.decode(packed, type=DeviceOrder))
    assert said + turns(parted, *taken[cut:]) == expected
    assert msgspec.msgpack.encode(parted.state) == msgspec.msgpack.encode(whole.state)


@unhurried
@given(st.lists(records, max_size=80))
def test_each_once_and_in_order_whatever_comes(taken: list[Waiting]) -> None:
    ordering = Ordering(replace(BOUNDS, sessions_max=4))
    said = [t for t in turns(ordering, *taken) if not isinstance(t, str)]
    assert len({(session, seq) for session, seq, _ in said}) == len(said)
    for name in "abcd":
        passed = [seq for session, seq, lane in said if session == name and lane != Lane.LATE]
        assert passed == sorted(passed)
        assert len(ordering.state.sessions) <= 4
    assert all(len(s.waiting) <= BOUNDS.waiting_max for s in ordering.state.sessions.values())
    rest = [_said(step) for step in ordering.pass_time(T0 + 10**6 * S) if isinstance(step, Turn)]
    assert {(session, seq) for session, seq, _ in [*said, *rest]} == {(w.session, w.seq) for w in taken}
    assert not any(s.waiting for s in ordering.state.sessions.values())


@unhurried
@given(st.permutations(range(10)))
def test_any_order_within_the_bound_gives_the_same(order: list[int]) -> None:
    ordering = Ordering(replace(BOUNDS, waiting_max=32))
    passed = seqs(ordering, *(one(seq) for seq in order))
    assert sorted(passed) == list(range(10))
    if order[0] != 1:  # a sender may count from 1: then 0 is late
        assert passed == list(range(10))
