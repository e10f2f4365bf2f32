"""The agent is killed with -9 at every named failpoint and at random, the gateway meanwhile: four zeros, and a replay
that goes on by its cursor skips no reading and brings none twice."""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from simulator.ledger import End
from tests.journey.edge_site import (
    Edge,
    Recording,
    Station,
    acknowledged,
    assert_replayed_once,
    edge,
    eventually,
    four_zeros,
    readings,
    station,
)
from tests.sensorline.program import invoke

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

FAILPOINTS = {
    "edge.opened": 1,
    "edge.before_commit": 4,
    "edge.after_commit": 4,
    "edge.before_send": 6,
    "edge.before_free": 6,
    "edge.after_free": 3,
    "edge.after_answer": 6,  # last: what the next run is told shows what this one left
}
OF_SETTINGS = ["edge.remote_before_sync", "edge.remote_before_replace", "edge.remote_after_replace"]
ROOT = Path(__file__).parents[2]
CRASH = "crash_before_commit"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with station(tmp_path_factory.mktemp("site")) as running_:
        yield running_


def test_every_failpoint_of_the_edge_is_in_a_list_here() -> None:
    root = Path(__file__).parents[2] / "edge"
    named = {
        name for file in root.rglob("*.py") for name in re.findall(r"passing\(\s*f?[\"'](.+?)[\"']", file.read_text())
    }
    assert {name for name in named if name.startswith("edge.")} == {*FAILPOINTS, *OF_SETTINGS}


def test_every_failpoint_then_four_zeros_and_the_replay_exactly_once(running: Station, tmp_path: Path) -> None:
    recording = Recording.write(tmp_path / "walk.csv", 6_000)
    with edge(running, tmp_path, device="pi-named", recording=recording, speed=8) as pi:
        for wanted, name in enumerate(OF_SETTINGS, 1):
            change = f"batch_period_s={0.05 + wanted / 100}"
            invoke(tmp_path, "device", "settings", pi.device, "--set", change, *running.where)
            pi.start({name: 1})
            pi.wait_killed()
        for name, count in FAILPOINTS.items():
            pi.start({name: count})
            pi.wait_killed()
        pi.start()
        last = pi.delivered()
        assert last["sources"]["drive"]["readings"] > 0, "the replay was over before the last kill"
        report = four_zeros(running, pi)
        assert last["settings"].startswith("0 failed=3 "), "settings under which it ends twice are given up"
        duplicates = sum(lane["duplicates"] for lane in last["lanes"].values())
        assert duplicates == 1, "killed behind an answer, it sends again, and is told that it is there"
        assert report["dropped"] == readings(pi.handed(), End.DROPPED, CRASH) > 0, "killed before its commit"
        assert len({batch.id.session for batch in pi.handed()}) > len(FAILPOINTS), "a session a start"
        assert_replayed_once(running, pi.device, recording)


@pytest.mark.real  # takes half a minute, most of it the edge's own patience with a gateway that is away
def test_three_kills_of_the_agent_and_two_of_the_gateway_at_any_time_then_four_zeros(
    running: Station, tmp_path: Path
) -> None:
    recording, random = Recording.write(tmp_path / "walk.csv", 5_000), Random(4)
    with edge(running, tmp_path, device="pi-random", recording=recording, speed=10) as pi:
        pi.start()
        for kill in ("edge", "gateway", "edge", "gateway", "edge"):
            more = random.randint(3, 12)
            if kill == "edge":
                wait_for_batches(pi, more)
                pi.kill()
                pi.start()
            else:
                pi.until(lambda status: acknowledged(status) > 0)
                wait_for_batches(pi, more)
                running.process.kill()
                wait_for_batches(pi, more)  # it spools meanwhile
                running.process.start({"gateway.after_append": more})  # and once more, behind a write
                running.process.wait_killed(30)
                running.process.start()
        pi.delivered()
        report = four_zeros(running, pi)
        assert report["duplicates_delivered"] > 0, "a gateway that died behind its write is sent the same again"
        assert_replayed_once(running, pi.device, recording)


def wait_for_batches(pi: Edge, more: int) -> None:
    """Until it has handed over so many more: something is on its way right now."""
    before = len(pi.handed())
    eventually(lambda: len(pi.handed()) >= before + more, pi.log_tail)
