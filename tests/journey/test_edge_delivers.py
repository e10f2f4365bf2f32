"""An edge with the sources `system` and `replay` delivers over HTTP and over a real Mosquitto, and a newcomer's six
commands make one: four zeros on all ways."""

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.mosquitto import programs
from tests.journey.edge_site import (
    RUN,
    Edge,
    Recording,
    Station,
    assert_replayed_once,
    edge,
    four_zeros,
    station,
    stored,
)
from tests.journey.processes import free_port
from tests.sensorline.program import invoke, sensorline
from tests.sensorline.test_mqtt_init import started

READINGS = 4_000
NO_TIME_SERVICE = "unsynchronised_wait_s = 0.0"  # a machine of tests may have none: it would hold readings back for it


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording.write(tmp_path_factory.mktemp("recording") / "walk.csv", READINGS)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Station, str]]:
    """A station that is subscribed at a broker, whose accounts it keeps; and that broker's URL."""
    programs()
    folder = tmp_path_factory.mktemp("site")
    (made,) = invoke(folder, "mqtt", "init", "--port", str(free_port()), "--folder", "broker")
    sets = [f"gateway.mqtt.{name}={made[name]}" for name in made if name not in ("configuration", "file")]
    with started(Path(made["configuration"])), station(folder, *sets) as running:
        yield running, made["url"]


def assert_all_is_there(running: Station, pi: Edge, recording: Recording) -> None:
    """The recording, and every reading of the machine itself that was handed over."""
    report = four_zeros(running, pi)
    assert report["stored"] == report["sent"] == report["generated"]
    assert_replayed_once(running, pi.device, recording)
    assert stored(running, pi.device, "system").num_rows == report["stored"] - len(recording) > 0


@pytest.mark.parametrize("way", ["http", "mqtt"])
def test_system_and_replay_over(way: str, site: tuple[Station, str], recording: Recording, tmp_path: Path) -> None:
    running, broker_url = site
    url = broker_url if way == "mqtt" else running.url
    with edge(running, tmp_path, device=f"pi-{way}", recording=recording, speed=20, url=url) as pi:
        pi.program = RUN
        pi.start()
        last = pi.delivered()
        assert (last["transport"], last["sources"]["drive"]["readings"]) == (way, READINGS)
        assert last["spool"]["dropped"] == last["spool"]["aside"] == {}
        assert_all_is_there(running, pi, recording)


def test_a_newcomer_makes_an_edge_with_six_commands(site: tuple[Station, str], tmp_path: Path) -> None:
    """As they are typed; what one prints is what the next one takes."""
    running, _ = site
    offered = sensorline(tmp_path, "device", "code", "pi-new", *running.where).stdout
    (typed,) = re.findall(r"sensorline (edge enroll \S+ \S+)", offered)
    home = tmp_path / "pi"
    home.mkdir()
    sensorline(home, "edge", "init", "--yes", "--device", "pi-new", "--url", running.url)
    assert "no token" in sensorline(home, "edge", "check", code=1).stdout
    assert "pi-new" in sensorline(home, *typed.split()).stdout
    assert stat.S_IMODE((home / "edge.token").stat().st_mode) == 0o600
    assert "code" in sensorline(home, *typed.split(), code=1).stderr, "a code is good once"
    checked = sensorline(home, "edge", "check").stdout
    assert all(word in checked for word in ("connection", "system", "token")), checked
    text = (home / "edge.toml").read_text()
    (home / "edge.toml").write_text(text.replace("# unsynchronised_wait_s = 120.0", NO_TIME_SERVICE))
    sensorline(home, "edge", "run", "--for", "3", "--ledger", "edge.jsonl")
    shown = sensorline(home, "edge", "status", code=1)
    assert "0 batches" in shown.stdout
    assert "no agent runs" in shown.stderr
    report = json.loads(sensorline(tmp_path, "verify", "--ledger", "pi/edge.jsonl", *running.where, "--json").stdout)
    four = [report[name] for name in ("lost_acked", "dup_stored", "corrupt", "unaccounted")]
    assert (four, report["stored"]) == ([0, 0, 0, 0], report["sent"])
    assert stored(running, "pi-new", "system").num_rows == report["stored"] > 0
