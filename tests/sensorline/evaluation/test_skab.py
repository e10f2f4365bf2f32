"""The `skab` benchmark: its scoring against known counts and the shared scorer; its table on files made here."""

import importlib.util
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from sensorline.evaluation import skab
from sensorline.evaluation._skab_baselines import smoothed
from sensorline.evaluation._skab_files import cut, heads, read
from sensorline.evaluation._skab_score import Confusion, pooled
from sensorline.evaluation.skab import Told, _judge
from telemetry.errors import Malformed

SHARED = Path(__file__).resolve().parents[4] / "shared" / "detection"


def write(folder: Path, name: str, seed: int, *, labelled: bool = True, rows: int = 1000) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, 3)) + 10
    wrong = (np.arange(rows) >= 560) & (np.arange(rows) < 860) & labelled
    values[wrong, 1] += 5.0
    start = datetime(2020, 3, 9, 10, 14, 33)
    lines = ["datetime;A;B;C" + (";anomaly;changepoint" if labelled else "")]
    for k in range(rows):
        row = [str(start + timedelta(seconds=k)), *(f"{value:.5f}" for value in values[k])]
        lines.append(";".join(row + ([f"{wrong[k]:.1f}", "0.0"] if labelled else [])))
    (folder / name).write_text("\n".join(lines) + "\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed in range(3):
        write(tmp_path, f"{seed}.csv", seed)
    write(tmp_path, "free.csv", 9, labelled=False)
    return tmp_path


def test_counts_by_hand() -> None:
    wrong = np.array([1, 1, 1, 0, 0, 0, 0, 1], bool)
    alarm = np.array([1, 1, 0, 1, 0, 0, 0, 0], bool)
    one = Confusion.of(wrong, alarm)
    assert one == Confusion(tp=2, tn=3, fp=1, fn=2)
    assert (one.f1, one.far, one.mar) == pytest.approx((4 / 7, 1 / 4, 1 / 2))
    assert one.mcc == pytest.approx(np.corrcoef(wrong, alarm)[0, 1])
    assert pooled([one, one]) == Confusion(4, 6, 2, 4)
    assert Confusion(tp=0, tn=9, fp=0, fn=1).mcc == 0.0


def test_files_are_read_and_one_without_labels_is_normal(data: Path) -> None:
    files = read(data)
    assert [file.name for file in files] == ["0.csv", "1.csv", "2.csv", "free.csv"]
    assert [file.head for file in files] == [560, 560, 560, 1000]
    assert files[0].values.shape == (1000, 3)
    assert np.diff(files[0].t_ns).tolist() == [10**9] * 999


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"no \.csv"):
        read(tmp_path)
    (tmp_path / "x.csv").write_text("datetime;A;anomaly\n2020-03-09 10:14:33;many;0\n")
    with pytest.raises(Malformed, match=r"x\.csv"):
        read(tmp_path)


def test_cuts_leave_a_normal_head_and_score_the_same_rows(data: Path) -> None:
    files = read(data)
    for seed in range(20):
        for file, stream in zip(files, cut(files, seed), strict=True):
            gone = len(file.wrong) - len(stream.wrong)
            assert 0 <= gone <= 350 and stream.head >= 100
            assert stream.first == max(400 - gone, 60)
            assert np.array_equal(stream.values, file.values[gone:])
        assert not any(stream.wrong.any() for stream in heads(files, seed))
    assert len({len(cut(files, seed)[0].wrong) for seed in range(20)}) > 10


def test_each_half_has_the_threshold_of_the_other() -> None:
    good, bad = Confusion(tp=5, tn=5), Confusion(fp=5, fn=5)
    assert skab.crossed([[good, bad], [bad, good]]) == pooled([bad, bad]), "the halves disagree"
    assert skab.crossed([[good, good], [bad, bad]]) == pooled([good, good]), "they agree"


def test_smoothing_is_causal() -> None:
    told = np.array([0.0, 3.0, 0.0, 0.0, 6.0])
    assert smoothed(told, 3).tolist() == pytest.approx([0, 1.5, 1, 1, 2])


def test_the_table(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skab, "SEEDS", 1)
    table = skab.evaluate(data, baselines=True)
    assert [row[0] for row in table.rows[:8]] == ["ours"] * 8
    assert len({row[0] for row in table.rows}) == 7
    assert all(len(row) == len(table.columns) for row in table.rows)
    ours = dict(zip(table.columns, table.rows[3], strict=True))
    trees = next(row for row in table.rows if row[0] == "river HalfSpaceTrees" and row[2] == ours["streams"])
    assert float(str(ours["MCC"])) > 0.9 > float(str(trees[6]))
    assert float(str(ours["FAR %"])) < 5


@pytest.mark.skipif(not SHARED.exists(), reason="the open half of the benchmark is not beside the repository")
class TestOpenHalf:
    def test_our_scoring_is_the_shared_scorers(self) -> None:
        spec = importlib.util.spec_from_file_location("skab_score", SHARED / "skab_score.py")
        assert spec is not None and spec.loader is not None
        theirs = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(theirs)
        random = np.random.default_rng(5)
        files = read(SHARED / "data" / "skab")
        alarms = {file.name: random.random(len(file.wrong)) < 0.4 for file in files}
        ours = pooled(Confusion.of(file.wrong[400:], alarms[file.name][400:]) for file in files)
        labels = {file.name: {"y": file.wrong.astype(float)} for file in files}
        them = theirs.binary(labels, {name: alarm[400:].astype(float) for name, alarm in alarms.items()})
        assert (ours.f1, 100 * ours.far, 100 * ours.mar) == pytest.approx((them["F1"], them["FAR"], them["MAR"]))
        assert ours.mcc == pytest.approx(them["MCC"])

    def test_heads_cut_and_normal_streams_added_meet_the_target(self) -> None:
        files = read(SHARED / "data" / "skab")
        streams = [one.strict() for one in (*cut(files, 77), *heads(files, 77))]
        count = pooled(Told.by(_judge(1.0), {"": [streams]}).count([streams], 1.0))
        assert count.mcc >= 0.62
        assert count.far <= 0.12
