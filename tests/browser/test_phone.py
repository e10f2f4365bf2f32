"""The phone page as an edge: from a code to `sensorline verify`, through outages, refusals and a full spool."""

from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.phone_world import phone_journey
from tests.browser.world import Station
from tests.journey.processes import assert_four_zeros


def test_a_phone_loses_nothing_without_network_page_or_station(
    browser: Browser, phone_station: Station, tmp_path: Path
) -> None:
    report = phone_journey(browser, phone_station, tmp_path / "ledger.jsonl")
    assert_four_zeros(report)
    assert report["generated"] == report["sent"]
