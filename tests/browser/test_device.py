"""One device's page: live rows, history by mouse and keyboard, anomalies, what somebody who sees nothing is told."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.world import PHONE, SHIFT_MAX, SHIFTS, Station, axe, fleet, person, shots, station, visit

DEVICE = "demo-0000"
LISTEN = SHIFTS + "window.drawn = []; document.addEventListener('sensorline:drawn', e => window.drawn.push(e.detail));"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station whose devices move, fall and get stuck."""
    with (
        station(tmp_path_factory.mktemp("device")) as made,
        fleet(made, devices=2, disturb="fall,stuck", a_minute=10),
    ):
        yield made


@pytest.fixture(scope="module")
def page(browser: Browser, at: Station) -> Iterator[Page]:
    """Somebody logged in who looks at the first device, with what went wrong on the page."""
    made = person(browser, at, service_workers="block")
    made.add_init_script(LISTEN)
    wrong: list[str] = []
    made.on("pageerror", lambda e: wrong.append(str(e)))
    made.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    made.get_by_role("link", name=DEVICE, exact=True).wait_for()
    made.reload()  # with the script, and with devices: they take the place of the empty state
    made.get_by_role("link", name=DEVICE, exact=True).click()
    made.wait_for_selector(".explorer .u-over")
    yield made
    assert wrong == []
    made.context.close()


def drawn(page: Page, more: int = 1) -> list[dict[str, Any]]:
    """The draws that showed live rows, after so many more of them."""
    before = page.evaluate("drawn.length")
    page.wait_for_function("n => drawn.length >= n", arg=before + more)
    found: list[dict[str, Any]] = page.evaluate("drawn")
    return found


def place(page: Page) -> tuple[float, float] | None:
    """What the address says is looked at, ms; None: it follows live."""
    # The address follows 400 ms later, by a timer of the page: one that is set after it and is longer ends after it.
    page.evaluate(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 600))))"
    )
    query = page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.split('?')[1] ?? ''))")
    return (float(query["from"]), float(query["to"])) if "from" in query else None


def span(page: Page) -> float:
    """How much is looked at, ms."""
    found = place(page)
    assert found is not None
    return found[1] - found[0]


def test_live_rows_are_drawn_in_order_and_nothing_jumps(page: Page) -> None:
    page.evaluate("window.drawn.length = 0")
    seen = drawn(page, more=4)
    assert {(one["device"], one["sensor"]) for one in seen} == {(DEVICE, "acceleration")}
    times = [one["t_last"] for one in seen]
    assert times == sorted(set(times)) and [one["seq"] for one in seen] == sorted(one["seq"] for one in seen)
    shifts = page.evaluate("shifts")
    assert sum(one[0] for one in shifts) < SHIFT_MAX, shifts
    assert page.get_by_text("Live", exact=True).first.is_visible()


def test_a_hand_on_the_mouse_looks_closer_and_back(page: Page) -> None:
    page.get_by_role("button", name="Look at 1 min").click()
    assert span(page) == pytest.approx(60_000, abs=2)
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    x, y = box["x"], box["y"] + 80
    page.mouse.move(x + box["width"] * 0.4, y)
    page.mouse.down()
    page.mouse.move(x + box["width"] * 0.9, y, steps=4)
    page.mouse.up()
    chosen = place(page)
    assert chosen is not None and span(page) == pytest.approx(30_000, rel=0.03)
    page.keyboard.down("Shift")
    page.mouse.move(x + box["width"] * 0.2, y)
    page.mouse.down()
    page.mouse.move(x + box["width"] * 0.7, y, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    earlier = place(page)
    assert earlier is not None and earlier[0] == pytest.approx(chosen[0] - 15_000, abs=1_000)
    page.mouse.wheel(0, 400)
    assert span(page) == pytest.approx(30_000 * 2.718, rel=0.05)


def test_keys_zoom_move_and_come_back_to_live(page: Page) -> None:
    page.get_by_role("button", name="Look at 1 min").click()
    before = place(page)
    assert before is not None
    page.get_by_role("group", name=f"acceleration of {DEVICE}").focus()
    page.keyboard.press("+")
    assert span(page) == pytest.approx(36_000, abs=10)
    page.keyboard.press("-")
    page.keyboard.press("ArrowLeft")
    moved = place(page)
    assert moved is not None and moved[0] == pytest.approx(before[0] - 12_000, abs=100)
    page.keyboard.press("Home")
    first = place(page)
    begun_ns = page.evaluate("async () => (await (await fetch('/v1/devices')).json()).devices[0].first_ns")
    assert first is not None and first[0] - 1 <= begun_ns / 1e6 < first[1]
    page.keyboard.press("End")
    last = place(page)
    assert last is not None and last[1] > first[1] - 60_000 + 15_000
    page.keyboard.press("l")
    assert place(page) is None
    drawn(page)


CURSOR = """() => { const u = document.querySelector('.explorer .u-over'); const x = u.querySelector('.u-cursor-x');
  return x.getBoundingClientRect().left - u.getBoundingClientRect().left; }"""


def test_keys_move_a_cursor_that_says_what_is_there_once(page: Page) -> None:
    page.wait_for_function("() => drawn.length > 1 && drawn.at(-1).t_last - drawn[0].t_last > 5000")  # room for steps
    page.get_by_role("button", name="Look at 1 min").click()
    page.mouse.move(0, 0)
    said = page.locator(".explorer .cursor-said")
    chart = page.get_by_role("group", name=f"acceleration of {DEVICE}")
    chart.focus()
    page.keyboard.press("Shift+ArrowLeft")  # the newest in sight
    expect(said).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}: x \S+\sm/s², y \S+\sm/s², z \S+\sm/s²$"))
    newest = said.inner_text()
    page.keyboard.press("Shift+ArrowLeft")
    expect(said).not_to_have_text(newest)
    earlier, x = said.inner_text(), page.evaluate(CURSOR)
    assert earlier[:12] < newest[:12] and x > 0
    expect(page.locator(".legend-at")).to_have_text(earlier[:8])
    page.keyboard.press(",")
    expect(said).not_to_have_text(earlier)
    page.keyboard.press(".")
    expect(said).to_have_text(earlier)  # there and back by one reading
    page.evaluate(
        """() => { window.told = []; const said = document.querySelector('.cursor-said');
          new MutationObserver(() => told.push(said.textContent))
            .observe(said, {childList: true, characterData: true, subtree: true}); }"""
    )
    page.get_by_role("button", name="Follow the last 2 min").click()
    drawn(page, more=3)
    assert page.evaluate("told") == []  # live rows go by, and nobody is told
    expect(page.locator(".legend-at")).to_have_text(earlier[:8])  # nor does it leave its reading
    chart.focus()
    page.keyboard.press("Escape")
    page.wait_for_function(f"() => ({CURSOR})() < 0")
    expect(said).to_have_text("")
    page.keyboard.press("+")  # the keys of before do what they did
    assert span(page) == pytest.approx(72_000, abs=10)


def test_fingers_move_and_zoom_the_chart_and_scroll_the_page(browser: Browser, at: Station) -> None:
    page = person(browser, at, size=PHONE, has_touch=True, is_mobile=True, service_workers="block")
    visit(page, f"device/{DEVICE}")
    page.wait_for_selector(".explorer .u-over")
    page.get_by_role("button", name="Look at 1 min").tap()
    page.evaluate("document.querySelector('.explorer .stage').scrollIntoView({block: 'center'})")
    begun = place(page)
    assert begun is not None
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    x, y, wide = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"]
    touch(page, [[(x, y)], [(x + wide / 8, y)], [(x + wide / 4, y)]])
    moved = place(page)
    assert moved is not None
    assert moved[0] == pytest.approx(begun[0] - 15_000, abs=1_500) and span(page) == pytest.approx(60_000, abs=10)
    apart = [wide / 8, wide / 6, wide / 5, wide / 4]
    touch(page, [[(x - a, y), (x + a, y)] for a in apart])
    zoomed = place(page)
    assert zoomed is not None and span(page) == pytest.approx(30_000, rel=0.05)
    assert moved[0] < zoomed[0] and zoomed[1] < moved[1]  # closer to what was seen
    touch(page, [[(x - a, y), (x + a, y)] for a in reversed(apart)])
    assert span(page) == pytest.approx(60_000, rel=0.05)
    before, top = place(page), page.evaluate("scrollY")
    touch(page, [[(x, y - by)] for by in (0, 20, 60, 100, 140)])
    page.wait_for_function("top => scrollY > top + 50", arg=top)
    assert place(page) == before
    page.context.close()


def touch(page: Page, steps: list[list[tuple[float, float]]]) -> None:
    """Fingers put down, moved step by step and taken away."""
    session = page.context.new_cdp_session(page)
    for k, fingers in enumerate(steps):
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(fingers)]
        session.send("Input.dispatchTouchEvent", {"type": "touchMove" if k else "touchStart", "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


def test_history_is_the_stores_without_doubles(page: Page, at: Station) -> None:
    """What the chart draws over the seam of history and live rows is what the store has, each reading once."""
    page.get_by_role("button", name="Follow the last 30 s").click()
    drawn(page, more=3)
    found = page.evaluate(
        """async device => {
          const { Feed } = await import('/assets/lib/chart/feed.js');
          const { open } = await import('/assets/lib/live.js');
          const stop = new AbortController();
          const failed = [];
          const feed = new Feed({device, sensor: 'acceleration', fields: ['x', 'y', 'z'], signal: stop.signal,
                                 changed() {}, failed: e => failed.push(String(e))});
          let begin = 0;
          let events = 0;
          const wanted = {kinds: ['readings'], devices: [device], sensors: ['acceleration'], points: 200};
          await new Promise(done => open(wanted, {
            hello: () => feed.begin(),
            readings: e => {
              feed.take(e);
              begin ||= e.t[0] - 4000;
              if (++events === 2) feed.want({from: begin, to: Date.now()}, 600, {isLive: true, wait_ms: 0});
              if (events === 5) done();
            },
          }, stop.signal));
          const hole = () => feed.rows({from: begin, to: feed.newest}).mid[0].includes(null) && feed.holes < 4;
          while (!feed.loaded || feed.isLoading || hole()) await new Promise(r => setTimeout(r, 200));
          const to = feed.newest;
          const rows = feed.rows({from: begin, to});
          stop.abort();
          return {begin, to, failed, t: rows.t.filter((t, k) => rows.mid[0][k] !== null && t >= begin && t <= to)};
        }""",
        DEVICE,
    )
    assert found["failed"] == []
    times = found["t"]
    assert all(b > a for a, b in pairwise(times))
    stored = page.evaluate(  # the store is a moment behind the log
        """async ([device, from, to, n]) => {
          for (;;) {
            const url = `/v1/readings?device=${device}&sensor=acceleration&limit=20000&from=${from}&to=${to}`;
            const {rows, columns} = await (await fetch(url)).json();
            if (rows >= n) return columns.t;
            await new Promise(r => setTimeout(r, 200));
          }
        }""",
        [DEVICE, int(found["begin"] * 1e6), int(found["to"] * 1e6) + 500, len(times)],
    )
    assert len(times) == len(stored) > 300
    assert times == pytest.approx([t / 1e6 for t in stored], abs=0.002)


def test_from_far_it_draws_an_envelope_and_from_near_every_row(page: Page) -> None:
    with page.expect_response(lambda r: "/v1/readings?" in r.url and "points=" in r.url) as far:
        page.get_by_role("button", name="Look at 1 day").click()
    answer = far.value.json()
    assert answer["columns"].keys() >= {"x_min", "x_max", "x_mean", "count"} and answer["rows"] <= 3000
    begun = int(page.evaluate("async () => (await (await fetch('/v1/devices')).json()).devices[0].first_ns")) // 10**6
    with page.expect_response(lambda r: "/v1/readings?" in r.url and "limit=" in r.url) as near:
        visit(page, f"device/{DEVICE}?sensor=acceleration&from={begun}&to={begun + 2000}")
    assert near.value.json()["columns"].keys() >= {"x", "seq"}
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if "/v1/readings?" in r.url else None)
    page.get_by_role("button", name="Zoom in").click()
    assert span(page) == pytest.approx(1000, abs=2)
    assert asked == []  # what is there is not asked for again


def test_an_anomaly_is_marked_listed_and_leads_to_the_inbox(page: Page) -> None:
    page.get_by_role("button", name="Follow the last 10 min").click()
    page.locator(".finding-here").first.wait_for(timeout=90_000)
    listed = page.locator(".finding-here").first
    kind = listed.locator("strong").inner_text()
    listed.locator(".look").click()
    mark = page.locator("a.mark").first
    mark.wait_for()
    words = mark.get_attribute("aria-label") or ""
    assert kind in page.locator(".marks").inner_text() and kind in words and "critical" in words.lower()
    shots(page, "device-anomaly")
    mark.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/#/anomalies/*")
    page.go_back()
    page.wait_for_selector(".explorer .u-over")


def test_it_tells_who_sees_nothing_as_much(page: Page) -> None:
    visit(page, f"device/{DEVICE}")
    page.wait_for_function("() => document.querySelector('#chart-summary')?.textContent.includes('x from')")
    assert "m/s²" in page.locator("#chart-summary").inner_text()
    page.get_by_role("button", name="Show as table").click()
    rows = page.locator(".table-of tbody tr")
    rows.first.wait_for()
    assert 10 < rows.count() <= 200
    assert axe(page) == []
    shots(page, "device")


def test_a_field_is_hidden_and_other_sensors_are_drawn(page: Page) -> None:
    visit(page, f"device/{DEVICE}")
    page.locator(".legend-field", has_text="y").first.click()
    assert page.locator(".legend-field[aria-pressed=false]", has_text="y").first.is_visible()
    page.get_by_role("button", name="location", exact=True).click()
    page.locator(".legend-field", has_text="speed").first.wait_for()
    assert (
        page.get_by_role("link", name="Show where it is on the map").get_attribute("href") == f"#/map?device={DEVICE}"
    )


def test_on_a_narrow_phone_nothing_is_cut_off(page: Page) -> None:
    before = page.viewport_size
    page.set_viewport_size({"width": 360, "height": 740})
    visit(page, f"device/{DEVICE}?sensor=gyroscope")
    page.wait_for_selector(".explorer .u-over")
    page.get_by_role("button", name="Show as table").click()
    page.locator(".table-of").wait_for()
    right = "s => document.querySelector(s).getBoundingClientRect().right"
    assert page.evaluate(right, ".explorer") < page.evaluate(right, ".chart-card")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert axe(page) == []
    assert before is not None
    page.set_viewport_size(before)  # type: ignore[arg-type]


def test_who_is_not_there_is_said_so(page: Page) -> None:
    visit(page, "device/nobody")
    assert page.get_by_role("heading", name="There is no device nobody").is_visible()
