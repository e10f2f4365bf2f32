"""`series`: what is new to a stream is an alarm of one row, whatever its unit; what it had before is not."""

import time

import numpy as np
import pytest
from scipy.signal import lfilter

from consumers.detectors import Floats, Verdict
from consumers.detectors._series import QUIET, ROWS, SEEN, SILENT, loudest
from consumers.detectors.series import Detector

MINUTE_NS = 60 * 10**9


def judge(values: Floats, detector: Detector | None = None) -> Verdict:
    columns = values.reshape(len(values), -1)
    detector = detector or Detector(tuple("ab"[: columns.shape[1]]))
    return detector.update(np.arange(len(values), dtype=np.int64) * MINUTE_NS, columns)


def swing(rows: int = 4000, seed: int = 0) -> Floats:
    noise = 0.2 * np.random.default_rng(seed).normal(size=rows)
    return 20 + 3 * np.sin(np.arange(rows) / 40) + noise


def spiked(at: int = 2500, by: float = 15.0) -> Floats:
    values = swing()
    values[at] += by
    return values


def rows_of(verdict: Verdict) -> list[int]:
    return [int(row) for row in verdict.hits["row"] if row > 1000]


@pytest.mark.parametrize("by", [15.0, -15.0])
def test_a_value_out_of_all_it_had_is_an_alarm_of_one_row_with_its_evidence(by: float) -> None:
    verdict = judge(spiked(by=by))
    assert rows_of(verdict) == [2500]
    hit = verdict.hits[-1]
    assert Detector.KINDS[hit["kind"]] == "outlier"
    assert hit["seen"] == pytest.approx(spiked(by=by)[2500])
    assert 16 < hit["low"] < 17.6 and 22.4 < hit["high"] < 24
    assert hit["since_ns"] == 2500 * MINUTE_NS


@pytest.mark.parametrize(("times", "plus"), [(1.8, 32.0), (-1.0, 0.0), (1e-9, 0.0), (-3e6, 1e7), (1e200, 0.0)])
def test_the_unit_does_not_matter(times: float, plus: float) -> None:
    values = spiked()
    assert rows_of(judge(values * times + plus)) == rows_of(judge(values)) == [2500]


def test_an_outlier_far_out_does_not_become_usual_by_coming_again() -> None:
    values = swing(6000)
    values[1000::500] += 60
    assert set(range(1000, 6000, 500)) <= set(judge(values).hits["row"].tolist())


def test_it_is_silent_at_a_beginning_and_after_an_alarm() -> None:
    values = swing()
    values[SILENT // 2] += 50
    assert (judge(values).score[:SILENT] == 0.0).all()
    scores = np.zeros(QUIET)
    scores[2500 % QUIET] = 3.0
    assert not loudest(scores, 2500 + QUIET, 2.9) and not loudest(scores, 2510, 3.0)
    assert loudest(scores, 2510, 3.1)


@pytest.mark.parametrize("steps", ["constant", "steps", "integers", "counter", "ramp"])
def test_plain_streams_raise_no_storm(steps: str) -> None:
    row = np.arange(20_000)
    values = {
        "constant": np.full(20_000, 0.1),
        "steps": 0.1 * (row // 500 % 7),
        "integers": np.random.default_rng(1).poisson(4, 20_000).astype(float),
        "counter": row.astype(float),
        "ramp": 0.1 * row,
    }[steps]
    assert len(judge(values).hits) <= len(values) // 1000


def noises(rows: int, seed: int) -> dict[str, Floats]:
    random = np.random.default_rng(seed)
    steps = random.normal(size=rows)
    return {
        "gaussian": random.normal(size=rows),
        "walk": np.cumsum(steps),
        "sluggish": lfilter([1.0], [1.0, -0.98], steps),
        "exponential": random.exponential(size=rows),
        "poisson": random.poisson(20, rows).astype(float),
        "heavy tails": random.standard_t(3, rows),
    }


@pytest.mark.parametrize("name", noises(1, 0))
def test_mere_noise_raises_few_alarms_in_the_long_run(name: str) -> None:
    rows = 200_000
    assert len(judge(noises(rows, 5)[name]).hits) <= 0.5 * rows / 1000


@pytest.mark.parametrize("to", [8.0, -8.0])
def test_a_new_level_of_a_value_it_had_is_an_alarm_with_its_evidence(to: float) -> None:
    values = np.random.default_rng(0).normal(size=4000)
    values[50::150] = to
    values[2510:2530] = to
    verdict = judge(values)
    hit = next(hit for hit in verdict.hits if hit["row"] >= 2400)
    assert Detector.KINDS[hit["kind"]] == "level" and 2510 <= hit["row"] < 2530
    assert Detector(("a",)).features()[hit["feature"]].name.endswith("level")
    first = hit["row"] + 1 - ROWS[hit["feature"]]
    assert hit["seen"] == pytest.approx(values[first : hit["row"] + 1].mean())
    assert hit["seen"] > hit["high"] if to > 0 else hit["seen"] < hit["low"]
    assert -0.6 < hit["low"] < -0.1 and 0.1 < hit["high"] < 0.6
    assert hit["since_ns"] == first * MINUTE_NS


def test_the_fuller_memory_still_knows_its_extremes() -> None:
    values = swing(SEEN * 4)
    values[-1] = values[:1000].max()
    assert judge(values).score[-1] == 0.0


def test_absent_rows_teach_nothing() -> None:
    values = spiked()
    gaps = np.insert(values, np.repeat(np.arange(1000, 2000, 10), 3), np.nan)
    moved = rows_of(judge(gaps))
    assert values[2500] in [gaps[row] for row in moved]
    assert len(moved) == len(rows_of(judge(values)))


def test_each_field_is_judged_and_a_kind_told_once_a_row() -> None:
    both = np.column_stack([spiked(by=15), spiked(by=40) * 7])
    detector = Detector(("a", "b"))
    hits = judge(both, detector).hits
    last = hits[hits["row"] == 2500]
    assert [detector.features()[hit["feature"]].name for hit in last if hit["kind"] == 0] == ["b"]
    only = judge(np.column_stack([swing(), spiked()]), Detector(("a", "b"))).hits
    assert only["feature"][only["row"] == 2500] == [2]


def test_a_hundred_thousand_rows_take_about_a_second() -> None:
    values = np.random.default_rng(2).normal(size=100_000)
    judge(values[:100])
    begun = time.process_time()
    judge(values)
    assert time.process_time() - begun < 1.0  # on a free core 0.3
