"""The demo as a person runs it, and as a machine does."""

import json
import signal
import subprocess
from pathlib import Path

from tests.sensorline.program import PROGRAM, WAIT_S, answer, environment, sensorline

FIGURES = ("lost_acked", "dup_stored", "corrupt", "unaccounted")


def test_for_a_machine_every_line_is_json_and_the_last_one_proves_it(tmp_path: Path) -> None:
    done = sensorline(tmp_path, "demo", "--for", "3", "--devices", "4", "--json")
    first, *samples, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["url"].startswith("http://127.0.0.1:")
    assert samples
    assert [last["injected"], last["found"]] == [0, 0], "too short to know what is usual"
    assert samples[-1]["stored"] <= samples[-1]["sent"] + samples[-1]["pending"]
    assert [last[name] for name in FIGURES] == [0, 0, 0, 0]
    assert last["stored"] == last["sent"] > 4 * 3 * 500
    assert not Path(first["key_file"]).parent.exists()  # the temporary folder went with it


def test_for_a_person_readings_are_seen_arriving(tmp_path: Path) -> None:
    done = sensorline(tmp_path, "demo", "--for", "2", "--devices", "2", "--data-dir", "kept")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Station at http://127.0.0.1:")
    url, password = lines[0].split()[2], (tmp_path / "kept" / "admin.password").read_text().strip()
    assert lines[1] == f"Log in at {url} as admin with {password}"
    assert lines[2].split() == ["second", "sent", "stored", "stored/s", "lag,", "records"]
    assert lines[-1].startswith("sent ")
    assert "lost 0  doubled 0  corrupt 0  unaccounted 0" in lines[-1]
    assert (tmp_path / "kept" / "operator.key").exists()


def test_what_befalls_its_devices_is_found_and_explained(tmp_path: Path) -> None:
    done = sensorline(tmp_path, "demo", "--for", "21", "--devices", "4", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = [line["anomaly"] for line in lines if "anomaly" in line]
    ours = {one["injected"]: one for one in found if one["injected"]}
    assert {kind: one["kind"] for kind, one in ours.items()} == {k: k for k in ("fall", "pothole", "stuck")}
    for one in ours.values():
        assert "usual" in one["words"]
        assert one["delay_s"] < 10, "about 1 s on a machine that has nothing else to do"
    assert len(found) <= 4
    assert (lines[-1]["injected"], lines[-1]["found"]) == (3, 3)


def test_ctrl_c_ends_the_fleet_and_still_proves_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [PROGRAM, "demo", "--devices", "2", "--json"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("stored"):
            process.send_signal(signal.SIGINT)
            break
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(WAIT_S) == 0
    last = json.loads(rest.splitlines()[-1])
    assert last["stored"] == last["sent"] > 0
    assert [last[name] for name in FIGURES] == [0, 0, 0, 0]


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [PROGRAM, "up", "--json", "--port", "0", "--data-dir", "a"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert first.stdout is not None
        port = json.loads(first.stdout.readline())["url"].rpartition(":")[2]
        refused = sensorline(tmp_path, "demo", "--for", "1", "--port", port, code=1)
        assert port in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    finally:
        first.terminate()
        first.wait(WAIT_S)
        if first.stdout is not None:
            first.stdout.close()


def test_the_settings_of_another_station_do_not_leak_into_it(tmp_path: Path) -> None:
    (tmp_path / "sensorline.toml").write_text("log = 'kafka'\nstore = 'elasticsearch'\n[gateway]\nhost = '0.0.0.0'\n")
    last = answer(sensorline(tmp_path, "demo", "--for", "1", "--devices", "1", "--json"))
    assert last["stored"] == last["sent"] > 0
