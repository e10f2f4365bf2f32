"""What a person is told: how long there is room, how often the card is written to, which news is the latest."""

from pathlib import Path

from edge import status
from edge.gauge import EVERY_S, WINDOW_S, Gauge, Rates
from edge.sender import News
from edge.settings import SpoolSettings
from edge.spooled import Depth, Lane
from telemetry.batch import BatchId


def test_rates_are_of_the_last_minutes() -> None:
    gauge = Gauge()
    assert gauge.rates(0, 0, 0) == Rates()
    size_bytes = commits = 0
    for second in range(1000):
        gauge.look(float(second), size_bytes, commits)
        growth = 10 if second < 500 else 1000
        size_bytes, commits = size_bytes + growth, commits + (second % 5 == 0)
    rates = gauge.rates(1000.0, size_bytes, commits)
    assert rates.growth_bytes_per_s == 1000
    assert rates.writes_per_minute is not None
    assert abs(rates.writes_per_minute - 12) < 0.5
    assert rates.hours_left(3_600_000) == 1.0


def test_a_spool_that_empties_is_never_full_and_a_first_look_knows_nothing() -> None:
    gauge = Gauge()
    gauge.look(0.0, 1000, 0)
    assert gauge.rates(EVERY_S / 2, 2000, 1) == Rates()
    emptying = gauge.rates(WINDOW_S, 0, 9)
    assert emptying.growth_bytes_per_s is not None
    assert emptying.growth_bytes_per_s < 0
    assert emptying.hours_left(10**9) is None


def test_room_ends_where_the_disk_does(tmp_path: Path) -> None:
    depth = Depth(batches=3, readings=30, size_bytes=5000, oldest_put_ns=10**9)
    roomy = SpoolSettings(size_bytes_max=2**20, disk_free_bytes_min=0)
    said = status.spool(depth, roomy, tmp_path, 61 * 10**9, Rates(100.0, 12.0))
    assert said["room_bytes"] == 2**20 - 5000
    assert said["oldest_age_s"] == 60.0
    assert said["hours_left"] == (2**20 - 5000) / 100 / 3600
    tight = SpoolSettings(size_bytes_max=2**20, disk_free_bytes_min=2**60)
    assert status.spool(depth, tight, tmp_path, 61 * 10**9, Rates(100.0, 12.0))["hours_left"] == 0


def test_the_latest_receipt_and_error_of_both_lanes_and_any_alarm() -> None:
    live, backlog = News(), News()
    assert status.lanes({Lane.LIVE: live, Lane.BACKLOG: backlog})["last_receipt"] is None
    live.last_receipt, live.last_receipt_ns = BatchId("pi", "01A", 3), 5
    backlog.last_receipt, backlog.last_receipt_ns = BatchId("pi", "019", 8), 7
    live.last_error, live.last_error_ns = "503 log_unavailable", 9
    backlog.alarm = "401 unauthorised"
    said = status.lanes({Lane.LIVE: live, Lane.BACKLOG: backlog})
    assert said["last_receipt"] == {"at_ns": 7, "session": "019", "seq": 8}
    assert said["last_error"] == {"at_ns": 9, "text": "503 log_unavailable"}
    assert said["alarm"] == "401 unauthorised"
