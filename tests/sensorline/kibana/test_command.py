"""`sensorline kibana` as a person runs it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sensorline.cli import app
from sensorline.kibana import boards
from sensorline.kibana.bundle import bundle, ndjson
from sensorline.kibana.views import Document
from tests.sensorline.kibana.kibana_server import KEY, kibana


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["kibana", *arguments])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no settings file lies."""
    monkeypatch.chdir(tmp_path)


def test_a_dry_run_lists_everything_and_connects_nowhere() -> None:
    with kibana() as fake:
        done = run("install", "--dry-run", "--json", "--url", fake.url)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["type"], row["id"]) for row in rows] == [(o["type"], o["id"]) for o in bundle().objects()]
    assert "9 objects would be installed" in done.stderr
    assert not fake.asked


def test_a_dry_run_writes_the_file_that_export_prints(tmp_path: Path) -> None:
    out = tmp_path / "sensorline.ndjson"
    assert run("install", "--dry-run", "--out", str(out)).exit_code == 0
    printed = run("export")
    assert printed.exit_code == 0
    assert out.read_text(encoding="utf-8") == printed.stdout == ndjson(bundle().objects())


def test_the_prefix_is_that_of_the_settings_unless_it_is_given() -> None:
    of_settings = run("export", "--set", "adapters.elasticsearch.prefix=site7-")
    assert of_settings.stdout == run("export", "--prefix", "site7-").stdout == ndjson(bundle("site7-").objects())
    assert run("export", "--prefix", "UPPER").exit_code == 1


def test_a_broken_reference_makes_the_dry_run_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    right = boards.saved

    def broken(board: boards.Board) -> Document:
        document = right(board)
        document["references"][0]["id"] = "sensorline-gone"
        return document

    monkeypatch.setattr(boards, "saved", broken)
    done = run("install", "--dry-run")
    assert done.exit_code == 1
    assert "refers to the index-pattern 'sensorline-gone', which is not in the bundle: add it" in done.stderr
    assert done.stdout == ""


def test_what_is_broken_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    right = boards.saved
    monkeypatch.setattr(boards, "saved", lambda board: right(board) | {"references": []})
    with kibana() as fake:
        done = run("install", "--url", fake.url)
    assert done.exit_code == 1
    assert not fake.asked


def test_it_installs_and_says_what(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    with kibana(version="9.5.2", wants_login=True) as fake:
        done = run("install", "--url", fake.url, "--api-key-file", str(key), "--space", "ops", "--json")
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 9
    assert {row["by"] for row in rows} == {"saved objects", "Dashboards API"}
    assert "9 objects are installed in Kibana 9.5.2" in done.stderr
    assert KEY not in done.output


def test_what_was_not_taken_is_said_and_the_command_fails() -> None:
    errors = [{"type": "map", "id": "sensorline-tracks", "error": {"type": "unsupported_type"}}]
    with kibana(import_errors=errors) as fake:
        done = run("install", "--url", fake.url)
    assert done.exit_code == 1
    assert "map sensorline-tracks: unsupported_type: this Kibana lacks the feature" in done.stderr
    assert "8 objects are installed" in done.stderr


def test_a_refusal_is_one_line() -> None:
    with kibana(wants_login=True) as fake:
        done = run("install", "--url", fake.url)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert "give --api-key-file" in done.stderr


def test_a_folder_that_is_not_there_is_no_traceback(tmp_path: Path) -> None:
    done = run("install", "--dry-run", "--out", str(tmp_path / "none" / "file"))
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
