"""Accelerometer, gyroscope and GPS as rows of one stream."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers import joined
from consumers.joined import Joiner, Samples
from consumers.profiles import MOTION_FIELDS
from telemetry.batch import Series

MS = 10**6
SECOND = 10**9
T0 = 1_763_800_000 * SECOND
LAT = MOTION_FIELDS.index("latitude")
GX = MOTION_FIELDS.index("gx")


def xyz(sensor: str, ms: list[int], value: float = 1.0) -> Series:
    """Samples at these milliseconds after T0, x = value + 0.001 k."""
    x = [value + k / 1024 for k in range(len(ms))]
    return Series.of(sensor, [T0 + m * MS for m in ms], {"x": x, "y": [0.0] * len(ms), "z": [9.8] * len(ms)})


def fixes(ms: list[int], offset_ms: int = 0) -> Series:
    """Fixes whose latitude says when they were taken."""
    columns = {"latitude": [m / 1e6 for m in ms], "longitude": [13.0] * len(ms)}
    return Series.of("location", [T0 + (m + offset_ms) * MS for m in ms], columns)


def by_sensor(*series: Series) -> dict[str, list[Series]]:
    kept: dict[str, list[Series]] = {}
    for one in series:
        kept.setdefault(one.sensor, []).append(one)
    return kept


def at_fixes(rows: Samples) -> list[tuple[int, int]]:
    """(row's millisecond, fix's millisecond)."""
    found = np.flatnonzero(np.isfinite(rows.values[:, LAT]))
    return [(int(rows.t[k] - T0) // MS, round(rows.values[k, LAT] * 1e6)) for k in found]


def test_a_row_takes_the_gyroscopes_latest_sample_at_or_before_it() -> None:
    joiner = Joiner()
    rows = joiner.rows(by_sensor(xyz("acceleration", [0, 10, 20, 30]), xyz("gyroscope", [5, 20], 7.0)))
    assert rows.values[:, GX].tolist()[1:] == [7.0, 7.0 + 1 / 1024, 7.0 + 1 / 1024]
    assert np.isnan(rows.values[0, GX])
    later = joiner.rows(by_sensor(xyz("acceleration", [40, 520, 521])))
    assert np.isnan(later.values[:, GX]).tolist() == [False, False, True], "held across batches, for half a second"


def test_a_fix_goes_to_the_first_row_at_or_after_its_time_also_of_the_next_batch() -> None:
    joiner = Joiner()
    assert at_fixes(joiner.rows(by_sensor(xyz("acceleration", [0, 10, 20]), fixes([10])))) == [(10, 10)]
    assert at_fixes(joiner.rows(by_sensor(xyz("acceleration", [30, 40]), fixes([31, 45])))) == [(40, 31)]
    assert at_fixes(joiner.rows(by_sensor(xyz("acceleration", [50, 60])))) == [(50, 45)]


def test_fixes_alone_make_rows_of_their_own() -> None:
    joiner = Joiner()
    for begin in (0, 3000, -90_000):
        rows = joiner.rows(by_sensor(fixes([begin, begin + 1000])))
        assert at_fixes(rows) == [(begin, begin), (begin + 1000, begin + 1000)], "also where the clock steps back"


def test_when_the_accelerometer_stops_fixes_go_on_alone() -> None:
    joiner = Joiner()
    joiner.rows(by_sensor(xyz("acceleration", [0, 10])))
    seen = [f for s in range(1, 20) for f in at_fixes(joiner.rows(by_sensor(fixes([s * 1000]))))]
    assert [fix for _, fix in seen] == [s * 1000 for s in range(1, 20)]


@pytest.mark.parametrize("late_ms", [0, 300, 900, 2500, 3_600_000])
@pytest.mark.parametrize("jitter_ms", [0, 400])
def test_fixes_that_come_late_keep_their_distance(late_ms: int, jitter_ms: int) -> None:
    """Speeds are judged from the time between two fixes, which must not shrink."""
    joiner = Joiner()
    seen: list[tuple[int, int]] = []
    for s in range(60):
        taken = s * 1000 + 500 - late_ms - jitter_ms * (s % 3)
        rows = joiner.rows(by_sensor(xyz("acceleration", list(range(s * 1000, s * 1000 + 1000, 20))), fixes([taken])))
        seen += at_fixes(rows)
    assert len(seen) >= 55
    settled = seen[5:]
    for (row, fix), (next_row, next_fix) in pairwise(settled):
        assert abs((next_row - row) - (next_fix - fix)) <= 20, "by more than a row"


def test_batches_by_turns_lose_no_fix_and_never_go_back() -> None:
    joiner = Joiner()
    rows: list[Samples] = []
    for s in range(0, 100, 5):
        rows.append(joiner.rows(by_sensor(xyz("acceleration", list(range(s * 1000, s * 1000 + 5000, 100))))))
        rows.append(joiner.rows(by_sensor(fixes([(s + k) * 1000 for k in range(5)]))))
    t = np.concatenate([r.t for r in rows])
    assert (np.diff(t) >= 0).all()
    seen = [f for r in rows for f in at_fixes(r)]
    assert [fix for _, fix in seen] == list(range(0, len(seen) * 1000, 1000))
    assert len(seen) >= 95
    for (row, fix), (next_row, next_fix) in pairwise(seen[6:]):
        assert abs((next_row - row) - (next_fix - fix)) <= 100


def test_a_fix_from_the_future_holds_nothing_up() -> None:
    joiner = Joiner()
    seen: list[tuple[int, int]] = []
    for s in range(30):
        rows = joiner.rows(
            by_sensor(xyz("acceleration", list(range(s * 1000, s * 1000 + 1000, 20))), fixes([s * 1000], 86_400_000))
        )
        seen += at_fixes(rows)
    assert [fix for _, fix in seen] == [s * 1000 for s in range(30)]


def test_the_two_parts_of_acceleration_are_added() -> None:
    joiner = Joiner()
    rows = joiner.rows(by_sensor(xyz("linear_acceleration", [0, 10], 0.5), xyz("gravity", [0, 10], 0.25)))
    assert rows.values[:, 0].tolist() == [0.75, 0.75 + 2 / 1024]
    assert rows.values[0, 2] == pytest.approx(19.6, rel=1e-6)
    whole = joiner.rows(by_sensor(xyz("acceleration", [20]), xyz("linear_acceleration", [20]), xyz("gravity", [20])))
    assert whole.values[:, 0].tolist() == [1.0], "where it comes whole, the parts are left alone"


def test_a_gyroscope_alone_makes_the_rows() -> None:
    joiner = Joiner()
    rows = joiner.rows(by_sensor(xyz("gyroscope", [0, 10], 7.0)))
    assert rows.values[:, GX].tolist() == [7.0, 7.0 + 1 / 1024]
    assert np.isnan(rows.values[:, 0]).all()


def test_a_step_back_within_a_batch_keeps_the_order_and_the_gyroscope() -> None:
    ms = [1000, 1010, 1020, -500_000, -499_990]
    rows = Joiner().rows(by_sensor(xyz("acceleration", ms), xyz("gyroscope", ms, 7.0)))
    assert [(t - T0) // MS for t in rows.t.tolist()] == ms
    assert np.isfinite(rows.values[:, GX]).all()


def test_what_waits_is_bounded() -> None:
    joiner = Joiner()
    joiner.rows(by_sensor(xyz("acceleration", [0])))
    for k in range(100):
        joiner.rows(by_sensor(fixes(list(range(k * 50, k * 50 + 50)))))
    assert len(joiner.waiting) <= joined.WAITING_MAX


STEPS = st.lists(st.integers(-2000, 3000), max_size=30)


@given(st.lists(st.tuples(STEPS, STEPS, STEPS), max_size=4))
def test_whatever_comes_there_is_a_row_for_each_acceleration_in_its_order(batches: list[tuple[list[int], ...]]) -> None:
    joiner = Joiner()
    for a, g, f in batches:
        acc, gyro, gps = (np.cumsum([0, *steps]).tolist() if steps else [] for steps in (a, g, f))
        series = [s for s in (xyz("acceleration", acc), xyz("gyroscope", gyro), fixes(gps)) if len(s)]
        rows = joiner.rows(by_sensor(*series))
        if acc:
            assert [(t - T0) // MS for t in rows.t.tolist()] == acc
            assert rows.values.shape == (len(acc), len(MOTION_FIELDS))
