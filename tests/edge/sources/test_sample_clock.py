"""Times of buffered samples: strictly rising, at the chip's own rate, near the truth under any drain pattern."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.sources._sample_clock import SampleClock
from tests.telemetry.batches import unhurried

NOMINAL_S = 0.01


def replay(
    true_period_s: float, waits_s: list[float], answers_s: list[float] | None = None
) -> tuple[np.ndarray, np.ndarray, SampleClock]:
    """(estimated, true) times of a chip that is drained after these waits; sample k is taken at k * true_period_s."""
    clock = SampleClock(NOMINAL_S)
    clock.start(0.0)
    now_s, taken, estimated = 0.0, 0, []
    for k, wait_s in enumerate(waits_s):
        now_s += wait_s
        there = int(now_s / true_period_s)
        answered_s = now_s + (answers_s[k] if answers_s else 0.0)
        estimated.append(clock.drained(there - taken, now_s, answered_s))
        taken, now_s = there, answered_s
    return np.concatenate(estimated), np.arange(1, taken + 1) * true_period_s, clock


def test_the_chips_own_rate_is_followed() -> None:
    for error in (-0.08, -0.03, 0.0, 0.02, 0.08):
        estimated, true, clock = replay(NOMINAL_S * (1 + error), [0.25] * 400)
        assert abs(clock.period_s / (NOMINAL_S * (1 + error)) - 1) < 0.002
        late = slice(len(true) // 2, None)
        assert np.abs(estimated[late] - true[late]).max() < NOMINAL_S
        steps = np.diff(estimated[late])
        assert steps.max() / steps.min() < 1.15, "evenly spaced, although drains and samples are not in step"


def test_a_late_thread_does_not_move_the_samples() -> None:
    """The machine was busy for 0.2 s between asking how many there are and reading our own clock."""
    answers = [0.0] * 200
    answers[150] = 0.2
    estimated, true, _ = replay(NOMINAL_S * 1.03, [0.25] * 200, answers)
    assert np.abs(estimated[2000:] - true[2000:]).max() < 2 * NOMINAL_S


@unhurried
@given(
    waits=st.lists(st.floats(0.0, 0.8), min_size=1, max_size=60),
    answers=st.lists(st.floats(0.0, 0.1), min_size=60, max_size=60),
    error=st.floats(-0.1, 0.1),
)
def test_times_rise_strictly_and_never_lie_in_the_future(
    waits: list[float], answers: list[float], error: float
) -> None:
    estimated, true, _ = replay(NOMINAL_S * (1 + error), waits, answers)
    assert len(estimated) == len(true)
    assert (np.diff(estimated) > 0).all()
    assert not len(estimated) or estimated[0] > 0
    assert not len(estimated) or estimated[-1] <= sum(waits) + sum(answers) + 1e-3


def test_what_a_gap_held_is_estimated_and_the_rate_is_kept() -> None:
    _, _, clock = replay(NOMINAL_S * 1.05, [0.25] * 100)
    before = clock.period_s
    assert abs(clock.missing(25.0 + 10.5) - 1000) <= 3
    clock.start(35.5)
    assert clock.period_s == before
    assert clock.drained(10, 35.61, 35.61)[0] > 35.5
