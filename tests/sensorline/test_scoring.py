"""`sensorline score`: the same rows out, in order, whatever the file looks like."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sensorline import scoring, tabular
from sensorline.cli import app
from sensorline.timestamps import Times
from telemetry.errors import Misconfigured


def _lines(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def _noisy(path: Path, rows: int = 4000) -> Path:
    """Noise of unit size with one value far out at row 3000."""
    values = np.random.default_rng(1).normal(size=rows)
    if rows > 3000:
        values[3000] = 60.0
    path.write_text("t,value\n" + "".join(f"{60 * k},{v:.6f}\n" for k, v in enumerate(values)))
    return path


def test_a_row_in_is_a_row_out_with_its_text_untouched(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text('time;value;note\n2026-01-01 00:00:00;1.50;plain\n2026-01-01 00:01:00;;"b;c"\n')
    done = scoring.score(source, tmp_path / "out.csv", time="time", fields=["value"])
    text = (tmp_path / "out.csv").read_text().splitlines()
    assert text[0] == "time;value;note;score;alarm;kind;reason"
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))
    assert [row[:3] for row in rows[1:]] == [
        ["2026-01-01 00:00:00", "1.50", "plain"],
        ["2026-01-01 00:01:00", "", "b;c"],
    ]
    assert (done.rows, done.alarms, done.profile) == (2, 0, "series")


def test_an_alarm_has_its_kind_and_a_reason_in_words(tmp_path: Path) -> None:
    done = scoring.score(_noisy(tmp_path / "in.csv"), tmp_path / "out.csv", time="t")
    head, *rows = _lines(tmp_path / "out.csv")
    row = dict(zip(head, rows[3000], strict=True))
    assert len(rows) == 4000
    assert row["alarm"] == "1" and float(row["score"]) >= 1
    assert row["kind"] and "usual" in row["reason"]
    assert done.alarms == sum(r[3] == "1" for r in rows) <= 8  # one is ours, a few of 4000 are noise's own


def test_the_score_does_not_know_what_comes_later(tmp_path: Path) -> None:
    whole, head = _noisy(tmp_path / "whole.csv"), tmp_path / "head.csv"
    head.write_text("".join(line + "\n" for line in whole.read_text().splitlines()[:2501]))
    scoring.score(whole, tmp_path / "whole.out.csv", time="t")
    scoring.score(head, tmp_path / "head.out.csv", time="t")
    assert _lines(tmp_path / "head.out.csv") == _lines(tmp_path / "whole.out.csv")[:2501]


def test_pieces_of_a_file_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _noisy(tmp_path / "in.csv")
    scoring.score(source, tmp_path / "a.csv", time="t")
    monkeypatch.setattr(tabular, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(scoring, "UPDATE_ROWS_MAX", 77)
    scoring.score(source, tmp_path / "b.csv", time="t")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_parquet_in_and_out_keeps_types(tmp_path: Path) -> None:
    stamps = pa.array(np.arange(50) * 10**9, pa.timestamp("ns"))
    table = pa.table({"at": stamps, "v": np.arange(50) * 0.5, "name": ["x"] * 50})
    pq.write_table(table, tmp_path / "in.parquet")
    done = scoring.score(tmp_path / "in.parquet", tmp_path / "out.parquet", time="at")
    out = pq.read_table(tmp_path / "out.parquet")
    assert done.fields == ("v",)
    assert out.select(["at", "v", "name"]).equals(table)
    assert out.column_names[3:] == ["score", "alarm", "kind", "reason"]


@pytest.mark.parametrize(
    ("name", "body", "rows"),
    [
        ("header-only", "t,value\n", 0),
        ("one-row", "t,value\n0,1\n", 1),
        ("constant", "t,value\n" + "".join(f"{k},5\n" for k in range(3000)), 3000),
        ("huge", "t,value\n" + "".join(f"{k},{(-1) ** k}e{300 + k % 8}\n" for k in range(3000)), 3000),
        ("no-values", "t,value\n" + "".join(f"{k},\n" for k in range(50)), 50),
        ("same-time", "t,value\n" + "".join(f"7,{k % 3}\n" for k in range(3000)), 3000),
        ("back-in-time", "t,value\n" + "".join(f"{-k},{k % 3}\n" for k in range(3000)), 3000),
    ],
)
@pytest.mark.parametrize("profile", ["series", "channels", "health", "motion"])
def test_odd_inputs_raise_no_storm_and_no_error(tmp_path: Path, name: str, body: str, rows: int, profile: str) -> None:
    (tmp_path / "in.csv").write_text(body)
    fields = [] if profile == "motion" else ["value"]
    done = scoring.score(tmp_path / "in.csv", tmp_path / "out.csv", time="t", fields=fields, profile=profile)
    out = _lines(tmp_path / "out.csv")[1:]
    assert len(out) == done.rows == rows
    assert all(np.isfinite(float(row[2])) for row in out)
    assert done.alarms <= max(1, rows // 100), (name, done.kinds)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0", "1.5"], [0, 1_500_000_000]),
        (["1738324800", "1738324801"], [1738324800 * 10**9, 1738324801 * 10**9]),
        (["1738324800123", "1738324800124"], [1738324800123 * 10**6, 1738324800124 * 10**6]),
        (["1738324800123456789", "1738324800123456790"], [1738324800123456789, 1738324800123456790]),
        (["1970-01-01 00:00:01", "1970-01-01T00:00:02"], [10**9, 2 * 10**9]),
        (["1970-01-01T00:00:01Z", "1970-01-01T01:00:02+01:00"], [10**9, 2 * 10**9]),
        (["5", ""], [5 * 10**9, 5 * 10**9]),
    ],
)
def test_times_of_the_usual_forms(cells: list[str], expected: list[int]) -> None:
    assert Times("t").read(pa.chunked_array([pa.array(cells)])).tolist() == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--time", "when"], "no column 'when'"),
        (["--time", "t", "--fields", "other"], "no column 'other'"),
        (["--time", "t", "--fields", "name"], "no number"),
        (["--time", "name"], "no time"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "in.csv").write_text("t,value,name\n0,1,anna\n")
    result = CliRunner().invoke(app, ["score", str(tmp_path / "in.csv"), *arguments, "--out", str(tmp_path / "o.csv")])
    assert result.exit_code == 1
    assert said in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "o.csv").exists()


def test_a_column_that_would_be_added_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("t,score\n0,1\n")
    with pytest.raises(Misconfigured, match="'score' already"):
        scoring.score(tmp_path / "in.csv", tmp_path / "out.csv", time="t")
