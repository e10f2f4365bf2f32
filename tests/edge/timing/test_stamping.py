"""The stamp against a model: true time, a wall clock that anybody may set, a kernel that says whether it is kept."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sources import Stamp
from edge.timing import kernel
from edge.timing.stamping import FIX_EARLIEST_NS, FIX_HOLDS_S, FIXES, SECOND_NS, Stamper, Stepped, Synchronised, Taken
from edge.timing.tie import LEAD_NS, Tie
from telemetry.clock import ManualClock, SystemClock

STEP_S = 0.5
DAY_NS = 86_400 * SECOND_NS
T0 = 1_700_000_000 * SECOND_NS


class Machine:
    """A machine: its clocks, its kernel's flag, and its stamper."""

    def __init__(self, *, wrong_by_ns: int = 0, kept: bool | None = True) -> None:
        self.clock = ManualClock(T0 + wrong_by_ns)
        self.kept = kept
        self.slept_ns = 0
        self.stamper = Stamper(
            self.clock, step_s=STEP_S, boot="b", is_synchronised=lambda: self.kept, slept_ns=lambda: self.slept_ns
        )

    @property
    def true_ns(self) -> int:
        return T0 + round(self.clock.monotonic_s() * SECOND_NS) + self.slept_ns

    def off_ns(self) -> int:
        """How far a stamp of now is from the truth."""
        return self.stamper.now_ns() - self.true_ns

    def set_by_hand(self, by_ns: int) -> None:
        self.clock.step_wall(by_ns)
        if self.kept:
            self.kept = False

    def set_by_service(self) -> None:
        self.clock.step_wall(self.true_ns - self.clock.now_ns())
        self.kept = True

    def sleep(self, ns: int) -> None:
        """Suspended: the wall clock goes on, the monotonic one does not."""
        self.clock.step_wall(ns)
        self.slept_ns += ns

    async def fixes(self, n: int = FIXES, *, late_ns: int = 0, wrong_ns: int = 0) -> None:
        for _ in range(n):
            await self.clock.advance(1.0)
            self.stamper.utc_is(self.true_ns - late_ns + wrong_ns, self.clock.monotonic_s())


async def polled(machine: Machine, seconds: int) -> list[object]:
    """The changes of so many polls, a second apart."""
    changes: list[object] = []
    for _ in range(seconds):
        await machine.clock.advance(1.0)
        if (change := machine.stamper.poll()) is not None:
            changes.append(change)
    return changes


# --- set for the first time -----------------------------------------------------------------------------------


async def test_a_clock_that_is_kept_stamps_the_truth_at_once() -> None:
    machine = Machine()
    assert machine.stamper.epoch.synchronised
    assert await polled(machine, 5) == []
    assert machine.off_ns() == 0
    assert machine.stamper.at_ns(machine.clock.monotonic_s() - 2) == machine.true_ns - 2 * SECOND_NS


async def test_where_nobody_can_know_the_clock_counts_as_kept() -> None:
    machine = Machine(kept=None)
    assert machine.stamper.epoch.synchronised
    machine.clock.step_wall(DAY_NS)
    assert await polled(machine, 1) == [Stepped(DAY_NS)]


async def test_until_it_is_set_nothing_moves_the_stamps_and_then_the_shift_is_told() -> None:
    machine = Machine(wrong_by_ns=-400 * DAY_NS, kept=False)
    assert not machine.stamper.epoch.synchronised
    machine.clock.step_wall(3 * DAY_NS)
    assert await polled(machine, 3) == []
    assert machine.off_ns() == -400 * DAY_NS
    before = machine.stamper.epoch
    machine.set_by_service()
    assert machine.stamper.poll() == Synchronised(400 * DAY_NS)
    after = machine.stamper.epoch
    assert (after.synchronised, after.offset_ns - before.offset_ns) == (True, 400 * DAY_NS)
    assert machine.off_ns() == 0
    assert await polled(machine, 5) == []


async def test_gps_sets_it_when_several_fixes_agree() -> None:
    machine = Machine(wrong_by_ns=-DAY_NS, kept=False)
    await machine.fixes(FIXES - 1)
    assert machine.stamper.poll() is None
    await machine.fixes(1)
    assert machine.stamper.poll() == Synchronised(DAY_NS)
    assert machine.stamper.epoch.synchronised
    assert machine.off_ns() == 0


async def test_the_least_late_fix_is_believed() -> None:
    machine = Machine(wrong_by_ns=-DAY_NS, kept=False)
    await machine.fixes(FIXES - 1, late_ns=400_000_000)
    await machine.fixes(1, late_ns=100_000_000)
    assert machine.stamper.poll() == Synchronised(DAY_NS - 100_000_000)


async def test_fixes_that_differ_are_old_or_of_another_age_set_nothing() -> None:
    machine = Machine(wrong_by_ns=-DAY_NS, kept=False)
    for k in range(2 * FIXES):
        await machine.fixes(1, wrong_ns=(k % 2) * SECOND_NS)
    assert machine.stamper.poll() is None, "they disagree"
    await machine.fixes(FIXES, wrong_ns=-1024 * 7 * DAY_NS)
    assert machine.stamper.poll() is None, "a week counter that rolled over"
    assert T0 - 1024 * 7 * DAY_NS < FIX_EARLIEST_NS < T0
    await machine.fixes(FIXES)
    await machine.clock.advance(3600.0)
    assert machine.stamper.poll() is None, "an hour ago"


async def test_a_clock_set_by_gps_holds_for_an_hour_without_it_and_then_says_so() -> None:
    machine = Machine(wrong_by_ns=-DAY_NS, kept=False)
    await machine.fixes()
    assert machine.stamper.poll() == Synchronised(DAY_NS)
    await machine.clock.advance(FIX_HOLDS_S - 60)
    assert machine.stamper.poll() is None
    assert machine.stamper.epoch.synchronised
    await machine.clock.advance(120.0)
    assert machine.stamper.poll() is None
    assert not machine.stamper.epoch.synchronised
    assert machine.off_ns() == 0


async def test_the_kernels_word_counts_more_than_a_receivers_and_what_that_said_is_forgotten() -> None:
    machine = Machine(wrong_by_ns=-DAY_NS, kept=False)
    await machine.fixes(wrong_ns=20 * SECOND_NS)
    assert machine.stamper.poll() == Synchronised(DAY_NS + 20 * SECOND_NS)
    machine.set_by_service()
    assert machine.stamper.poll() == Stepped(-20 * SECOND_NS)
    machine.kept = False
    assert await polled(machine, 5) == []
    await machine.fixes(wrong_ns=20 * SECOND_NS)
    assert await polled(machine, 5) == []
    assert not machine.stamper.epoch.synchronised
    assert machine.off_ns() == 0
    await machine.fixes()
    assert await polled(machine, 1) == []
    assert machine.stamper.epoch.synchronised, "it agrees now"


# --- steps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_ns", [7200 * SECOND_NS, -3 * DAY_NS, 600_000_000])
async def test_a_kept_clock_that_steps_is_followed_in_a_new_epoch(by_ns: int) -> None:
    machine = Machine()
    before = machine.stamper.epoch
    machine.clock.step_wall(by_ns)
    assert await polled(machine, 3) == [Stepped(by_ns)]
    assert machine.stamper.now_ns() == machine.clock.now_ns()
    assert machine.stamper.epoch.offset_ns - before.offset_ns == by_ns


async def test_a_date_set_back_three_days_by_hand_moves_nothing() -> None:
    machine = Machine()
    before = machine.stamper.epoch
    machine.set_by_hand(-3 * DAY_NS)
    assert await polled(machine, 30) == []
    assert not machine.stamper.epoch.synchronised
    assert machine.off_ns() == 0
    machine.set_by_service()
    assert await polled(machine, 30) == [], "the time service put it where the tie was all the while"
    assert machine.stamper.epoch == before


async def test_a_date_set_between_two_looks_at_the_kernel_moves_nothing() -> None:
    """The flag is read before and after the clocks: here somebody sets the date just after the first look."""
    machine = Machine()
    looks: list[Callable[[], None]] = [lambda: None, lambda: machine.set_by_hand(-3 * DAY_NS)]

    def is_kept() -> bool | None:
        kept = machine.kept
        if looks:
            looks.pop()()
        return kept

    machine.stamper._kernel_says = is_kept
    assert machine.stamper.poll() is None
    assert machine.off_ns() == 0


async def test_a_clock_not_kept_for_long_that_comes_back_elsewhere_is_a_step() -> None:
    machine = Machine()
    machine.kept = False
    assert await polled(machine, 3) == []
    machine.clock.step_wall(2 * SECOND_NS)
    machine.kept = True
    assert await polled(machine, 3) == [Stepped(2 * SECOND_NS)]


# --- followed, without a step ---------------------------------------------------------------------------------


@pytest.mark.parametrize("by_ns", [400_000_000, -400_000_000, 5_000_000])
async def test_a_small_difference_is_made_good_within_a_minute_and_no_stamp_goes_back(by_ns: int) -> None:
    machine = Machine()
    machine.clock.step_wall(by_ns)
    stamps: list[int] = []
    for _ in range(60 * 50):
        await machine.clock.advance(0.02)
        stamps.append(machine.stamper.now_ns())
        assert machine.stamper.poll() is None
    gaps = [b - a for a, b in itertools.pairwise(stamps)]
    assert min(gaps) >= 20_000_000 * 99 // 100 - 1
    assert max(gaps) <= 20_000_000 * 101 // 100 + 1
    assert machine.stamper.now_ns() == machine.clock.now_ns()


async def test_noise_of_reading_two_clocks_is_not_followed() -> None:
    machine = Machine()
    machine.clock.step_wall(900_000)
    assert await polled(machine, 10) == []
    assert machine.off_ns() == 0


# --- suspended ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False])
async def test_after_a_sleep_the_stamps_are_right_in_the_same_epoch(kept: bool) -> None:
    wrong_ns = 0 if kept else -DAY_NS
    machine = Machine(wrong_by_ns=wrong_ns, kept=kept)
    before = machine.stamper.epoch
    earlier_s = machine.clock.monotonic_s()
    machine.sleep(3 * 3600 * SECOND_NS)
    assert await polled(machine, 3) == []
    assert machine.off_ns() == wrong_ns
    assert machine.stamper.epoch == before
    assert machine.stamper.at_ns(earlier_s) == T0 + wrong_ns
    machine.set_by_service()
    assert await polled(machine, 3) == ([] if kept else [Synchronised(DAY_NS)])
    assert machine.off_ns() == 0


async def test_a_clock_set_by_gps_is_right_after_a_sleep_with_old_fixes_and_new_ones() -> None:
    machine = Machine(wrong_by_ns=-DAY_NS, kept=False)
    await machine.fixes()
    assert machine.stamper.poll() == Synchronised(DAY_NS)
    machine.sleep(7 * 3600 * SECOND_NS)
    for fixes in (0, 1, FIXES):
        await machine.fixes(fixes)
        assert await polled(machine, 2) == []
        assert machine.off_ns() == 0


# --- any sequence ---------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.floats(0.001, 30.0)),
        st.tuples(st.just("hand"), st.integers(-5 * DAY_NS, 5 * DAY_NS)),
        st.tuples(st.just("nudge"), st.integers(-499_000_000, 499_000_000)),
        st.tuples(st.just("service"), st.just(0)),
        st.tuples(st.just("sleep"), st.integers(SECOND_NS, DAY_NS)),
        st.tuples(st.just("fixes"), st.integers(0, 400_000_000)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.integers(-400 * DAY_NS, 400 * DAY_NS), st.booleans())
async def test_stamps_never_go_back_in_an_epoch_and_are_right_once_set(
    events: list[tuple[str, float]], wrong_ns: int, kept: bool
) -> None:
    machine = Machine(wrong_by_ns=0 if kept else wrong_ns, kept=kept)
    last = machine.stamper.now_ns()
    for name, value in events:
        match name:
            case "advance":
                await machine.clock.advance(value)
            case "hand":
                machine.set_by_hand(int(value))
            case "nudge":
                machine.clock.step_wall(int(value))
            case "service":
                machine.set_by_service()
            case "sleep":
                machine.sleep(int(value))
            case "fixes":
                await machine.fixes(late_ns=int(value))
        for _ in range(3):
            offset_ns, was_off_ns = machine.stamper.epoch.offset_ns, machine.off_ns()
            change = machine.stamper.poll()
            now = machine.stamper.now_ns()
            match change:
                case Synchronised(by) | Stepped(by):
                    assert machine.stamper.epoch.offset_ns - offset_ns == by
                    assert machine.stamper.epoch.synchronised
                case None:
                    assert now >= last, "no stamp goes back within an epoch"
                    if name != "sleep":
                        assert machine.off_ns() == was_off_ns, "nor does a poll move one"
            last = now
            await machine.clock.advance(0.01)
    machine.set_by_service()
    machine.stamper.poll()
    assert abs(machine.off_ns()) <= STEP_S * SECOND_NS
    await polled(machine, 120)
    assert abs(machine.off_ns()) <= 1_000_000


# --- views, threads -------------------------------------------------------------------------------------------


def assert_is_the_port(stamp: Stamp) -> None:
    """For the type checker."""
    assert isinstance(stamp.now_ns(), int)


async def test_a_view_goes_over_to_a_new_epoch_only_where_its_readings_are_handed_over() -> None:
    machine = Machine(wrong_by_ns=-DAY_NS, kept=False)
    view = machine.stamper.view()
    assert_is_the_port(view)
    assert view.take() == Taken(True)
    assert view.take() == Taken(False)
    stamped = view.now_ns()
    machine.set_by_service()
    assert machine.stamper.poll() == Synchronised(DAY_NS)
    assert view.now_ns() == stamped == machine.stamper.now_ns() - DAY_NS
    assert view.take() == Taken(True, DAY_NS)
    assert view.now_ns() == machine.stamper.now_ns()
    assert view.take() == Taken(True, 0)


async def test_a_source_with_times_of_its_own_has_nothing_shifted() -> None:
    machine = Machine(wrong_by_ns=-DAY_NS, kept=False)
    view = machine.stamper.view()
    machine.set_by_service()
    machine.stamper.poll()
    view.utc_is(machine.true_ns, machine.clock.monotonic_s())
    assert view.take() == Taken(False, 0)


async def test_a_view_follows_slews_and_sleeps_of_its_epoch() -> None:
    machine = Machine()
    view = machine.stamper.view()
    machine.clock.step_wall(300_000_000)
    await polled(machine, 60)
    machine.sleep(3600 * SECOND_NS)
    await polled(machine, 1)
    assert view.now_ns() == machine.stamper.now_ns() == machine.clock.now_ns()
    assert view.take() == Taken(True, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5 * SECOND_NS), st.integers(-SECOND_NS, SECOND_NS)), max_size=25))
def test_a_slew_changes_no_stamp_that_another_thread_may_be_making(slews: list[tuple[int, int]]) -> None:
    tie, now_ns = Tie.fixed(7), 0
    for wait_ns, target_ns in slews:
        now_ns += wait_ns
        after = tie.slewed(now_ns, target_ns)
        for t in (now_ns - 2 * SECOND_NS, now_ns - 1, now_ns, now_ns + SECOND_NS // 3, now_ns + LEAD_NS):
            assert after.offset_ns(t) == tie.offset_ns(t)
        moments = range(now_ns, now_ns + 4 * SECOND_NS, 323_456_789)
        stamps = [t + after.offset_ns(t) for t in moments]
        assert stamps == sorted(stamps)
        assert after.target_ns in (target_ns, tie.target_ns)
        tie = after


def test_polls_in_quick_succession_forget_no_stamp() -> None:
    tie = Tie.fixed(0).slewed(0, SECOND_NS)
    before = [tie.offset_ns(t) for t in range(0, 10 * SECOND_NS, SECOND_NS)]
    for k in range(500):
        tie = tie.slewed(10 * SECOND_NS + k, (-1) ** k * SECOND_NS)
    assert [tie.offset_ns(t) for t in range(0, 10 * SECOND_NS, SECOND_NS)] == before


def test_the_machine_is_asked_and_answers() -> None:
    assert kernel.is_synchronised() in (True, False, None)
    assert kernel.slept_ns() <= 400 * DAY_NS
    assert len(kernel.boot_id()) >= 32
    stamper = Stamper.of_machine(SystemClock(), step_s=STEP_S)
    assert abs(stamper.now_ns() - SystemClock().now_ns()) < SECOND_NS
    assert stamper.epoch.boot == Stamper.of_machine(SystemClock(), step_s=STEP_S).epoch.boot


def test_where_the_kernel_may_not_be_asked_the_time_services_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "_CALL", lambda _: -1)
    monkeypatch.setattr(kernel, "TIMESYNC", folder := tmp_path / "timesync")
    monkeypatch.setattr(kernel, "BOOT_ID", folder / "none")
    assert kernel.is_synchronised() is None
    folder.mkdir()
    assert kernel.is_synchronised() is False
    (folder / "synchronized").touch()
    assert kernel.is_synchronised() is True
    assert kernel.boot_id() != kernel.boot_id(), "of this process only"
    monkeypatch.setattr(kernel, "_CALL", lambda _: kernel.TIME_ERROR)
    assert kernel.is_synchronised() is False
    monkeypatch.setattr(kernel, "_CALL", lambda _: 0)
    assert kernel.is_synchronised() is True
