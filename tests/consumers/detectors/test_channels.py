"""`channels`: a level that is away is in alarm, with its reason; one that stays away is learned; wander is no alarm."""

import time

import numpy as np
import pytest

from consumers.detectors import Floats, Verdict
from consumers.detectors.channels import Detector

SECOND_NS = 10**9
SETTINGS = Detector.SETTINGS


def judge(values: Floats, detector: Detector | None = None) -> Verdict:
    fields = tuple(f"c{k}" for k in range(values.shape[1]))
    return (detector or Detector(fields)).update(np.arange(len(values), dtype=np.int64) * SECOND_NS, values)


def noise(rows: int, channels: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, channels)) + 20.0


def stepped(rows: int = 1500, begin: int = 600, end: int = 900, size: float = 4.0) -> Floats:
    values = noise(rows, 8)
    values[begin:end, 3] -= size
    return values


def alarms(values: Floats) -> np.ndarray:
    return judge(values).score >= 1


def openings(alarm: np.ndarray) -> int:
    return int(np.count_nonzero(np.diff(alarm.astype(int), prepend=0) == 1))


def test_a_step_is_in_alarm_from_soon_after_its_start_until_soon_after_its_end() -> None:
    alarm = alarms(stepped())
    assert not alarm[:600].any()
    assert alarm[610:900].all()
    assert not alarm[930:].any()


def test_a_hit_names_the_channel_what_was_seen_and_what_is_usual() -> None:
    hit = judge(stepped()).hits[200]
    assert Detector(("a", "b")).features()[1].name == "b"
    assert hit["feature"] == 3
    assert hit["seen"] == pytest.approx(16.0, abs=1.0)
    assert hit["low"] < 20.0 < hit["high"]
    assert hit["low"] > 16.5
    assert 590 * SECOND_NS <= hit["since_ns"] <= 612 * SECOND_NS


@pytest.mark.parametrize(("times", "plus"), [(1e-9, 0.0), (1e12, 0.0), (-3.0, 700.0)])
def test_the_unit_does_not_matter(times: float, plus: float) -> None:
    values = stepped()
    assert np.array_equal(alarms(values), alarms(values * times + plus))


def test_a_head_cut_off_moves_nothing_but_the_commissioning() -> None:
    values = stepped()
    assert alarms(values[350:])[270:540].all()
    assert not alarms(values[350:])[:250].any()


def test_a_level_that_stays_is_learned_and_the_same_step_back_is_then_usual() -> None:
    values = noise(8000, 2)
    values[1000:5000, 0] += 6.0
    alarm = alarms(values)
    assert alarm[1020 : 1000 + SETTINGS.relearn_rows].all()
    assert not alarm[1000 + SETTINGS.relearn_rows + 20 :].any()


def test_a_level_that_comes_back_most_of_its_way_is_back() -> None:
    values = noise(2000, 2)
    values[800:1100, 0] += 60.0
    values[1100:, 0] += 3.0
    alarm = alarms(values)
    assert alarm[810:1100].all()
    assert not alarm[1200:].any()


def test_each_channel_has_its_own_alarm_so_a_slow_one_follows_while_another_is_away() -> None:
    rows = 4000
    values = noise(rows, 2)
    values[:, 1] += np.arange(rows) * 0.003
    values[1500:2500, 0] += 6.0
    alarm = alarms(values)
    assert alarm[1510:2500].all()
    assert not alarm[2550:].any()


NORMAL: dict[str, Floats] = {
    "noise": noise(20_000, 8),
    "constant": np.full((5000, 8), 7.25),
    "huge and constant": np.full((5000, 8), 1e300),
    "huge and alternating": np.where(np.arange(5000) % 2, 1e300, -1e300)[:, None],
    "random walk": np.cumsum(noise(20_000, 4) - 20.0, axis=0),
    "cycles": np.sin(np.arange(20_000) / 50.0)[:, None] + noise(20_000, 1) * 0.1,
    "counter": np.arange(5000.0)[:, None],
    "rarely one": (np.random.default_rng(3).random((20_000, 1)) < 0.01) * 1.0,
    "never there": np.full((5000, 3), np.nan),
    "mostly absent": np.where(np.random.default_rng(4).random((20_000, 2)) < 0.9, np.nan, noise(20_000, 2)),
    "infinite at times": np.where(np.random.default_rng(5).random((5000, 2)) < 0.1, np.inf, noise(5000, 2)),
    "huge spikes": np.where(np.random.default_rng(6).random((20_000, 2)) < 0.001, 1e300, noise(20_000, 2)),
    "constant with huge spikes": np.where(np.random.default_rng(7).random((20_000, 2)) < 0.001, -1e300, 0.0),
}


@pytest.mark.parametrize("name", NORMAL)
def test_no_storm(name: str) -> None:
    verdict = judge(NORMAL[name])
    assert np.isfinite(verdict.score).all()
    assert all(np.isfinite(verdict.hits[field]).all() for field in ("seen", "low", "high", "score"))
    alarm = verdict.score >= 1
    assert openings(alarm) <= len(alarm) / 5000
    assert alarm.mean() < 0.003


def test_a_channel_that_vanishes_in_alarm_does_not_alarm_for_ever() -> None:
    values = stepped(end=1500)
    values[700:, 3] = np.nan
    alarm = alarms(values)
    assert alarm[699]
    assert not alarm[700 + SETTINGS.absent_rows + 1 :].any()


def test_a_channel_that_reports_seldom_is_judged_by_its_own_values() -> None:
    values = noise(6000, 2)
    values[3000:4000, 1] += 6.0
    values[np.arange(6000) % 10 != 0, 1] = np.nan
    alarm = alarms(values)
    assert alarm[:3000].mean() < 0.01
    assert alarm[3100:4000].all()
    assert alarm[4200:].mean() < 0.01


def test_a_lone_spike_while_commissioning_does_not_blind_a_channel() -> None:
    values = stepped(begin=300, end=500)
    values[50, 3] = 1e6
    assert alarms(values)[310:500].all()


def test_a_constant_channel_that_steps_is_seen() -> None:
    values = noise(1000, 2)
    values[:, 0] = 5.0
    values[600:, 0] = 6.0
    assert alarms(values)[620:1000].all()


@pytest.mark.parametrize("channels", [1, 8, 64])
def test_the_state_is_bounded(channels: int) -> None:
    detector = Detector(tuple(f"c{k}" for k in range(channels)))
    before = detector.state_size_bytes
    judge(noise(3000, channels), detector)
    assert detector.state_size_bytes == before <= channels * 2048


def test_many_channels_are_no_more_false_alarms() -> None:
    assert openings(alarms(noise(20_000, 64, seed=8))) <= 4


def test_a_hundred_thousand_rows_a_second_at_eight_channels() -> None:
    values = noise(100_000, 8)
    judge(values[:10])
    begun = time.process_time()
    judge(values)
    assert time.process_time() - begun < 1.0
