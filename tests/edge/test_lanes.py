"""Live first, the backlog by the byte, and when an outage makes a new session."""

from hypothesis import given
from hypothesis import strategies as st

from edge.lanes import BURST_S, Outage, Throttle, is_backlog_paused


def test_the_backlog_waits_while_more_than_one_live_batch_does() -> None:
    assert [is_backlog_paused(n) for n in range(4)] == [False, False, True, True]


def test_a_batch_goes_whole_and_the_next_waits_until_it_is_paid_for() -> None:
    throttle = Throttle(1000)
    throttle.took(5000, now_s=10.0)
    assert throttle.wait_s(10.0) == 4.0  # one second's worth had gathered
    assert throttle.wait_s(14.5) == 0.0


@given(
    rate=st.floats(100, 1e6),
    sends=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 100_000)), min_size=1, max_size=50),
)
def test_over_any_stretch_no_more_is_sent_than_the_rate_and_one_batch(
    rate: float, sends: list[tuple[float, int]]
) -> None:
    throttle, now_s, sent = Throttle(rate), 100.0, 0
    for idle_s, size_bytes in sends:
        now_s += max(idle_s, throttle.wait_s(now_s + idle_s) + idle_s)
        assert throttle.wait_s(now_s) <= 1e-6
        assert sent <= rate * (now_s - 100.0 + BURST_S) * (1 + 1e-9)
        throttle.took(size_bytes, now_s)
        sent += size_bytes


def outage(outage_s: float = 600) -> Outage:
    made = Outage(outage_s)
    made.sends("01A", 0.0)
    return made


def test_an_old_batch_that_gets_through_ends_an_outage() -> None:
    assert not outage().got_through(5000, age_s=599, live_batches=50)
    assert outage().got_through(5000, age_s=600, live_batches=50)


def test_nothing_waits_so_there_is_nothing_to_make_a_backlog_of() -> None:
    assert not outage().got_through(20_000, age_s=10_000, live_batches=1)


def test_a_clock_that_was_set_back_does_not_hide_an_outage() -> None:
    made = outage()
    for now_s in (100.0, 300.0, 690.0):
        made.failed(now_s)
    assert made.got_through(700, age_s=-3 * 86400, live_batches=50)
    made.failed(800)
    assert not made.got_through(1300, age_s=0, live_batches=50)  # counted from the last that got through


def test_a_clock_that_was_set_ahead_makes_no_outage() -> None:
    made = outage()
    assert not made.got_through(500, age_s=3 * 86400, live_batches=50)
    made.sends("01B", 700.0)
    assert not made.got_through(1000, age_s=3 * 86400, live_batches=50)
