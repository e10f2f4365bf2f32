"""The page of devices: enrol one by a QR code, send with what it was given, give it settings, revoke, delete."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.world import Station, axe, person, shots, station, visit
from tests.gateway.gateway_world import batch


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station without devices."""
    with station(tmp_path_factory.mktemp("devices"), "--set", "detect.enabled=false") as made:
        yield made


@pytest.fixture
def page(browser: Browser, at: Station) -> Iterator[Page]:
    """An admin's."""
    made = person(browser, at)
    wrong: list[str] = []
    made.on("pageerror", lambda e: wrong.append(str(e)))
    made.on("console", lambda m: wrong.append(m.text) if m.type == "error" and "Content Security" in m.text else None)
    yield made
    made.context.close()
    assert wrong == []


def add(page: Page, name: str, kind: str) -> None:
    visit(page, "devices")
    page.get_by_role("link", name="Add a device").first.click()
    page.get_by_label("Its name").fill(name)
    page.get_by_text(kind).click()
    page.get_by_role("button", name="Add it").click()


def said(page: Page, label: str) -> str:
    return page.locator(".copyable", has=page.get_by_text(label, exact=True)).locator(".secret").inner_text()


def test_the_first_thing_one_reads_is_what_to_do(page: Page) -> None:
    visit(page, "devices")
    if page.get_by_text("No device yet").count():
        shots(page, "devices-empty")
    expect(page.get_by_role("link", name="Add a device").first).to_be_visible()
    assert axe(page) == []


def test_a_phone_is_enrolled_by_the_code_that_is_drawn(page: Page, at: Station) -> None:
    add(page, "anna-phone", "A phone, with this station's page")
    expect(page.get_by_role("img", name=re.compile("QR code"))).to_be_visible()
    shots(page, "devices-way")
    assert axe(page) == []
    enrolled = httpx.post(f"{at.url}/v1/enroll", json={"code": said(page, "Code")}).json()
    assert enrolled["device"] == "anna-phone"
    address = page.get_by_role("link", name="Open on this device").get_attribute("href")
    assert address == f"{at.url}/phone#code={said(page, 'Code')}"


def test_a_token_sends_until_it_is_revoked(page: Page, at: Station) -> None:
    add(page, "my-program", "Something else")
    page.get_by_text("shown this once").wait_for()
    bearer = {"authorization": f"Bearer {said(page, 'Token')}"}

    def send(seq: int) -> int:
        return httpx.post(f"{at.url}/v1/batches", content=batch("my-program", seq), headers=bearer).status_code

    assert send(0) == 200
    visit(page, "devices/of/my-program")
    page.get_by_role("button", name=re.compile("Revoke token")).click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.get_by_text(re.compile("revoked "))).to_be_visible()
    assert send(1) == 401


def test_settings_are_given_and_reach_the_api(page: Page, at: Station) -> None:
    add(page, "pi", "A Raspberry Pi")
    code = said(page, "Then").rpartition(" ")[2]
    shots(page, "devices-pi")
    assert httpx.post(f"{at.url}/v1/enroll", json={"code": code}).status_code == 200
    visit(page, "devices/of/pi")
    page.get_by_label("A batch every").fill("2")
    page.get_by_role("button", name="Add a source").click()
    page.get_by_label("Source, as").fill("imu")
    page.get_by_label("Rate of").fill("0")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(re.compile("sources.imu.rate_hz"))).to_be_visible()  # refused, and nothing lost
    page.get_by_label("Rate of").fill("50")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved: the device gets it").wait_for()
    shots(page, "devices-one")
    assert axe(page) == []
    key = {"authorization": f"Bearer {at.key}"}
    wanted = httpx.get(f"{at.url}/v1/devices/pi/settings", headers=key).json()["wanted"]
    assert wanted == {"version": 1, "batch_period_s": 2.0, "sources": {"imu": {"rate_hz": 50.0}}}


def test_a_device_is_deleted_only_after_a_second_word(page: Page, at: Station) -> None:
    add(page, "gone", "Something else")
    page.get_by_text("shown this once").wait_for()
    visit(page, "devices/of/gone")
    page.get_by_role("button", name="Delete the device").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="gone")).to_be_visible()
    page.get_by_role("button", name="Delete the device").click()
    page.get_by_role("button", name="Delete for good").click()
    page.wait_for_url("**/#/devices")
    page.wait_for_selector("#main .page-devices:not([aria-busy])")
    expect(page.get_by_role("link", name="gone", exact=True)).to_have_count(0)
    shots(page, "devices")
    assert axe(page) == []


def test_it_fits_a_narrow_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for place in ("devices", "devices/new"):
        visit(page, place)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
