"""The scoring of the motion benchmark: by hand, and beside the reference scorer where that is."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from consumers.detectors import Floats
from consumers.profiles import MOTION_FIELDS
from sensorline.evaluation import motion
from sensorline.evaluation._motion_score import best_threshold, tally, total
from sensorline.evaluation._motion_streams import Event, Stream, halves, read
from telemetry.errors import Malformed
from tests.consumers.detectors.test_motion import Ride, brake, crash

REFERENCE = Path(__file__).parents[4] / "shared" / "detection"


def stream(events: list[tuple[str, float, float]], seconds: int = 100, rate_hz: int = 10) -> Stream:
    n = seconds * rate_hz
    true_s = np.arange(n) / rate_hz
    values = np.full((n, len(MOTION_FIELDS)), np.nan)
    return Stream("one", (true_s * 1e9).astype(np.int64), values, true_s, tuple(Event(*e) for e in events))


def alarms(at: Stream, *spans: tuple[float, float]) -> Floats:
    score = np.zeros(len(at.true_s))
    for start, end in spans:
        score[(at.true_s >= start) & (at.true_s <= end)] = 1.0
    return score


def test_an_alarm_in_the_grace_finds_its_event_and_the_tail_costs_nothing() -> None:
    one = stream([("fall", 10, 12), ("crash", 50, 51)])
    counted = tally(one, alarms(one, (13.5, 13.5), (23, 23), (64, 64)), 1.0)
    assert (counted.found, counted.false, counted.recall) == (1, 1, 0.5)
    assert counted.latency_s("fall") == pytest.approx(3.5)
    assert counted.latency_s("crash") is None


def test_a_lasting_false_alarm_is_charged_every_two_seconds() -> None:
    one = stream([])
    assert tally(one, alarms(one, (20, 30)), 1.0).false == 6


def test_the_threshold_is_one_that_misses_nothing_and_says_nothing_false() -> None:
    one = stream([("fall", 10, 12)])
    score = 0.5 * alarms(one, (11, 11)) + 0.1
    threshold = best_threshold([one], [score])
    assert total([one], [score], threshold).f1 == 1.0
    assert 0.1 < threshold <= 0.6


def test_halves_are_disjoint_and_whole() -> None:
    a, b = halves([stream([])] * 5)
    assert sorted(a + b) == [0, 1, 2, 3, 4]


def test_files_are_read_with_what_is_absent(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("t,ax,ay,az,latitude\n0.0,1,2,3,\n0.02,1,2,4,48.5\n")
    (tmp_path / "x.truth.csv").write_text("t_true\n0.0\n0.02\n")
    (tmp_path / "x.events.csv").write_text("kind,start,end\nfall,0.0,0.02\n")
    (one,) = read(tmp_path)
    assert one.t_ns.tolist() == [0, 20_000_000]
    assert one.values[1, :3].tolist() == [1, 2, 4]
    assert np.isnan(one.values[:, 3:6]).all()
    assert one.values[1, MOTION_FIELDS.index("latitude")] == 48.5
    assert one.events == (Event("fall", 0.0, 0.02),)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("t,ax\n0,1\n")
    with pytest.raises(Malformed):
        read(tmp_path)


def write(folder: Path, name: str, ride: Ride, *events: str) -> None:
    t_ns, values = ride.rows()
    lines = [
        ",".join([f"{(t - t_ns[0]) / 1e9:.6f}", *("" if np.isnan(v) else f"{v:.7f}" for v in row)])
        for t, row in zip(t_ns.tolist(), values.tolist(), strict=True)
    ]
    (folder / f"{name}.csv").write_text("\n".join([",".join(["t", *MOTION_FIELDS]), *lines]) + "\n")
    (folder / f"{name}.truth.csv").write_text("\n".join(["t_true", *(f"{t:.6f}" for t in ride.t_s)]) + "\n")
    (folder / f"{name}.events.csv").write_text("\n".join(["kind,start,end", *events]) + "\n")


def test_the_table_of_a_folder_says_what_was_found_and_how_it_was_called(tmp_path: Path) -> None:
    write(tmp_path, "a", brake(), "harsh_brake,30.0,32.0", "pothole,50.0,50.3")
    write(tmp_path, "b", crash(), "crash,30.0,31.0")
    table = motion.evaluate(tmp_path, baselines=False)
    shipped = dict(zip(table.columns, table.rows[0], strict=True))
    assert shipped["detector"] == "ours"
    assert shipped["recall"] == pytest.approx(2 / 3, abs=1e-3)
    assert shipped["precision"] == 1.0
    notes = "\n".join(table.notes)
    assert "crash: recall 1.00 (1 of 1)" in notes and "named: crash 1" in notes
    assert "pothole: recall 0.00 (0 of 1)" in notes and "named: - 1" in notes


def reference() -> ModuleType:
    path = REFERENCE / "imu_score.py"
    if not path.exists():
        pytest.skip("the reference scorer is not beside this repository")
    spec = importlib.util.spec_from_file_location("imu_score", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_counts_as_the_reference_does() -> None:
    theirs = reference()
    rng = np.random.default_rng(3)
    streams = []
    for _ in range(6):
        starts = np.sort(rng.uniform(0, 280, 8))
        kinds = rng.choice(["fall", "crash", "noise"], 8)
        events = [(str(k), float(s), float(s + rng.uniform(0, 9))) for k, s in zip(kinds, starts, strict=True)]
        streams.append(stream(events, 300))
    scores = [np.where(rng.random(len(s.true_s)) < 0.01, rng.random(len(s.true_s)), 0.0) for s in streams]
    as_theirs = [{"t_true": s.true_s, "events": s.events} for s in streams]
    for threshold in (0.2, 0.6, 0.9):
        expected = theirs.score(as_theirs, scores, threshold)
        got = total(streams, scores, threshold)
        assert got.f1 == pytest.approx(expected["F1"])
        assert got.false_an_hour == pytest.approx(expected["fp_per_h"])
        assert got.latency_s() == pytest.approx(expected["lat50"])
        for kind, (found, n, latency_s) in expected["per_kind"].items():
            assert (len(got.found_s[kind]), got.events[kind]) == (found, n)
            assert got.latency_s(kind) == (None if latency_s is None else pytest.approx(latency_s))
