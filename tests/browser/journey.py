"""The journey of somebody who opens the dashboard for the first time: the same on every engine."""

import re
import time
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.browser.world import Station, person, visit

FOUND_WAIT_S = 150.0
LOOK_AGAIN_MS = 500
SETTLED_S = 10
SHORT_S, APART_S = 10, 5  # with so much on both sides of it, its mark and the next one's have room on the chart
NOTE = "seen on the first look"
SPEED_M_S_MIN = 0.8
SLOW_MS = 40_000  # a store that shares two cores with a Kafka, an Elasticsearch and a browser


def dashboard_journey(browser: Browser, at: Station) -> None:
    """Log in, see devices move, open a chart, zoom, see a marked anomaly, confirm it, see the label in the API.

    The station has a fleet of `demo-...` devices with disturbances.
    """
    page = person(browser, at)
    page.set_default_timeout(SLOW_MS)
    wrong: list[str] = []
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.on("console", lambda m: wrong.append(m.text) if "Content Security" in m.text else None)
    _sees_the_fleet(page)
    _sees_a_device_move(page, _moving(page, at))
    one = _found(page, at)
    _opens_a_chart_and_zooms(page, one["device"])
    _sees_it_marked(page, one)
    _confirms_it(page, at, one)
    assert wrong == []
    page.context.close()


def _sees_the_fleet(page: Page) -> None:
    visit(page, "")
    expect(page.get_by_role("link", name="demo-0000", exact=True)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Live", exact=True).first).to_be_visible(timeout=SLOW_MS)


def _moving(page: Page, at: Station) -> str:
    """A device that goes somewhere: some stand still."""
    until_s = time.monotonic() + FOUND_WAIT_S
    while time.monotonic() < until_s:
        for one in _asked(at, "/v1/latest", sensor="location")["latest"]:
            if one["values"].get("speed", 0) > SPEED_M_S_MIN:
                return str(one["device"])
        page.wait_for_timeout(LOOK_AGAIN_MS)
    raise AssertionError("no device moves")


def _sees_a_device_move(page: Page, device: str) -> None:
    visit(page, f"map?device={device}")
    popup = page.locator(".leaflet-popup")
    place = re.compile(r"(\d+\.\d{5}° [NS], \d+\.\d{5}° [EW])")
    expect(popup).to_contain_text(place, timeout=SLOW_MS)
    before = place.search(popup.inner_text())
    assert before is not None
    expect(popup).not_to_contain_text(before[1], timeout=SLOW_MS)


def _found(page: Page, at: Station) -> dict[str, Any]:
    """A short anomaly that is over and stands alone, as soon as there is one: marks that touch each other are one."""
    until_s = time.monotonic() + FOUND_WAIT_S
    while time.monotonic() < until_s:
        found: list[dict[str, Any]] = _asked(at, "/v1/anomalies")["anomalies"]
        settled_ns = time.time_ns() - SETTLED_S * 10**9  # what else happened then has been found too
        for one in found:
            is_short = one["end_ns"] - one["start_ns"] < SHORT_S * 10**9
            is_over = not one["open"] and one["end_ns"] < settled_ns
            if is_short and is_over and not any(_is_near(one, other) for other in found):
                return one
        page.wait_for_timeout(LOOK_AGAIN_MS)
    raise AssertionError(f"nothing was found in {FOUND_WAIT_S:g} s")


def _is_near(one: dict[str, Any], other: dict[str, Any]) -> bool:
    is_other = one["id"] != other["id"] and one["device"] == other["device"]
    return is_other and abs(one["start_ns"] - other["start_ns"]) < APART_S * 10**9


def _opens_a_chart_and_zooms(page: Page, device: str) -> None:
    page.evaluate("window.drawn = 0; document.addEventListener('sensorline:drawn', () => window.drawn++)")
    visit(page, f"device/{device}?sensor=acceleration")
    page.wait_for_selector(".explorer .u-over")
    page.get_by_role("button", name="Follow the last 30 s").click()
    page.wait_for_function("() => window.drawn > 2")  # live rows come and are drawn
    page.get_by_role("button", name="Look at 1 min").click()
    expect(page.locator(".where")).to_contain_text(": 60 s")
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator(".where")).to_contain_text(": 30 s")


def _sees_it_marked(page: Page, one: dict[str, Any]) -> None:
    """The chart is taken to it, and the summary for who cannot see says that it is there."""
    around_ms = (one["start_ns"] / 1e6 - 8_000, one["end_ns"] / 1e6 + 8_000)
    visit(page, f"device/{one['device']}?sensor=acceleration&from={around_ms[0]:.0f}&to={around_ms[1]:.0f}")
    page.wait_for_selector(".explorer .u-over")
    mark = page.locator(f'.explorer a[href*="{one["id"]}"]')
    expect(mark).to_have_count(1, timeout=SLOW_MS)
    expect(mark).to_be_visible()
    mark.click()
    page.wait_for_selector(".details h2")


def _confirms_it(page: Page, at: Station, one: dict[str, Any]) -> None:
    assert one["id"] in page.url
    page.get_by_label("Note").fill(NOTE)
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator(".said")).to_contain_text("Confirmed by admin")
    label = _asked(at, f"/v1/anomalies/{one['id']}")["label"]
    assert (label["verdict"], label["note"], label["by"]) == ("real", NOTE, "admin")


def _asked(at: Station, path: str, **params: Any) -> Any:
    answer = httpx.get(f"{at.url}{path}", params=params, headers={"authorization": f"Bearer {at.key}"}, timeout=40)
    return answer.raise_for_status().json()
