"""Logging in and out, as a person does it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.world import Station, axe, login, shots, station


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with station(tmp_path_factory.mktemp("login"), "--set", "detect.enabled=false") as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_one_comes_to_the_login_page_and_back_with_the_keyboard_alone(at: Station, page: Page) -> None:
    page.goto(f"{at.url}/#/account")
    page.wait_for_url("**/login?next=*")
    expect(page.get_by_label("Name")).to_be_focused()
    assert axe(page) == []
    shots(page, "login")
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Wrong name or password")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    shots(page, "login-wrong")
    assert axe(page) == []
    page.keyboard.type(at.password)  # the wrong one is selected
    page.keyboard.press("Enter")
    page.wait_for_url(f"{at.url}/#/account")
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == ("sensorline", True, "Lax", "/")
    assert page.evaluate("document.cookie") == ""


@pytest.mark.parametrize(
    "next_",
    ["//elsewhere.example/", "https://elsewhere.example/", "/\\\\elsewhere.example", "javascript:alert(1)", "/x/..//e"],
)
def test_it_leads_nowhere_else(at: Station, page: Page, next_: str) -> None:
    page.goto(f"{at.url}/login")
    led = page.evaluate(
        """async next => {
            const { wanted } = await import("/assets/lib/next.js");
            return wanted("?next=" + encodeURIComponent(next), location.origin);
        }""",
        next_,
    )
    assert led == "/"


def test_a_password_is_never_in_the_address(at: Station, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{at.url}/login")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password", exact=True).fill("typed without scripts")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/v1/login")
    assert "typed" not in page.url
    context.close()


def test_logged_in_one_can_go_on_and_log_out(at: Station, page: Page) -> None:
    login(page, at)
    page.goto(f"{at.url}/login?next=/%23/map")
    go_on = page.get_by_role("link", name="Go on")
    assert go_on.get_attribute("href") == "/#/map"
    assert page.evaluate("fetch('/v1/me').then(a => a.status)") == 200
    assert page.evaluate("fetch('/v1/logout', {method: 'POST'}).then(a => a.status)") == 200
    assert page.evaluate("fetch('/v1/me').then(a => a.status)") == 401
    assert page.context.cookies() == []
