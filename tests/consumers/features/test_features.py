"""Features against numpy on the raw rows, and against what is known of made-up signals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from consumers.features import VALUE_MAX, Features
from consumers.features.path import DWELL_RADIUS_M
from telemetry.batch import Series
from telemetry.reading import CATALOGUE

S = 10**9
T0 = 1_763_800_000 * S
FLOATS = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, np.nan, 1e99, -1e99, 1e-300, 9.81, 9.81])
TABLES = arrays.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(3)), elements=FLOATS)


def said(features: Features, t_ns: np.ndarray, values: np.ndarray) -> dict[str, float]:
    summary = features.summarise(t_ns, values, np.array([0]))
    return {name: float(column[0]) for name, column in features.read(summary).items()}


def every(n: int, rate_hz: float) -> np.ndarray:
    return T0 + np.round(np.arange(n) / rate_hz * S).astype(np.int64)


def plain(column: np.ndarray) -> dict[str, float]:
    known = column[~np.isnan(column)]
    if not len(known):
        return {"count": 0.0}
    return {
        "count": float(len(known)),
        "min": known.min(),
        "max": known.max(),
        "mean": known.mean(),
        "std": known.std(),
        "rms": np.sqrt((known * known).mean()),
        "peak_to_peak": known.max() - known.min(),
    }


@given(TABLES)
def test_statistics_are_numpys(x: np.ndarray) -> None:
    found = said(Features("gravity"), every(len(x), 1.0), x)
    scale = np.nanmax(np.abs(np.append(x, 1e-9)))
    for j, field in enumerate("xyz"):
        for name, value in plain(x[:, j]).items():
            assert found[f"{field}_{name}"] == pytest.approx(value, rel=1e-9, abs=scale * 1e-9), name


@given(TABLES, st.lists(st.integers(1, 39), max_size=4))
def test_parts_combined_are_the_whole(x: np.ndarray, cuts: list[int]) -> None:
    features, t = Features("gravity"), every(len(x), 1.0)
    starts = np.array(sorted({0, *(c for c in cuts if c < len(x))}))
    parts = features.read(features.combine(features.summarise(t, x, starts))[None])
    scale = np.nanmax(np.abs(np.append(x, 1e-9)))
    for name, value in said(features, t, x).items():
        if not name.endswith("crossings"):  # they are of each part's own mean
            assert parts[name][0] == pytest.approx(value, rel=1e-9, abs=scale * 1e-9), name


@given(TABLES, TABLES, TABLES)
def test_a_parts_summary_does_not_depend_on_other_parts(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    """Bit for bit: also where a neighbour lacks values and it does not."""
    features = Features("acceleration")
    x, t = np.vstack((a, b, c)), every(len(a) + len(b) + len(c), 100.0)
    starts = np.array([0, len(a), len(a) + len(b)])
    alone = features.summarise(t[starts[1] : starts[2]], b, np.array([0]))
    assert features.summarise(t, x, starts)[1].tobytes() == alone[0].tobytes()


def test_a_large_offset_costs_no_digits() -> None:
    small = np.random.default_rng(1).normal(0.0, 1e-3, (1000, 1))
    found = said(Features("temperature"), every(1000, 1.0), small + 1e6)
    assert found["celsius_std"] == pytest.approx((small + 1e6 - 1e6).std(), rel=1e-6)


def test_a_constant_has_no_spread_and_crosses_nothing() -> None:
    found = said(Features("temperature"), every(77, 1.0), np.full((77, 1), 21.3))
    assert found["celsius_std"] == found["celsius_peak_to_peak"] == found["celsius_zero_crossings"] == 0
    assert found["celsius_mean"] == found["celsius_rms"] == 21.3


@pytest.mark.parametrize("huge", [np.inf, -np.inf, 1e300, -1e300])
def test_huge_values_are_absent_and_counted(huge: float) -> None:
    features = Features("location")
    series = Series.of("location", [T0, T0 + S, T0 + 2 * S], {"altitude": [1.0, huge, 3.0], "latitude": [huge] * 3})
    values, unusable = features.columns(series)
    assert unusable == 4
    found = said(features, series.t, values)
    assert found["altitude_count"] == 2
    assert found["altitude_mean"] == 2.0
    assert found["latitude_count"] == 0
    assert "latitude_mean" not in found


def test_the_largest_values_that_count_give_finite_features() -> None:
    x = np.tile([VALUE_MAX, -VALUE_MAX], 32)[:, None] * np.ones(3)
    t = T0 + np.arange(64, dtype=np.int64)  # nanoseconds apart: the steepest there is
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for starts in ([0], [0, 7, 8]):
            features = Features("acceleration")
            summary = features.combine(features.summarise(t, x, np.array(starts)))
            assert all(np.isfinite(column).all() for column in features.read(summary[None]).values())


def test_a_swing_crosses_its_mean_and_stands_in_its_octave() -> None:
    t = every(200, 100.0)
    x = np.stack([5 + 2 * np.sin(2 * np.pi * f * (t - T0) * 1e-9 + 0.1) for f in (1.5, 5.0, 40.0)], axis=1)
    found = said(Features("acceleration"), t, x)
    assert found["x_zero_crossings"] == pytest.approx(6, abs=1)
    assert found["y_zero_crossings"] == pytest.approx(20, abs=1)
    for field, band in (("x", "1_2hz"), ("y", "4_8hz"), ("z", "32_64hz")):
        bands = {name: value for name, value in found.items() if name.startswith(f"{field}_power")}
        assert found[f"{field}_power_{band}"] > 0.8 * sum(bands.values())
        assert sum(bands.values()) == pytest.approx(2.0, rel=0.05)  # a sine's variance
    assert "x_power_64_128hz" not in found  # sampled too slowly
    assert "x_power_0.5_1hz" in found


def test_a_spectrum_needs_rows_that_are_evenly_spaced_and_quick() -> None:
    x = np.random.default_rng(2).normal(size=(50, 3))
    features = Features("acceleration")
    assert "x_power_4_8hz" in said(features, every(50, 50.0), x)
    assert "x_power_4_8hz" not in said(features, every(50, 5.0), x)
    assert "x_power_4_8hz" not in said(features, every(50, 50.0)[[*range(25), *range(30, 50), *range(25, 30)]], x)
    gap = every(60, 50.0)[[*range(25), *range(35, 60)]]
    assert "x_power_4_8hz" not in said(features, gap, x)
    x[3, 0] = np.nan
    found = said(features, every(50, 50.0), x)
    assert "x_power_4_8hz" not in found
    assert "y_power_4_8hz" in found
    assert not any("power" in name for name in said(Features("acceleration", bands=False), every(50, 50.0), x))


def test_jerk_is_the_rms_of_the_slope() -> None:
    t = every(50, 50.0)
    seconds = (t - T0) * 1e-9
    x = np.stack((3.0 * seconds, np.zeros(50), np.where(np.arange(50) % 2, np.nan, -7.0 * seconds)), axis=1)
    found = said(Features("linear_acceleration"), t, x)
    assert found["x_jerk"] == pytest.approx(3.0)
    assert found["y_jerk"] == 0.0
    assert found["z_jerk"] == pytest.approx(7.0)
    assert "x_jerk" not in said(Features("linear_acceleration"), t[:1].repeat(2), x[:2])
    assert "x_jerk" not in said(Features("gyroscope"), t, x)


def location(t_ns: np.ndarray, latitude: list[float], longitude: list[float]) -> tuple[Features, np.ndarray]:
    features = Features("location")
    values, _ = features.columns(Series.of("location", t_ns, {"latitude": latitude, "longitude": longitude}))
    return features, values


@pytest.mark.parametrize("starts", [[0], [0, 30], list(range(61))])
def test_a_path_has_a_length_a_speed_and_a_dwell(starts: list[int]) -> None:
    """One minute north at 10 m/s: a degree of latitude is 111,195 m on the mean sphere."""
    t = every(61, 1.0)
    features, values = location(t, [48.0 + 10.0 * i / 111_195 for i in range(61)], [11.0] * 61)
    summary = features.combine(features.summarise(t, values, np.array(starts)))
    found = {name: float(column[0]) for name, column in features.read(summary[None]).items()}
    assert found["position_distance"] == pytest.approx(600.0, rel=1e-4)
    assert found["position_speed"] == pytest.approx(10.0, rel=1e-4)
    seconds = DWELL_RADIUS_M / 10
    assert found["position_dwell"] == pytest.approx(seconds, abs=1.01)


def test_one_who_stays_dwells() -> None:
    t = every(61, 1.0)
    wander = np.random.default_rng(3).normal(0, 3e-5, (2, 61))
    features, values = location(t, list(48.0 + wander[0]), list(11.0 + wander[1]))
    for starts in ([0], [0, 1, 31]):
        summary = features.combine(features.summarise(t, values, np.array(starts)))
        assert features.read(summary[None])["position_dwell"][0] == pytest.approx(60.0)


def test_a_path_round_the_antimeridian_and_with_absent_fixes() -> None:
    t = every(4, 1.0)
    features, values = location(t, [0.0, np.nan, 0.0, 0.0], [179.999, 0.0, -179.999, np.nan])
    found = said(features, t, values)
    assert found["position_distance"] == pytest.approx(0.002 * 111_195, rel=1e-4)
    assert found["position_speed"] == pytest.approx(found["position_distance"] / 2)
    features, values = location(t[:1], [0.0], [0.0])
    assert "position_distance" not in said(features, t[:1], values)


@pytest.mark.parametrize("sensor", sorted(CATALOGUE))
def test_every_sensor_with_numbers_has_features_of_distinct_names(sensor: str) -> None:
    features = Features(sensor)
    if not features.fields:
        return
    assert len(set(features.names)) == len(features.names)
    found = said(features, every(1, 1.0), np.ones((1, len(features.fields))))
    assert {f"{features.fields[0]}_{name}" for name in plain(np.ones(1))} <= found.keys()
