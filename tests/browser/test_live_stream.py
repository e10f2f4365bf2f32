"""The page's end of the live stream, alone: it comes back behind what it heard, and not once nobody wants it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.world import bare

FAKE = """
window.made = [];
window.EventSource = class extends EventTarget {
  constructor(url) { super(); this.url = new URL(url, location.href); this.isOpen = true; made.push(this); }
  close() { this.isOpen = false; }
  tell(kind, data, id) { this.dispatchEvent(new MessageEvent(kind, { data: JSON.stringify(data), lastEventId: id })); }
  fail() { this.onerror(); }
};
"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page that has the files of the dashboard, a station that knows who asks, and no network."""
    with bare(browser, FAKE) as made:
        made.route("**/v1/me", lambda route: route.fulfill(json={"name": "w"}))
        yield made


def run(page: Page, body: str) -> Any:
    """What `body` says, with `open` and a signal's controller `leaving`."""
    return page.evaluate(
        f"""async () => {{
          const {{ open }} = await import('/assets/lib/live.js');
          const leaving = new AbortController();
          const until = async is => {{ while (!is()) await new Promise(r => setTimeout(r, 20)); }};
          {body}
        }}"""
    )


def test_it_comes_back_behind_what_it_heard_last(page: Page) -> None:
    found = run(
        page,
        """
        const states = [], seqs = [];
        open({kinds: ['readings'], devices: ['pi']}, {state: s => states.push(s), readings: e => seqs.push(e.seq)});
        made[0].tell('hello', {now: 1}, 'a');
        made[0].tell('readings', {seq: 7}, 'b');
        made[0].fail();
        await until(() => made.length === 2);
        made[1].tell('hello', {now: 2}, 'b');
        return {states, seqs, isOpen: made.map(s => s.isOpen), after: made.map(s => s.url.searchParams.get('after')),
                devices: made.map(s => s.url.searchParams.getAll('device'))};
        """,
    )
    assert found == {
        "states": ["connected", "reconnecting", "connected"],
        "seqs": [7],
        "isOpen": [False, True],
        "after": [None, "b"],
        "devices": [["pi"], ["pi"]],
    }


@pytest.mark.parametrize("when", ["before", "open", "waiting"])
def test_nothing_is_left_open_once_one_has_gone(page: Page, when: str) -> None:
    made = run(
        page,
        f"""
        const when = '{when}';
        if (when === 'before') leaving.abort();
        open({{kinds: ['anomaly']}}, {{}}, leaving.signal);
        if (when === 'waiting') made[0].fail();
        if (when !== 'before') leaving.abort();
        open({{kinds: ['pulse']}}, {{}});
        made.at(-1).fail();
        await until(() => made.at(-1).isOpen);
        return made.filter(s => s.isOpen).map(s => s.url.searchParams.get('kinds'));
        """,
    )
    assert made == ["pulse"]
