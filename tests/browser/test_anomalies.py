"""The inbox: what was found is read, judged, and comes up by itself."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.inbox_world import Inbox, flaws, is_narrow_enough, opened, until
from tests.browser.world import PHONE, shots


def unjudged(inbox: Inbox) -> dict[str, Any]:
    """One that nobody judged, and that is over."""
    return next(one for one in inbox.anomalies(open="false") if one["label"] is None)


def finding(page: Page, id_: str) -> Any:
    return page.locator(f'a.finding[data-id="{id_}"]')


def test_one_is_read_and_confirmed_with_a_note(browser: Browser, inbox: Inbox) -> None:
    one = unjudged(inbox)
    with opened(browser, inbox, "anomalies") as page:
        expect(page.locator("a.finding").first).to_be_visible()
        expect(page.get_by_text("Choose an anomaly to see what was measured")).to_be_visible()
        shots(page, "anomalies-list")
        finding(page, one["id"]).click()
        expect(page.locator(".details h2")).to_be_focused()
        said = one["evidence"][0]
        expect(page.locator(".evidence tbody tr").first).to_contain_text(said["feature"])
        expect(page.locator(".samples canvas")).to_be_visible()
        expect(page.locator(".samples [role=img]")).to_have_attribute("aria-label", re.compile("marked: "))
        page.get_by_label("Note").fill("dropped on the kitchen floor")
        page.get_by_role("button", name="Confirm").click()
        expect(page.locator(".said")).to_contain_text("Confirmed by admin")
        expect(finding(page, one["id"]).locator(".state")).to_have_text("Confirmed")
        expect(page.locator(".history li")).to_have_count(1)
        shots(page, "anomalies-confirmed")
        assert flaws(page) == []
        assert is_narrow_enough(page)
    label = inbox.label(one["id"])
    assert label is not None
    assert (label["verdict"], label["note"], label["by"]) == ("real", "dropped on the kitchen floor", "admin")


def test_a_judgement_is_changed_and_taken_back(browser: Browser, inbox: Inbox) -> None:
    one = unjudged(inbox)
    with opened(browser, inbox, f"anomalies/{one['id']}") as page:
        page.get_by_role("button", name="Dismiss").click()
        expect(page.locator(".said")).to_contain_text("Dismissed by admin")
        label = inbox.label(one["id"])
        assert label is not None
        assert label["verdict"] == "false"
        page.get_by_role("button", name="Take back").click()
        expect(page.locator(".said")).to_contain_text("Nobody has judged it yet")
        label = inbox.label(one["id"])
        assert label is not None
        assert (label["verdict"], label["acknowledged"]) == (None, False)


def test_a_note_is_not_lost_when_the_station_is_away(browser: Browser, inbox: Inbox) -> None:
    one = unjudged(inbox)
    with opened(browser, inbox, f"anomalies/{one['id']}") as page:
        page.get_by_label("Note").fill("a long story")
        page.context.set_offline(True)
        page.get_by_role("button", name="Confirm").click()
        expect(page.locator(".judge [role=alert]")).to_contain_text("Not saved")
        expect(page.get_by_label("Note")).to_have_value("a long story")
        page.context.set_offline(False)
        page.get_by_role("button", name="Seen").click()
        expect(page.locator(".said")).to_contain_text("Seen by admin")
    label = inbox.label(one["id"])
    assert label is not None
    assert (label["acknowledged"], label["verdict"], label["note"]) == (True, None, "a long story")


def test_a_chart_that_cannot_be_drawn_says_so_and_comes_back(browser: Browser, inbox: Inbox) -> None:
    one = unjudged(inbox)
    with opened(browser, inbox, "anomalies") as page:
        page.route("**/uPlot*.js", lambda route: route.abort())
        finding(page, one["id"]).click()
        expect(page.get_by_text("The chart could not be drawn")).to_be_visible()
        page.unroute("**/uPlot*.js")
        page.get_by_role("button", name="Draw it again").click()
        expect(page.locator(".samples canvas")).to_be_visible()


def test_by_keyboard_alone(browser: Browser, inbox: Inbox) -> None:
    with opened(browser, inbox, "anomalies?judged=new&open=no") as page:
        expect(page.locator("a.finding").nth(1)).to_be_visible()
        page.locator("#main").focus()
        page.keyboard.press("j")
        page.keyboard.press("j")
        second = page.locator("a.finding").nth(1)
        expect(second).to_be_focused()
        id_ = second.get_attribute("data-id") or ""
        page.keyboard.press("k")
        expect(page.locator("a.finding").first).to_be_focused()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator(".details h2")).to_be_focused()
        page.keyboard.press("d")
        expect(page.locator(".said")).to_contain_text("Dismissed by admin")
        page.get_by_label("Note").press("c")  # while one writes, a letter is a letter
        expect(page.get_by_label("Note")).to_have_value("c")
        page.locator(".details h2").focus()
        page.keyboard.press("Escape")
        expect(page).to_have_url(re.compile(r"#/anomalies\?"))
        expect(finding(page, id_)).to_be_focused()
    label = inbox.label(id_)
    assert label is not None
    assert label["verdict"] == "false"


def test_a_viewer_sees_why_the_buttons_rest(browser: Browser, inbox: Inbox) -> None:
    one = unjudged(inbox)
    with opened(browser, inbox, f"anomalies/{one['id']}", as_viewer=True) as page:
        for name in ("Confirm", "Dismiss", "Seen"):
            button = page.get_by_role("button", name=name)
            expect(button).to_be_disabled()
            expect(button).to_have_accessible_description(re.compile("needs the role operator"))
        page.locator(".details h2").focus()
        page.keyboard.press("c")
        expect(page.locator(".toast")).to_contain_text("needs the role operator")
        shots(page, "anomalies-viewer")
        assert flaws(page) == []
    assert inbox.label(one["id"]) == one["label"]


def test_filters_are_in_the_address_and_hold(browser: Browser, inbox: Inbox) -> None:
    device = inbox.anomalies()[-1]["device"]
    kind = next(one["kind"] for one in inbox.anomalies(device=device))
    with opened(browser, inbox, "anomalies") as page:
        page.get_by_label("Device").select_option(device)
        page.get_by_label("Kind").select_option(kind)
        expect(page).to_have_url(re.compile(rf"#/anomalies\?device={device}&kind={kind}$"))
        wanted = len(inbox.anomalies(device=device, kind=kind))
        expect(page.locator("a.finding")).to_have_count(wanted)
        page.reload()
        expect(page.get_by_label("Kind")).to_have_value(kind)
        expect(page.locator("a.finding")).to_have_count(wanted)
        page.get_by_label("Judged").select_option("confirmed")
        page.get_by_label("Time").select_option("1h")
        page.get_by_label("Severity").select_option("info")
        expect(page.locator(".empty h2").first).to_have_text("None of these")
        shots(page, "anomalies-none")
        page.get_by_role("button", name="Clear").click()
        expect(page.locator("a.finding").nth(3)).to_be_visible()


def test_what_is_found_comes_up_and_steals_nothing(browser: Browser, inbox: Inbox) -> None:
    with opened(browser, inbox, "anomalies?judged=new") as page:
        first = page.locator("a.finding").first
        expect(first).to_be_visible()
        expect(page.locator("#link")).to_have_text("Live")
        id_ = first.get_attribute("data-id")
        first.focus()
        inbox.simulate("later", seed=2)
        fresh = page.get_by_role("button", name=re.compile(r"^\d+ new$"))
        expect(fresh).to_be_visible(timeout=60_000)
        assert page.evaluate("document.activeElement.dataset.id") == id_
        assert page.locator("a.finding").first.get_attribute("data-id") == id_
        assert page.evaluate("scrollY") == 0
        shots(page, "anomalies-new")
        until(lambda: inbox.anomalies(device="later-0000"))
        fresh.click()
        expect(page.locator("a.finding .device", has_text="later-0000").first).to_be_visible()


def test_on_a_phone_the_list_and_one_are_views_of_their_own(browser: Browser, inbox: Inbox) -> None:
    with opened(browser, inbox, "anomalies", size=PHONE) as page:
        page.locator("a.finding").first.click()
        expect(page.locator(".found")).to_be_hidden()
        expect(page.locator(".details")).to_be_visible()
        shots(page, "anomalies-one")
        page.get_by_role("link", name="All anomalies").click()
        expect(page.locator("a.finding").first).to_be_visible()
        expect(page.locator(".details")).to_have_count(0)
        assert is_narrow_enough(page)


@pytest.mark.parametrize("id_", ["0" * 32, "nonsense"])
def test_an_address_that_leads_to_none_says_so(browser: Browser, inbox: Inbox, id_: str) -> None:
    with opened(browser, inbox, f"anomalies/{id_}") as page:
        expect(page.get_by_role("alert")).to_contain_text("There is no such anomaly")
        page.get_by_role("link", name="All anomalies").click()
        expect(page.locator("a.finding").first).to_be_visible()
