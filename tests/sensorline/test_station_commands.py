"""The commands that talk to a running station, against one that runs."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sensorline.api import Api, Refused, Unreachable
from telemetry import wire
from telemetry.batch import Batch, Series
from telemetry.errors import NotFound
from tests.sensorline.program import Running, invoke, sensorline, up


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("station")


@pytest.fixture(scope="module")
def station(folder: Path) -> Iterator[Running]:
    with up(folder, "data") as started:
        yield started


def ask(folder: Path, station: Running, *arguments: str | Path, code: int = 0) -> list[Any]:
    """A command that asks this station; its lines."""
    return invoke(folder, *arguments, "--url", station.url, "--data-dir", "data", code=code)


def push(url: str, token: str, batch: Batch) -> int:
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return httpx.post(f"{url}/v1/batches", content=wire.encode(batch), headers=headers, timeout=10).status_code


def batch_of(device: str, seq: int, x: float) -> Batch:
    times = [1_790_000_000_000_000_000 + seq]
    return Batch(device, "session", seq, (Series.of("acceleration", times, {"x": [x], "y": [0.0], "z": [9.8]}),))


def test_the_first_start_tells_the_key_and_keeps_it_for_its_owner(folder: Path, station: Running) -> None:
    told = station.ready["operator_key"]
    file = folder / "data" / "operator.key"
    assert file.read_text().strip() == told
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert station.ready["pid"] == station.process.pid


def test_the_first_start_tells_the_password_of_the_admin_and_keeps_it(folder: Path, station: Running) -> None:
    told = station.ready["password"]
    file = folder / "data" / "admin.password"
    assert file.read_text().strip() == told
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert logged_in(station, "admin", told) == 200


def logged_in(station: Running, name: str, password: str) -> int:
    return httpx.post(f"{station.url}/v1/login", json={"name": name, "password": password}, timeout=10).status_code


def test_a_person_from_the_first_password_to_the_end(folder: Path, station: Running) -> None:
    (added,) = ask(folder, station, "person", "add", "ann", "--role", "operator")
    assert added.keys() == {"name", "password"}
    assert logged_in(station, "ann", added["password"]) == 200
    people = {person["name"]: person["role"] for person in ask(folder, station, "person", "list")}
    assert people == {"admin": "admin", "ann": "operator"}
    (given,) = ask(folder, station, "person", "password", "ann")
    assert logged_in(station, "ann", added["password"]) == 401
    assert logged_in(station, "ann", given["password"]) == 200
    ask(folder, station, "person", "add", "ann", code=1)
    ask(folder, station, "person", "remove", "ann", code=2)
    assert ask(folder, station, "person", "remove", "ann", "--yes") == [{"name": "ann", "removed": True}]
    assert logged_in(station, "ann", given["password"]) == 401
    ask(folder, station, "person", "remove", "admin", "--yes", code=1)


def test_a_device_from_its_first_token_to_its_end(folder: Path, station: Running) -> None:
    first, second = ask(folder, station, "device", "add", "one", "two", "--platform", "ios", "--standardised")
    assert (first["device"], second["device"]) == ("one", "two")
    assert first.keys() == {"device", "token"}
    assert push(station.url, first["token"], batch_of("one", 0, 1.0)) == 200
    (rotated,) = ask(folder, station, "device", "rotate", "one", "--overlap-s", "0")
    assert push(station.url, first["token"], batch_of("one", 1, 1.0)) == 401
    assert push(station.url, rotated["token"], batch_of("one", 1, 1.0)) == 200
    assert ask(folder, station, "device", "revoke", "one") == [{"device": "one", "revoked": 2}]
    assert push(station.url, rotated["token"], batch_of("one", 2, 1.0)) == 401
    listed = {device["device"]: device for device in ask(folder, station, "device", "list")}
    assert (listed["two"]["platform"], listed["two"]["standardised"]) == ("ios", True)
    assert all(token["revoked_ns"] for token in listed["one"]["tokens"])
    (deleted,) = ask(folder, station, "device", "delete", "one", "--yes")
    assert deleted["device"] == "one"
    assert "one" not in {device["device"] for device in ask(folder, station, "device", "list")}


def test_a_device_is_not_deleted_without_a_yes(folder: Path, station: Running) -> None:
    ask(folder, station, "device", "add", "precious")
    ask(folder, station, "device", "delete", "precious", code=2)
    assert "precious" in {device["device"] for device in ask(folder, station, "device", "list")}


def test_one_name_that_is_taken_does_not_keep_the_others_out(folder: Path, station: Running) -> None:
    ask(folder, station, "device", "add", "taken")
    added = ask(folder, station, "device", "add", "free-1", "taken", "free-2", code=1)
    assert [device["device"] for device in added] == ["free-1", "free-2"]


def test_add_shows_address_token_and_code(folder: Path, station: Running) -> None:
    arguments = ["device", "add", "shown", "--url", station.url, "--data-dir", "data", "--png", "{device}.png"]
    done = sensorline(folder, *arguments)
    assert f"{station.url}/v1/sensor-logger" in done.stdout
    assert "sl_" in done.stdout
    assert sum("█" in line for line in done.stdout.splitlines()) > 20
    assert "--public-url" in done.stderr  # no phone can reach loopback
    assert (folder / "shown.png").read_bytes().startswith(b"\x89PNG")
    assert stat.S_IMODE((folder / "shown.png").stat().st_mode) == 0o600


def test_the_key_is_found_in_the_order_flag_variable_file(folder: Path, station: Running) -> None:
    line = ["device", "list", "--json", "--url", station.url]
    right, wrong = station.ready["operator_key"], "slk_wrong"
    assert "operator's key" in sensorline(folder, *line, code=1).stderr  # none in ./var
    sensorline(folder, *line, "--data-dir", "data")
    sensorline(folder, *line, SENSORLINE_KEY=right)
    assert (
        "does not know this key" in sensorline(folder, *line, "--data-dir", "data", SENSORLINE_KEY=wrong, code=1).stderr
    )
    sensorline(folder, *line, "--key", right, SENSORLINE_KEY=wrong)


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "gpx", "geojson"])
def test_export_of_what_a_fleet_sent(folder: Path, station: Running, form: str) -> None:
    ledger = folder / "export.jsonl"
    if not ledger.exists():
        line = ["--devices", "2", "--seconds", "2", "--speed", "0", "--prefix", "ex", "--ledger", ledger]
        (told,) = ask(folder, station, "simulate", *line)
        assert told["sent"] == told["generated"] > 2_000
        (report,) = ask(folder, station, "verify", "--ledger", ledger)
        assert report["stored"] == told["sent"]
        assert [report[name] for name in ("lost_acked", "dup_stored", "corrupt", "unaccounted")] == [0, 0, 0, 0]
    out = folder / f"ex.{form}"
    (told,) = ask(folder, station, "export", "--device", "ex-0000", "--format", form, "--out", out)
    assert told["size_bytes"] == out.stat().st_size > 200
    assert not out.with_name(out.name + ".part").exists()


def test_export_to_standard_output(folder: Path, station: Running) -> None:
    ask(folder, station, "device", "add", "piped")
    line = ["export", "--device", "piped", "--out", "-", "--url", station.url, "--data-dir", "data"]
    assert sensorline(folder, *line).stdout.startswith('"sensor","session"')


def test_a_file_that_cannot_be_written_leaves_nothing(folder: Path, station: Running) -> None:
    line = ["backup", folder / "nowhere" / "b.zst", "--url", station.url, "--data-dir", "data"]
    assert "cannot be written" in sensorline(folder, *line, code=1).stderr
    failed = sensorline(folder, "export", "--device", "nobody", "--url", station.url, "--data-dir", "data", code=1)
    assert "nobody" in failed.stderr
    assert list(folder.glob("nobody*")) == []


def test_verify_finds_what_was_tampered_with(folder: Path, station: Running) -> None:
    """A ledger that says other than what was sent must not verify."""
    ledger = folder / "tampered.jsonl"
    fleet = ["--devices", "1", "--seconds", "2", "--speed", "0", "--prefix", "ta"]
    ask(folder, station, "simulate", *fleet, "--ledger", ledger)
    ask(folder, station, "verify", "--ledger", ledger)
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    handed = [line for line in lines if "hash" in line]
    handed[0]["hash"] = "0" * 32
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (report,) = ask(folder, station, "verify", "--ledger", ledger, "--wait", "0", code=1)
    assert report["corrupt"] == handed[0]["readings"]
    ended = next(line for line in lines if line.get("end") == "acknowledged")
    never = {**handed[0], "seq": 99}
    ledger.write_text("".join(json.dumps(line) + "\n" for line in [*lines, never, {**ended, "seq": 99}]))
    (report,) = ask(folder, station, "verify", "--ledger", ledger, "--wait", "0", code=1)
    assert report["lost_acked"] == report["unaccounted"] == never["readings"]


def test_a_fleet_with_tokens_needs_no_key(folder: Path, station: Running) -> None:
    tokens = folder / "tokens.jsonl"
    added = ask(folder, station, "device", "add", "tk-0", "tk-1")
    tokens.write_text("".join(json.dumps(device) + "\n" for device in added))
    line = ["--devices", "2", "--seconds", "1", "--speed", "0", "--tokens", tokens, "--ledger", folder / "t.jsonl"]
    (told,) = invoke(folder, "simulate", *line, "--url", station.url)
    assert told["sent"] == told["generated"] > 1_000


def test_a_second_station_cannot_have_the_data(folder: Path, station: Running) -> None:
    refused = sensorline(folder, "up", "--port", "0", "--data-dir", "data", code=1)
    assert f"process {station.process.pid}" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_doctor_sees_the_running_station(folder: Path, station: Running) -> None:
    port = station.url.rpartition(":")[2]
    lines = sensorline(folder, "doctor", "--json", "--data-dir", "data", "--port", port).stdout.splitlines()
    assert any(f["check"] == "station" and f["level"] == "ok" for f in map(json.loads, lines))


def test_a_path_that_leads_nowhere_is_said_plainly(station: Running) -> None:
    with Api(f"{station.url}/elsewhere", station.ready["operator_key"]) as api, pytest.raises(NotFound):
        api.devices()


def test_an_answer_of_another_kind_is_no_stations() -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>a captive portal</html>"))
    with Api("http://example.org", None, transport=page) as api, pytest.raises(Refused, match="--url"):
        api.stats()


def test_waiting_for_a_station_has_an_end() -> None:
    with Api("http://127.0.0.1:1", None) as api, pytest.raises(Unreachable):
        api.wait_until_up(0.3)


def test_a_conflict_is_listed_and_replayed(tmp_path: Path) -> None:
    """The same id with other content, sent when the gateway has forgotten the first: only the store still knows."""
    with up(tmp_path, "data") as station:
        (added,) = ask(tmp_path, station, "device", "add", "pi")
        assert push(station.url, added["token"], batch_of("pi", 7, 1.0)) == 200
    with up(tmp_path, "data", "--set", "gateway.limits.requests_burst=100") as station:
        assert station.ready["operator_key"] is None  # told once
        status = push(station.url, added["token"], batch_of("pi", 7, 2.0))
        if status == 409:
            pytest.fail("the gateway remembers beyond a restart: this test must find another way to a dead letter")
        assert status == 200
        letters: list[Any] = []
        while not letters:
            letters = ask(tmp_path, station, "deadletters", "list")
        assert [(m["reason"], m["key"], m["seq"], m["replayed"]) for m in letters] == [("conflict", "pi", 7, False)]
        assert ask(tmp_path, station, "deadletters", "replay", letters[0]["id"]) == [
            {"replayed": 1, "skipped": 0, "left": 0}
        ]
        (before,) = [m for m in ask(tmp_path, station, "deadletters", "list") if m["id"] == letters[0]["id"]]
        assert before["replayed"] is True
        (done,) = ask(tmp_path, station, "deadletters", "replay", letters[0]["id"])
        assert (done["replayed"], done["skipped"]) == (0, 1)
        ask(tmp_path, station, "deadletters", "replay", code=2)
