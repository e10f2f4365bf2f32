"""Drafts until the clock is set; what goes beside batches of one epoch or another."""

from edge.spooled import Epoch
from edge.timing.epochs import beside, correction_ns
from edge.timing.holding import Holding, Rotate, Settle
from edge.timing.stamping import Stepped, Synchronised
from telemetry.beside import Beside

SECOND_NS = 10**9


def test_a_clock_that_is_set_holds_nothing_back_and_each_change_is_a_new_session() -> None:
    holding = Holding(is_set=True, wait_s=120, now_s=5.0)
    assert not holding.is_holding
    assert holding.next(None, 6.0) is None
    assert holding.next(Stepped(-7), 7.0) == Rotate()


def test_drafts_are_settled_with_the_shift_when_the_clock_is_set() -> None:
    holding = Holding(is_set=False, wait_s=120, now_s=5.0)
    assert holding.is_holding
    assert holding.next(None, 124.9) is None
    assert holding.next(Synchronised(42), 125.0) == Settle(42), "set just as the wait ended"
    assert not holding.is_holding
    assert holding.next(Stepped(1), 126.0) == Rotate()


def test_drafts_are_settled_as_they_are_when_the_wait_is_over_and_a_later_setting_is_a_new_session() -> None:
    holding = Holding(is_set=False, wait_s=120, now_s=5.0)
    assert holding.next(None, 125.0) == Settle(0)
    assert not holding.is_holding
    assert holding.next(None, 126.0) is None
    assert holding.next(Synchronised(42), 127.0) == Rotate()


def test_no_wait_no_drafts() -> None:
    assert not Holding(is_set=False, wait_s=0, now_s=5.0).is_holding


def test_epochs_of_one_boot_correct_each_other_and_no_others() -> None:
    old, now = Epoch("a", 100, False), Epoch("a", 100 + 9 * SECOND_NS, True)
    assert correction_ns(old, now) == 9 * SECOND_NS
    assert correction_ns(Epoch("b", 100, False), now) is None
    assert correction_ns(old, Epoch("a", 100 + 9 * SECOND_NS, False)) is None


def test_sent_is_told_on_the_clock_that_stamped_the_batch() -> None:
    old, now = Epoch("a", 100, False), Epoch("a", 100 + 9 * SECOND_NS, True)
    sent_ns = 1_000 * SECOND_NS
    assert beside(old, now, sent_ns) == Beside(991 * SECOND_NS, False, 9 * SECOND_NS)
    assert beside(Epoch("b", 7, True), now, sent_ns, settings="3") == Beside(None, True, None, "3")
    assert beside(now, now, sent_ns) == Beside(sent_ns, True)
    assert beside(old, old, sent_ns) == Beside(sent_ns, False)
    assert beside(now, Epoch("a", now.offset_ns + 1000, True), sent_ns) == Beside(sent_ns - 1000, True), "noise"
