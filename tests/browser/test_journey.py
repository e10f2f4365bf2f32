"""The whole of it on the embedded engine: a person at the dashboard, and a phone that only has its browser."""

from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.journey import dashboard_journey
from tests.browser.world import fleet, station


def test_a_person_sees_what_their_devices_are_doing(browser: Browser, tmp_path: Path) -> None:
    with station(tmp_path) as at, fleet(at, devices=2, disturb="fall,stuck", a_minute=6):
        dashboard_journey(browser, at)
