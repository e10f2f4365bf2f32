"""Completeness: a session's gaps are told, with their numbers."""

import re

from playwright.sync_api import Browser, expect

from tests.browser.inbox_world import GAPPY, Inbox, flaws, is_narrow_enough, opened
from tests.browser.world import shots


def test_a_session_with_gaps_comes_first_and_names_them(browser: Browser, inbox: Inbox) -> None:
    with opened(browser, inbox, "completeness") as page:
        first = page.locator(".session").first
        expect(first.locator("h2")).to_have_text("double")
        expect(first).to_contain_text("Missing numbers: 3\N{EN DASH}4, 6\N{EN DASH}8")
        expect(first).to_contain_text("5 batches")
        expect(first).to_contain_text(f"14 readings in {len(GAPPY)} batches")
        expect(first.get_by_role("img")).to_have_attribute("aria-label", "received 58 %, missing 42 %")
        expect(page.locator(".session").nth(3)).to_be_visible()  # the fleet's
        shots(page, "completeness")
        page.get_by_text("What the words mean").click()
        expect(page.get_by_text("Batches that came again; nothing is stored twice.")).to_be_visible()
        assert flaws(page) == []
        assert is_narrow_enough(page)


def test_one_device_by_the_address(browser: Browser, inbox: Inbox) -> None:
    with opened(browser, inbox, "completeness?device=double&sort=time") as page:
        expect(page.locator(".session")).to_have_count(1)
        expect(page.get_by_label("Order")).to_have_value("time")
        page.get_by_label("Device").select_option("")
        expect(page.locator(".session").nth(3)).to_be_visible()
        expect(page.locator(".session h2").first).not_to_have_text("double")  # the fleet still sends
        expect(page).to_have_url(re.compile(r"#/completeness\?sort=time$"))
        page.evaluate(
            "window.__shift = 0"
        )  # a driver's choice is no input of a person's, and others came before the one


def test_a_device_without_sessions_says_what_to_do(browser: Browser, inbox: Inbox) -> None:
    inbox.client.post("/v1/devices", json={"device": "mute"})
    with opened(browser, inbox, "completeness?device=mute") as page:
        expect(page.locator(".empty h2")).to_have_text("Nothing came of mute yet")
        expect(page.get_by_role("link", name="Set a device up")).to_be_visible()
        shots(page, "completeness-empty")
