"""Mosquitto is killed with -9 under a running edge, with what it persists and without: four zeros, for the gateway's
receipt frees the spool and not the broker's word."""

from pathlib import Path

import pytest

from tests.faults.mosquitto import mosquitto
from tests.journey.edge_site import Recording, acknowledged, assert_replayed_once, edge, four_zeros, station

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
KILLS = 2


@pytest.mark.parametrize("persistence", [True, False], ids=["persistent", "forgetful"])
def test_a_broker_that_is_killed_loses_nothing(tmp_path: Path, *, persistence: bool) -> None:
    recording = Recording.write(tmp_path / "walk.csv", 4_000)
    with (
        mosquitto(tmp_path, persistence=persistence) as broker,
        station(tmp_path, f"gateway.mqtt.url={broker.url}") as running,
        edge(running, tmp_path, recording=recording, speed=8, url=broker.url) as pi,
    ):
        pi.start()
        for kill in range(1, KILLS + 1):
            pi.acknowledged(kill * 500)
            broker.kill()
            before = acknowledged(pi.status())
            waiting = pi.until(lambda status: status["spool"]["batches"] > 5)
            assert acknowledged(waiting) <= before + 100, "a batch was freed without a broker"
            broker.start()
        last = pi.delivered()
        assert sum(lane["tries_failed"] for lane in last["lanes"].values()) >= KILLS
        report = four_zeros(running, pi)
        assert report["stored"] == report["generated"], "nothing was dropped, set aside or left"
        assert_replayed_once(running, pi.device, recording)
