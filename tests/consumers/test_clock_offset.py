"""A session's clock, from the headers of batches that come in any order, twice, late, or from a clock of its own."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers import clock_offset, completeness
from consumers.clock_offset import WINDOW_NS
from telemetry.batch import BatchId
from telemetry.beside import NOTHING, Beside
from telemetry.records import BatchHeaders
from telemetry.session_clock import AHEAD_NS, BEHIND_NS, UNKNOWN, SessionClock

SECOND = 10**9
T0 = 1_763_800_000 * SECOND // WINDOW_NS * WINDOW_NS


def headers(received_ns: int = T0, said: Beside = NOTHING, *, newest_ns: int | None = None) -> BatchHeaders:
    return BatchHeaders(BatchId("d", "s", 0), "h", 10, received_ns, said=said, newest_ns=newest_ns)


def sent(sent_ns: int, way_ns: int, error_ns: int = 0) -> BatchHeaders:
    """Sent at a true time by a clock that is `error_ns` behind."""
    return headers(sent_ns + way_ns, Beside(sent_ns - error_ns))


def known(*batches: BatchHeaders) -> SessionClock:
    clock = UNKNOWN
    for batch in batches:
        clock = clock_offset.apply(clock, batch)
    return clock


def test_the_quickest_batch_bounds_the_error() -> None:
    clock = known(*(sent(T0 + k * SECOND, way, 5 * SECOND) for k, way in enumerate((900, 20, 400))))
    assert (clock.offset_ns, clock.basis) == (5 * SECOND + 20, "sent")
    assert clock.latest_ns == clock.offset_ns
    assert not clock.is_skewed


@pytest.mark.parametrize(
    ("error_ns", "is_skewed"),
    [(0, False), (-3 * SECOND, True), (-SECOND, False), (9 * SECOND, False), (11 * SECOND, True), (-3 * 86400, False)],
)
def test_a_skewed_clock_is_marked(error_ns: int, is_skewed: bool) -> None:
    assert known(sent(T0, 30_000_000, error_ns)).is_skewed is is_skewed


def test_who_says_nothing_and_comes_late_is_late_and_not_skewed() -> None:
    clock = known(headers(newest_ns=T0 - 7200 * SECOND), headers(newest_ns=T0 - SECOND), headers())
    assert clock == SessionClock(window_ns=T0)
    assert not clock.is_skewed


def test_readings_of_the_future_prove_that_the_clock_is_ahead() -> None:
    almost = headers(newest_ns=T0 + AHEAD_NS)
    clock = known(almost, headers(newest_ns=T0 + 60 * SECOND), headers(newest_ns=T0 + 50 * SECOND))
    assert (clock.offset_ns, clock.basis, clock.is_skewed) == (-60 * SECOND, "newest", True)
    assert known(almost).offset_ns is None


def test_readings_later_than_their_sending_are_proof_too() -> None:
    honest = headers(T0, Beside(T0 - 1), newest_ns=T0 - 2)
    odd = headers(T0, Beside(T0 - 1), newest_ns=T0 + 60 * SECOND)
    assert known(honest).basis == "sent"
    assert known(honest, odd) == known(odd, honest) == SessionClock(-60 * SECOND, "newest", -60 * SECOND, T0)


def test_of_two_that_say_the_same_the_senders_word_is_the_basis() -> None:
    said, dated = headers(T0, Beside(T0 + 60 * SECOND)), headers(newest_ns=T0 + 60 * SECOND)
    both = headers(T0, Beside(T0 + 60 * SECOND), newest_ns=T0 + 60 * SECOND)
    for batches in ((said, dated), (dated, said), (both,)):
        assert (known(*batches).offset_ns, known(*batches).basis) == (-60 * SECOND, "sent")


def test_a_clock_that_steps_shows_in_the_last_ten_minutes() -> None:
    before, after = sent(T0, 50), sent(T0 + WINDOW_NS, 70, 3600 * SECOND)
    clock = known(before, after)
    assert (clock.offset_ns, clock.latest_ns) == (50, 3600 * SECOND + 70)
    assert clock.is_skewed
    assert known(before, after, sent(T0 + 2 * WINDOW_NS, 60)).is_skewed is False, "it was mended"


def test_whoever_was_not_synchronised_once_marks_the_session() -> None:
    yes, no, silent = (headers(said=Beside(synchronised=s)) for s in (True, False, None))
    assert known(silent).synchronised is None
    assert known(silent, yes, silent).synchronised is True
    assert known(yes, no, yes).synchronised is False


def test_the_senders_last_word_on_its_correction_is_kept() -> None:
    words = [headers(said=Beside(correction_ns=c)) for c in (7, None, -9, None)]
    assert known(*words).correction_ns == -9


@pytest.mark.parametrize("sent_ns", [-1, -(2**63), 2**63 - 1])
def test_a_clock_beyond_all_time_overflows_no_column(sent_ns: int) -> None:
    for newest_ns in (None, 2**63 - 1):
        offset_ns = known(headers(T0, Beside(sent_ns), newest_ns=newest_ns)).offset_ns
        assert offset_ns is None or -(2**63) <= offset_ns < 2**63


BATCHES = st.builds(
    lambda at, way, says, newest, flag: headers(
        T0 + at + way, Beside(T0 + at if says else None, flag), newest_ns=None if newest is None else T0 + newest
    ),
    st.integers(0, 4 * WINDOW_NS),
    st.integers(0, 20 * SECOND),
    st.booleans(),
    st.none() | st.integers(-WINDOW_NS, 5 * WINDOW_NS),
    st.none() | st.booleans(),
)


@given(st.lists(BATCHES, max_size=12), st.randoms(use_true_random=False))
def test_neither_order_nor_duplicates_matter(batches: list[BatchHeaders], rng: random.Random) -> None:
    again = batches + [b for b in batches if rng.random() < 0.3]
    rng.shuffle(again)
    assert known(*again) == known(*batches)


@given(st.lists(BATCHES, min_size=1, max_size=12))
def test_the_offset_is_the_least_that_any_batch_gives(batches: list[BatchHeaders]) -> None:
    clock = known(*batches)
    measures = [m for b in batches if (m := clock_offset.measured(b)) is not None]
    assert clock.offset_ns == min((m[0] for m in measures), default=None)
    last = max(b.received_ns // WINDOW_NS for b in batches)
    of_last = [b for b in batches if b.received_ns // WINDOW_NS == last]
    of_last_window = [m[0] for b in of_last if (m := clock_offset.measured(b)) is not None]
    assert clock.latest_ns == min(of_last_window, default=None)


def test_the_ledger_keeps_it_with_the_session_also_of_duplicates_and_never_twice() -> None:
    first, resent = sent(T0, SECOND), sent(T0 + SECOND, 20)
    state = completeness.apply(None, first, 0, 0)
    state = completeness.apply(state, resent, 0, 1)
    assert (state.duplicate_batches, state.clock.offset_ns) == (1, 20)
    assert completeness.apply(state, sent(T0, -9 * SECOND), 0, 1) == state, "that offset is covered already"


def test_the_bounds_leave_room_for_a_slow_way_and_gateways_that_differ() -> None:
    assert not SessionClock(offset_ns=-AHEAD_NS).is_skewed
    assert not SessionClock(offset_ns=BEHIND_NS, latest_ns=BEHIND_NS).is_skewed
    assert SessionClock(offset_ns=0, latest_ns=BEHIND_NS + 1).is_skewed
