"""A stream's own time: it never goes back, and where rows were cut changes no bit of it."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumers.timeline import Clock, Layout

LAYOUT = Layout(("ax", "latitude"))


def test_time_goes_on_by_steps_forward_only_and_big_steps_back_begin_an_epoch() -> None:
    rows = LAYOUT.rows(Clock(), np.array([100, 110, 105, 120, 20, 30, 10_000]), np.zeros((7, 2)), 50, 1000)
    assert rows.at.tolist() == [0, 10, 10, 25, 25, 35, 1035]
    assert rows.epoch.tolist() == [0, 0, 0, 0, 1, 1, 1]


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=40), st.lists(st.integers(1, 39), max_size=5))
def test_cuts_change_nothing_and_time_never_goes_back(t: list[int], cuts: list[int]) -> None:
    times, values = np.array(t, np.int64), np.zeros((len(t), 2))
    whole = LAYOUT.rows(Clock(), times, values, 50, 1000)
    clock = Clock()
    bounds = sorted({0, *(c for c in cuts if c < len(t)), len(t)})
    pieces = [LAYOUT.rows(clock, times[b:e], values[b:e], 50, 1000) for b, e in pairwise(bounds)]
    joined = pieces[0].joined(*pieces[1:])
    for part in ("t", "at", "epoch", "narrow", "wide"):
        assert getattr(joined, part).tobytes() == getattr(whole, part).tobytes()
    assert (np.diff(whole.at) >= 0).all()
    assert clock.rows == len(t)


def test_positions_keep_their_64_bits() -> None:
    rows = LAYOUT.rows(Clock(), np.array([0]), np.array([[0.1, 52.123456789]]), 50, 1000)
    assert (rows.narrow.dtype, rows.wide[0, 0]) == (np.float32, 52.123456789)


def test_after_very_many_leaps_it_counts_anew() -> None:
    clock = Clock(t=0, at=2**61 + 1, epoch=4, rows=9)
    rows = LAYOUT.rows(clock, np.array([10]), np.zeros((1, 2)), 50, 1000)
    assert (rows.at.tolist(), rows.epoch.tolist(), rows.number) == ([10], [5], 9)
