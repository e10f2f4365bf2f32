"""Downsampling gives real rows, no more than asked for, and keeps the extremes that a person looks for."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.downsample import POINTS_MIN, Method, downsample, pick
from telemetry.batch import TIME_NS_MAX
from telemetry.errors import Invalid


def walk(n: int, seed: int = 1) -> pa.Table:
    rng = np.random.default_rng(seed)
    t = np.arange(n, dtype=np.int64) * 10_000_000 + 1_700_000_000_000_000_000
    return pa.table({"t": t, **{axis: rng.standard_normal(n).astype(np.float32) for axis in "xyz"}, "i": np.arange(n)})


def test_min_max_keeps_the_extremes_of_every_field() -> None:
    table = walk(10_000)
    fewer = downsample(table, points=600, method="minmax")
    assert 300 <= fewer.num_rows <= 600
    for axis in "xyz":
        assert max(fewer[axis].to_pylist()) == max(table[axis].to_pylist())
        assert min(fewer[axis].to_pylist()) == min(table[axis].to_pylist())


@pytest.mark.parametrize("method", ["minmax", "lttb"])
def test_rows_are_real_rows_in_order(method: Method) -> None:
    table = walk(5_000)
    fewer = downsample(table, points=100, method=method)
    assert fewer.equals(table.take(fewer["i"]))
    assert (np.diff(fewer["i"].to_numpy()) > 0).all()


def test_lttb_keeps_a_spike_and_both_ends() -> None:
    y = np.zeros(10_000)
    y[4_321] = 9.0
    table = pa.table({"t": np.arange(10_000), "pressure": y, "i": np.arange(10_000)})
    kept = downsample(table, points=50, method="lttb")["i"].to_pylist()
    assert {0, 4_321, 9_999} <= set(kept)
    assert len(kept) == 50


def test_few_rows_are_left_as_they_are() -> None:
    table = walk(50)
    assert downsample(table, points=50, method="lttb") is table


def test_a_field_that_is_absent_here_and_there_still_draws() -> None:
    y = pa.array([None if k % 3 else float(k) for k in range(3_000)], pa.float32())
    fewer = downsample(pa.table({"t": np.arange(3_000), "speed": y}), points=100, method="minmax")
    assert fewer.num_rows == 100
    assert fewer["speed"].null_count == 0


def test_text_only_is_thinned_evenly() -> None:
    fewer = downsample(pa.table({"t": np.arange(100), "text": [str(k) for k in range(100)]}), points=10, method="lttb")
    assert fewer["t"].to_pylist() == list(range(0, 100, 10))


def test_too_few_points_for_the_fields_is_refused_with_what_is_needed() -> None:
    with pytest.raises(Invalid, match="at least 12 points"):
        downsample(walk(100), points=11, method="minmax")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_the_times_it_neither_panics_nor_gives_more(data: st.DataObject) -> None:
    """Equal times and centuries in one span come from hostile devices; the library panics on some of them bare."""
    method: Method = data.draw(st.sampled_from(["minmax", "lttb"]))
    n = data.draw(st.integers(1, 60))
    top = data.draw(st.sampled_from([0, 1, 5, 10**9, TIME_NS_MAX]))
    t = np.sort(np.array(data.draw(st.lists(st.integers(0, top), min_size=n, max_size=n)), np.int64))
    columns = [
        np.array(data.draw(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=n, max_size=n)))
        for _ in range(data.draw(st.integers(0, 3)))
    ]
    least = POINTS_MIN[method] * max(1, len(columns))
    points = data.draw(st.integers(least, least + 20))
    chosen = pick(t, columns, points=points, method=method)
    assert len(chosen) <= max(points, 1)
    assert (np.diff(chosen) > 0).all()
    if any(not np.isnan(c).all() for c in columns):
        assert len(chosen) > 0
