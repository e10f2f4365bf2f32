"""Logging in and out, as a person does it."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.world import WAIT_MS, Station, axe, login, shots, station, visit

expect.set_options(timeout=WAIT_MS)


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


def test_an_admin_adds_a_person_who_logs_in_and_is_removed(at: Station, page: Page, browser: Browser) -> None:
    login(page, at)
    visit(page, "account")
    page.get_by_label("Name", exact=True).fill("ann")
    page.get_by_label("Role", exact=True).select_option("operator")
    page.get_by_role("button", name="Add", exact=True).click()
    password = page.locator(".people .secret").first.inner_text()
    row = page.get_by_role("row", name="ann")
    expect(row.get_by_role("combobox")).to_have_value("operator")
    assert axe(page) == []
    shots(page, "account-added")
    context = browser.new_context()
    theirs = context.new_page()
    enter(theirs, at, "ann", password)
    visit(theirs, "account")
    expect(theirs.get_by_role("heading", name="ann")).to_contain_text("operator")
    expect(theirs.get_by_role("heading", name="People")).to_have_count(0)
    row.get_by_role("combobox").select_option("viewer")
    expect(page.get_by_text("ann is viewer from now on")).to_be_visible()
    assert theirs.evaluate("fetch('/v1/me').then(a => a.json()).then(me => me.role)") == "viewer"
    row.get_by_role("button", name="New password for ann").click()
    page.get_by_role("dialog").get_by_role("button", name="New password").click()
    expect(page.locator(".people .secret").first).not_to_have_text(password)
    assert theirs.evaluate("fetch('/v1/me').then(a => a.status)") == 401
    row.get_by_role("button", name="Remove ann").click()
    shots(page, "account-remove")
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    page.get_by_label("Role of admin").select_option("viewer")  # the last admin: refused
    page.get_by_role("dialog").get_by_role("button", name="Change my role").click()
    expect(page.get_by_text("admin is the last admin")).to_be_visible()
    expect(page.get_by_label("Role of admin")).to_have_value("admin")
    context.close()


def test_a_person_changes_the_password_chooses_a_theme_and_logs_out(at: Station, page: Page) -> None:
    login(page, at)
    visit(page, "account")
    assert axe(page) == []
    shots(page, "account")
    old, new = page.get_by_label("Current password"), page.get_by_label("New password", exact=True)
    change = page.get_by_role("button", name="Change password")
    for before, after, error in [
        ("", "five green bottles", "Type it once more"),
        (at.password, "short", "12 are needed"),
        ("wrong", "five green bottles", "That is not your password"),
        (at.password, "1" * 12, "different characters"),
    ]:
        old.fill(before)
        new.fill(after)
        change.click()
        expect(page.get_by_role("alert").filter(has_text=error)).to_be_visible()
    first = at.password
    old.fill(first)
    new.fill("five green bottles")
    change.click()
    expect(page.get_by_text("Password changed")).to_be_visible()
    page.get_by_label("Dark").check()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    enter(page, at, "admin", "five green bottles")


def enter(page: Page, at: Station, name: str, password: str) -> None:
    page.goto(f"{at.url}/login?next=/%23/account")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{at.url}/#/account")


def test_who_tries_too_often_is_told_how_long_to_wait(at: Station, page: Page) -> None:
    """The last one here: this address waits for ten minutes then."""
    page.goto(f"{at.url}/login")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password", exact=True).fill("no good")
    button, told = page.locator("#go"), page.get_by_role("alert")
    for _ in range(6):
        with page.expect_response("**/v1/login"):
            button.click()
        expect(told).to_be_visible()
        if "Too many" in told.inner_text():
            break
    expect(told).to_contain_text(re.compile(r"Logging in is possible again in \d+ min"))
    expect(button).to_have_attribute("aria-disabled", "true")
    assert axe(page) == []
    shots(page, "login-wait")
    page.get_by_label("Password", exact=True).press("Enter")
    expect(button).to_have_text("Wait …")
