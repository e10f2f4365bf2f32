"""The scoring of the NAB benchmark: by hand, and beside the reference scorer where that is."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sensorline.evaluation import nab
from sensorline.evaluation._baselines import quiet
from sensorline.evaluation._nab_files import File, probation, read
from sensorline.evaluation._nab_score import LOW_FALSE, LOW_MISSED, STANDARD, tally, total
from telemetry.errors import Malformed

REFERENCE = Path(__file__).parents[4] / "shared" / "detection"


def file(n: int, *windows: tuple[int, int], name: str = "a/b.csv") -> File:
    return File(name, np.arange(n) * 10**9, np.zeros((n, 1)), windows, probation(n))


def standard(of: File, *detections: int) -> float:
    scores = np.zeros(len(of.scored))
    scores[list(detections)] = 1.0
    return float(tally(of, scores, np.ones(1)).score()[0])


def test_silence_is_0_and_everything_at_once_is_100() -> None:
    one = file(1000, (400, 499), (700, 799))
    assert standard(one) == 0.0
    assert standard(one, 400, 700) == 100.0
    assert standard(one, 400) == 50.0


def test_only_the_earliest_in_a_window_counts_and_later_ones_earn_less() -> None:
    one = file(1000, (400, 499))
    assert standard(one, 400, 450, 499) == standard(one, 400) == 100.0
    assert 100 > standard(one, 450) > standard(one, 499) > 50


def test_false_alarms_cost_less_shortly_after_a_window_and_nothing_in_probation() -> None:
    one = file(1000, (400, 499))
    assert standard(one, 400, 100) == 100.0
    assert standard(one, 400, 390) == pytest.approx(100 - 100 * 0.11 / 2)
    assert standard(one, 400, 390) < standard(one, 400, 510) < 100
    counted = tally(one, np.eye(1, 1000, 300)[0], np.ones(1))
    assert (counted.false[0], counted.false_a_thousand()[0]) == (1, 1000 / 850)


def test_a_threshold_is_chosen_on_one_part_and_used_on_the_other() -> None:
    loud, shy = np.zeros(1000), np.zeros(1000)
    loud[[400, 300, 600, 900]] = 5, 3, 3, 3
    shy[400] = 2
    files = [file(1000, (400, 499)), file(1000, (400, 499))]
    crossed = nab.crossed(nab._of_scores(files, [loud, shy]), ([0], [1]), STANDARD)
    # at 5, best for `loud`, `shy` says nothing; at 2, best for `shy`, `loud` has three false alarms
    assert (crossed.found[0], crossed.false[0]) == (1, 3)


def test_quiet_lets_through_what_is_above_all_before() -> None:
    assert quiet(np.array([1.0, 1.0, 2.0, 1.5, 1.8]), 2).tolist() == [1.0, -np.inf, 2.0, -np.inf, -np.inf]


def written(folder: Path) -> Path:
    labels = {}
    for k in range(4):
        rng = np.random.default_rng(k)
        values = np.sin(np.arange(1200) / 20) + 0.1 * rng.normal(size=1200)
        values[800 + 20 * k] += 9
        days = [np.datetime64("2014-04-01") + np.timedelta64(5 * i, "m") for i in range(1200)]
        text = [str(at).replace("T", " ") + ":00" for at in days]
        path = folder / "data" / "made" / f"{k}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("timestamp,value\n" + "".join(f"{t},{v}\n" for t, v in zip(text, values, strict=True)))
        labels[f"made/{k}.csv"] = [[f"{text[790 + 20 * k]}.000000", f"{text[850 + 20 * k]}.000000"]]
    (folder / "windows.json").write_text(json.dumps(labels))
    return folder


def test_a_folder_is_read_and_its_table_printed(tmp_path: Path) -> None:
    files = read(written(tmp_path))
    assert files[1].windows == ((810, 870),)
    assert files[1].copy(cut=100).windows == ((710, 770),)
    table = nab.evaluate(tmp_path)
    assert [row[0] for row in table.rows[:3]] == ["ours", "ours", "river HalfSpaceTrees"]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert float(table.rows[0][2] or 0) > 90


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"windows\.json"):
        read(tmp_path)


# --- beside the reference


def reference() -> ModuleType:
    path = REFERENCE / "nab_score.py"
    if not path.exists():
        pytest.skip("the reference scorer is not beside this checkout")
    spec = importlib.util.spec_from_file_location("reference_nab_score", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(5))
def test_it_says_what_the_reference_scorer_says(seed: int) -> None:
    theirs = reference()
    random = np.random.default_rng(seed)
    files = [file(2000, (500, 650), (900, 1000), name="a"), file(6000, (800, 1400), name="b"), file(900, name="c")]
    scores = [np.round(random.normal(size=len(f.scored)), 1) for f in files]
    theirs_files = {f.name: {"x": f.values, "windows": list(f.windows)} for f in files}
    theirs_scores = {f.name: s for f, s in zip(files, scores, strict=True)}
    thresholds = np.array([3.0, 2.5, 1.0])
    ours = total([tally(f, s, thresholds) for f, s in zip(files, scores, strict=True)])
    for name, weights in (("standard", STANDARD), ("low_FP", LOW_FALSE), ("low_FN", LOW_MISSED)):
        expected = [theirs.at(theirs_files, theirs_scores, threshold, name) for threshold in thresholds]
        assert ours.score(weights) == pytest.approx(expected, abs=1e-9)
    found, windows, false, rows = theirs.counts(theirs_files, theirs_scores, 2.5)
    assert (ours.found[1], ours.windows, ours.false[1], ours.rows) == (found, windows, false, rows)
