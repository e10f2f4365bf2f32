"""The dashboard's frame: who is let in, where it leads, what it says when it cannot."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.world import PHONE, Station, axe, login, person, shots, station, visit


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station without devices."""
    with station(tmp_path_factory.mktemp("shell"), "--set", "detect.enabled=false") as made:
        yield made


@pytest.fixture(scope="module")
def page(browser: Browser, at: Station) -> Iterator[Page]:
    """An admin's."""
    made = person(browser, at)
    yield made
    made.context.close()


def test_who_is_not_logged_in_comes_to_the_login_page_and_back(browser: Browser, at: Station) -> None:
    made = browser.new_page()
    made.goto(f"{at.url}/#/pipeline")
    made.wait_for_url("**/login?next=*")
    made.get_by_label("Name").fill("admin")
    made.get_by_label("Password", exact=True).fill(at.password)
    made.get_by_role("button", name="Log in").click()
    made.wait_for_url("**/#/pipeline")
    made.wait_for_selector("#main .page-pipeline:not([aria-busy])")
    made.close()


def test_on_a_phone_the_other_pages_are_behind_more(page: Page) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    visit(page, "")
    page.get_by_role("link", name="More").click()
    expect(page.get_by_role("heading", name="More")).to_be_visible()
    assert axe(page) == []
    shots(page, "more")
    page.get_by_role("main").get_by_role("link", name="Completeness").click()
    page.wait_for_selector("#main .page-completeness:not([aria-busy])")
    expect(page.locator("#nav a[aria-current]").filter(visible=True)).to_have_text("More")


def test_a_page_that_writes_its_address_late_takes_no_click_back(page: Page) -> None:
    """Between a click and the shell's hearing of it, a timer of the page that one leaves may end."""
    visit(page, "map")
    page.evaluate("""async () => {
      const { amend } = await import("/assets/lib/within.js");
      amend("#/map?track=6h");
      window.written = location.hash;
      location.hash = "#/completeness";
      amend("#/map?track=1h");
    }""")
    page.wait_for_selector("#main .page-completeness:not([aria-busy])")
    assert page.evaluate("[written, location.hash]") == ["#/map?track=6h", "#/completeness"]


def test_a_page_looks_the_same_whatever_one_saw_before(page: Page) -> None:
    """Pages share names of classes: the sheets of those that were left rest."""
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    looks = """() => [...document.querySelectorAll('.page .figures, .page .figure, .page .figure dt')]
        .map(el => { const s = getComputedStyle(el); return [s.gridTemplateColumns, s.padding, s.columnGap]; })"""
    visit(page, "")
    page.reload()
    page.wait_for_selector("#main .page-fleet:not([aria-busy])")
    first = page.evaluate(looks)
    assert len(first) > 3
    for other in ("pipeline", "devices", "completeness", "anomalies", "map"):
        visit(page, other)
    visit(page, "")
    assert page.evaluate(looks) == first


def test_an_unknown_address_says_so(page: Page) -> None:
    page.evaluate("location.hash = '#/nonsense'")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="To the fleet").click()
    page.wait_for_selector("#main .page-fleet:not([aria-busy])")


def test_a_page_that_fails_says_what_and_comes_back(page: Page) -> None:
    visit(page, "")
    page.route("**/v1/devices", lambda route: route.abort())
    page.evaluate("location.hash = '#/devices'")
    expect(page.get_by_role("heading", name="This page could not be shown")).to_be_visible()
    expect(page.get_by_text("The station does not answer")).to_be_visible()
    page.unroute("**/v1/devices")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Devices", exact=True)).to_be_visible()


def test_a_session_that_ends_leads_to_the_login_page(browser: Browser, at: Station) -> None:
    made = person(browser, at)
    made.context.clear_cookies()
    made.evaluate("location.hash = '#/devices'")
    made.wait_for_url("**/login?next=*")
    login(made, at)
    made.context.close()


def test_the_page_of_trust(browser: Browser, at: Station) -> None:
    made = browser.new_page(base_url=at.url)
    made.goto("/trust")
    expect(made.get_by_text("has no certificate of its own")).to_be_visible()
    assert axe(made) == []
    shots(made, "trust")
    made.close()
