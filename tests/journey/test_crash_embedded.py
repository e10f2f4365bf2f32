"""The one process of the embedded engine is killed with -9, at random and at every named failpoint: four zeros."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journey.processes import Process, assert_four_zeros, fleet, free_port

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

FAILPOINTS = {
    "gateway.before_append": 7,
    "gateway.after_append": 7,
    "log.before_commit": 5,
    "log.after_commit": 5,
    "index.before_flush": 2,
    "store.before_commit": 2,
    "store.after_commit": 2,
    "index.after_flush": 2,
    "index.after_commit": 2,
    "ledger.before_flush": 2,
    "ledger.after_flush": 2,
    "ledger.after_commit": 2,
}


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Process]:
    port = free_port()
    process = Process(
        ["up", "--data-dir", str(tmp_path / "data"), "--port", str(port)],
        f"http://127.0.0.1:{port}/readyz",
        tmp_path / "up.log",
    )
    try:
        yield process
    finally:
        if process.popen and process.popen.poll() is None:
            process.popen.kill()


def test_every_failpoint_then_four_zeros(station: Process, tmp_path: Path) -> None:
    station.start()
    url = station.ready_url.removesuffix("/readyz")
    with fleet(url, tmp_path / "data", devices=5) as running:
        for name, count in FAILPOINTS.items():
            station.kill()
            station.start({name: count})
            station.wait_killed(45)
        station.start()
        running.finish(120)
        assert_four_zeros(running.verify())


def test_three_kills_at_any_time_then_four_zeros(station: Process, tmp_path: Path) -> None:
    station.start()
    url = station.ready_url.removesuffix("/readyz")
    with fleet(url, tmp_path / "data", devices=20, seconds=10) as running:
        for _ in range(3):
            wait_for_more_readings(url, tmp_path)
            station.kill()
            station.start()
        result = running.wait(120)
        assert result["sent"] > 20 * 5 * 300
        assert_four_zeros(running.verify())
    assert station.stop() < 10, "SIGTERM ends it within 10 s"


def wait_for_more_readings(url: str, tmp_path: Path) -> None:
    """Until the ledger of the fleet has grown: something is on its way right now."""
    import time

    ledger = tmp_path / "ledger.jsonl"
    size = ledger.stat().st_size if ledger.exists() else 0
    deadline_s = time.monotonic() + 30
    while (ledger.stat().st_size if ledger.exists() else 0) <= size + 4_000:
        assert time.monotonic() < deadline_s, "the fleet hands nothing over"
        time.sleep(0.02)
