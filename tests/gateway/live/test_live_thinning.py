"""Fewer rows, the same picture."""

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.thinning import POINTS_LEAST, thin
from telemetry.reading import CATALOGUE


@st.composite
def series(draw: st.DrawFn) -> tuple[npt.NDArray[Any], list[npt.NDArray[Any]]]:
    n = draw(st.integers(1, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    t = np.cumsum(rng.integers(0, 3, n)) + 1_760_000_000_000_000_000
    if draw(st.booleans()):
        rng.shuffle(t)
    columns = rng.normal(size=(draw(st.integers(0, 17)), n)).astype(np.float32)
    columns[rng.random(columns.shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = np.nan
    return t, list(columns)


@given(series(), st.integers(POINTS_LEAST, 200))
def test_each_fields_ends_stay_and_the_rows_are_by_time_and_few(
    made: tuple[npt.NDArray[Any], list[npt.NDArray[Any]]], points: int
) -> None:
    t, columns = made
    rows = thin(t, columns, points=points)
    assert len(rows) <= points
    assert len(set(rows.tolist())) == len(rows)
    assert (np.diff(t[rows]) >= 0).all()
    if len(t) <= points:
        assert len(rows) == len(t)
    for column in columns:
        if not np.isnan(column).all():
            assert np.nanmin(column[rows]) == np.nanmin(column)
            assert np.nanmax(column[rows]) == np.nanmax(column)


def test_the_widest_sensor_fits_the_fewest_points() -> None:
    widest = max(sum(f.kind.is_number for f in s.fields) for s in CATALOGUE.values())
    assert 2 * widest <= POINTS_LEAST
