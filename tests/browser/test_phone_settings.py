"""The settings that a station hands down in its receipts, on the phone page: taken up, reported, kept."""

from typing import Any

import httpx
from playwright.sync_api import Browser

from tests.browser.phone_world import Phone, get, phone, readings
from tests.browser.world import Station


def put(one: Phone, changes: dict[str, Any]) -> None:
    """Want these, as the operator."""
    url = f"{one.at.url}/v1/devices/{one.device}/settings"
    answer = httpx.put(url, json=changes, headers={"authorization": f"Bearer {one.at.key}"}, timeout=20)
    assert answer.status_code == 200, answer.text


def reported(one: Phone) -> dict[str, Any]:
    """What the device said last; reports reach the station's log no oftener than every ten seconds."""
    said: dict[str, Any] = get(one.at, f"/v1/devices/{one.device}/settings").get("reported", {})
    return said


def test_a_phone_takes_up_what_its_station_wants_and_reports_it(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-settings") as one:
        one.enrol()
        put(one, {"batch_period_s": 2.0, "sources": {"location": {"enabled": False}, "gyroscope": {"enabled": False}}})
        one.start()
        row = one.page.locator("[data-sensor=location]")
        one.move_until(lambda: "off, by the station" in row.inner_text(), "the first receipt brings them")
        one.page.get_by_text("What is recorded is at the station 2.0 s later.").wait_for()
        session, seq = max((made["session"], made["seq"]) for made in one.rows("made"))
        one.record(3)
        later = [m["body"] for m in one.rows("made") if m["session"] == session and m["seq"] > seq + 1]
        assert later
        assert not [body for body in later if '"gyroscope"' in body or '"location"' in body]
        assert all('"acceleration"' in body for body in later)

        put(one, {"sources": {"imu": {"enabled": True}}})
        one.move_until(lambda: reported(one).get("failed") == 2, "what a browser lacks is reported", 40_000)
        assert reported(one)["in_force"] == 1
        assert "no source imu" in reported(one)["reason"]

        one.stop()
        one.wait_drained()
        one.page.reload()
        one.page.wait_for_selector("#toggle:visible")
        assert "off, by the station" in one.page.locator("[data-sensor=gyroscope]").inner_text(), "kept over a reload"
        put(one, {})
        before = readings(phone_station, "phone-settings", "location")["rows"]
        one.start()
        one.move_until(
            lambda: readings(phone_station, "phone-settings", "location")["rows"] > before, "its own again", 40_000
        )
        one.stop()
        one.wait_drained()
        assert one.ends() == {"acknowledged"}
