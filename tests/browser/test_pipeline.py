"""The pipeline: rates and lag in words, and the way back for dead letters."""

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser.inbox_world import Inbox, flaws, is_narrow_enough, opened, until
from tests.browser.world import shots


def agree(page: Page) -> None:
    page.get_by_role("dialog").get_by_role("button", name="Replay").click()


def waiting(inbox: Inbox) -> list[str]:
    """Ids of the letters that were not replayed, newest first."""
    return [one["id"] for one in inbox.get("/v1/deadletters")["deadletters"] if not one["replayed"]]


def test_how_much_comes_and_how_far_everybody_is(browser: Browser, inbox: Inbox) -> None:
    with opened(browser, inbox, "pipeline") as page:
        figure = page.locator(".figure", has_text="Readings a second").locator(".figure-value")
        expect(figure).to_have_text(re.compile(r"^[1-9][0-9,]*$"), timeout=20_000)
        expect(page.locator(".rate canvas")).to_be_visible()
        for name in inbox.get("/v1/stats")["lag"]:
            expect(page.locator(f'[data-name="{name}"] .chip')).to_have_text(re.compile(r"up to date|records? behind"))
        expect(page.locator(".health .chip", has_text="Ready")).to_be_visible()
        expect(page.get_by_role("link", name="Metrics")).to_have_attribute("href", "/metrics")
        expect(page.get_by_role("link", name="Kibana")).to_have_count(0)
        shots(page, "pipeline")
        assert flaws(page) == []
        assert is_narrow_enough(page)


def test_a_dead_letter_goes_back_and_what_became_of_it_is_told(browser: Browser, inbox: Inbox) -> None:
    before = waiting(inbox)
    with opened(browser, inbox, "pipeline") as page:
        row = page.locator(".letters-table tbody tr", has=page.get_by_label(f"Replay {before[-1]}"))
        expect(row).to_contain_text("Other content under the same number")
        expect(row).to_contain_text("double")
        row.get_by_text("Detail").click()
        expect(row.locator(".detail")).to_contain_text("claimed with hash")
        shots(page, "pipeline-letters")
        page.get_by_label(f"Replay {before[-1]}").click()
        shots(page, "pipeline-dialog")
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert waiting(inbox) == before
        page.get_by_label(f"Replay {before[-1]}").click()
        agree(page)
        expect(page.locator(".letters [role=status]")).to_have_text("1 replayed.")
        expect(page.get_by_text("Replayed", exact=True)).to_have_count(1)
        until(lambda: len(set(waiting(inbox)) - set(before)) == 1)  # it is a conflict still: a letter of its own


def test_the_chosen_and_then_all(browser: Browser, inbox: Inbox) -> None:
    chosen = waiting(inbox)[1:3]
    with opened(browser, inbox, "pipeline") as page:
        for id_ in chosen:
            page.get_by_label(f"Choose {id_}").check()
        page.get_by_role("button", name="Replay the chosen (2)").click()
        agree(page)
        expect(page.locator(".letters [role=status]")).to_have_text("2 replayed.")
        assert not set(chosen) & set(waiting(inbox))
        left = until(lambda: waiting(inbox))
        page.get_by_role("button", name="Replay all").click()
        agree(page)
        expect(page.locator(".letters [role=status]")).to_have_text(re.compile(r"^\d+ replayed"))
        assert not set(left) & set(waiting(inbox))


def test_a_viewer_reads_and_does_not_replay(browser: Browser, inbox: Inbox) -> None:
    until(lambda: waiting(inbox))
    with opened(browser, inbox, "pipeline", as_viewer=True) as page:
        expect(page.locator(".letters-table tbody tr").first).to_be_visible()
        button = page.get_by_role("button", name="Replay all")
        expect(button).to_be_disabled()
        expect(button).to_have_accessible_description(re.compile("needs the role operator"))
        assert flaws(page) == []


def test_a_hidden_tab_asks_nothing(browser: Browser, inbox: Inbox) -> None:
    with opened(browser, inbox, "pipeline") as page:
        asked: list[str] = []
        page.on("request", lambda r: asked.append(r.url) if "/v1/stats" in r.url else None)
        page.wait_for_event("request", lambda r: "/v1/stats" in r.url)
        hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
        page.evaluate(f"{hide % 'true'}; document.dispatchEvent(new Event('visibilitychange'))")
        asked.clear()
        page.wait_for_timeout(5_000)  # twice as long as it would wait
        assert len(asked) <= 1  # one may have been under way
        with page.expect_request("**/v1/stats"):
            page.evaluate(f"{hide % 'false'}; document.dispatchEvent(new Event('visibilitychange'))")
