"""The parts of the pages that touch no document: rows, stretches of time, words, rates and order of a fleet."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.world import bare


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """An empty page that has the files of the dashboard."""
    with bare(browser) as made:
        yield made


def run(page: Page, module: str, body: str, arg: Any = None) -> Any:
    """What `body` says, with the module's exports as `m` and `arg` as `a`."""
    return page.evaluate(f"async a => {{ const m = await import('/assets/{module}'); {body} }}", arg)


ROWS = "const rows = (t, x) => ({t, mid: [x ?? t.map(v => v * 2)], lo: null, hi: null});"


def rows(page: Page, body: str, arg: Any = None) -> Any:
    return run(page, "lib/chart/rows.js", ROWS + body, arg)


@pytest.mark.parametrize(
    ("a", "b", "times"),
    [
        ([1, 2, 3], [4, 5], [1, 2, 3, 4, 5]),
        ([1, 2, 5], [2, 3, 4], [1, 2, 3, 4, 5]),
        ([], [2, 1, 2], [1, 2]),
        ([3], [], [3]),
    ],
)
def test_rows_are_merged_by_time_and_none_twice(page: Page, a: list[int], b: list[int], times: list[int]) -> None:
    found = rows(page, "return m.merged(rows(a[0]), m.rising(rows(a[1])))", [a, b])
    assert found["t"] == times
    assert found["mid"] == [[2 * t for t in times]]


def test_of_two_rows_of_one_time_the_first_stays(page: Page) -> None:
    assert rows(page, "return m.merged(rows([1, 2], [10, 20]), rows([2, 3], [99, 30])).mid") == [[10, 20, 30]]


def test_live_rows_cover_history_and_leave_it_their_gaps(page: Page) -> None:
    body = "return m.under(rows(a[0], a[0].map(() => 1)), rows(a[1], a[1].map(() => 2)), 3)"
    found = rows(page, body, [[0, 5, 11, 15, 21, 30], [10, 11, 12, 20, 21, 22]])
    assert found["t"] == [0, 5, 10, 11, 12, 15, 20, 21, 22, 30]
    assert found["mid"] == [[1, 1, 2, 2, 2, 1, 2, 2, 2, 1]]


def test_the_same_reading_by_two_ways_has_two_times_and_is_drawn_once(page: Page) -> None:
    t = 1795396477382.1234
    assert len(rows(page, "return m.under(rows([a]), rows([a + 0.0003, a + 10]), 3).t", t)) == 2


def test_a_line_breaks_where_readings_are_missing(page: Page) -> None:
    t = [*range(0, 1000, 10), *range(2000, 3000, 10)]
    gap = rows(page, "return m.gapMs(a)", t)
    assert gap == 60
    found = rows(page, "return m.broken(rows(a), m.gapMs(a))", t)
    assert len(found["t"]) == len(t) + 1
    assert found["mid"][0][100] is None and found["t"][100] == (990 + 2000) / 2
    assert rows(page, "return m.gapMs([1, 2, 3])") is None or rows(page, "return m.gapMs([1, 2, 3]) === Infinity")


def test_jitter_is_no_gap(page: Page) -> None:
    t = [10 * k + (k * 7919 % 5) for k in range(500)]
    assert len(rows(page, "return m.broken(rows(a), m.gapMs(a)).t", t)) == 500


def test_an_answer_becomes_rows(page: Page) -> None:
    answer = {
        "columns": {
            "t": [0, 10_000_000],
            "count": [3, 4],
            "x_min": [0, 1],
            "x_max": [4, 5],
            "x_mean": [2, None],
        }
    }
    found = rows(
        page,
        "const r = m.fromAnswer(a, ['x', 'y'], 10);"
        "return [r.t, r.lo[0], r.hi[0], r.mid[0][1] === undefined, r.mid[1].length]",
        answer,
    )
    assert found == [[5, 15], [0, 1], [4, 5], True, 2]
    assert rows(page, "return m.bucketMs(0, 1001, 100)") == 11


def test_live_rows_beside_an_envelope_are_one_too(page: Page) -> None:
    found = rows(page, "return m.enveloped(rows([0, 4, 8, 10, 19], [1, 2, 6, 5, undefined]), 10)")
    assert found == {"t": [4, 14.5], "mid": [[3, 5]], "lo": [[1, 5]], "hi": [[6, 5]]}


def test_a_page_that_stays_open_keeps_a_bounded_number_of_rows(page: Page) -> None:
    """Ten minutes of rows at 100 Hz: what no longer fits among the live rows is history, none lost and none twice."""
    body = """const f = new m.Feed({device: 'd', sensor: 's', fields: ['x'], signal: new AbortController().signal,
        changed() {}, failed() {}});
      f.loaded = {from: 0, to: 1000, asked: 0, bucket_ms: 0, rows: {t: [], mid: [[]], lo: null, hi: null}, gap_ms: 0};
      f.begin();
      for (let batch = 0; batch < 600; batch++) {
        const t = Array.from({length: 100}, (_, k) => 1000 + batch * 1000 + k * 10);
        f.take({t, values: {x: t}});
        if (batch % 7 === 0) f.take({t, values: {x: t}}); // and some twice
      }
      const {t} = f.rows({from: 0, to: 1e9});
      return {live: f.live.t.length, all: t.length,
        rising: t.every((v, k) => !k || v > t[k - 1])}"""
    found = run(page, "lib/chart/feed.js", body)
    assert found == {"live": found["live"], "all": 60_000, "rising": True}
    assert found["live"] <= 20_000


def test_what_is_seen_and_one_row_more_at_either_side(page: Page) -> None:
    assert rows(page, "return m.around(rows([1, 2, 3, 4, 5, 6]), 3, 4).t") == [2, 3, 4]
    assert rows(page, "return m.cut(rows([1, 2, 3, 4, 5, 6]), 3, 5).t") == [3, 4]


def test_zoom_keeps_the_time_under_the_hand(page: Page) -> None:
    view = run(page, "lib/chart/window.js", "return m.zoomed({from: 1e12, to: 1e12 + 1000}, 0.5, 1e12 + 250)")
    assert view == {"from": 1e12 + 125, "to": 1e12 + 625}
    span = run(
        page, "lib/chart/window.js", "return m.spanOf(m.zoomed({from: 1e12, to: 1e12 + 1000}, 1e-9)) - m.SPAN_MS_MIN"
    )
    assert abs(span) < 0.001


def test_one_does_not_look_past_the_end_or_before_the_beginning(page: Page) -> None:
    assert run(page, "lib/chart/window.js", "return m.before({from: 0, to: 1000}, 500)") == {"from": -450, "to": 550}
    assert run(page, "lib/chart/window.js", "return m.bounded({from: -450, to: 550})") == {"from": 0, "to": 1000}


def test_flags_that_would_lie_on_each_other_are_one(page: Page) -> None:
    marks = [{"from_ms": t, "to_ms": t + 1} for t in (500, 100, 110, 5000)]
    found = run(page, "lib/chart/window.js", "return m.clustered(a, {from: 0, to: 1000}, 1000, 100)", marks)
    assert [(one["left_px"], len(one["of"])) for one in found] == [(100, 2), (500, 1)]


def test_an_axis_is_labelled_at_round_times(page: Page) -> None:
    assert run(page, "lib/chart/look.js", "return m.timeSplits(1234567, 1290000, 15000).map(t => t % 15000)") == [
        0,
        0,
        0,
        0,
    ]
    assert run(
        page,
        "lib/chart/look.js",
        "return m.timeLabels([1.8e12, 1.8e12 + 100], 100).map(t => t.split('\\n')[0].slice(-4))",
    ) == [
        "00.0",
        "00.1",
    ]


def test_a_scale_does_not_tremble(page: Page) -> None:
    body = """const r = m.steadyRange(); const first = r(0, 0, 10);
      return [first, r(0, 1, 9), r(0, 4, 5), m.steadyRange(false)(0, null, null)]"""
    first, same, closer, none = run(page, "lib/chart/look.js", body)
    assert first == same and first[0] < 0 and first[1] > 10
    assert closer[1] - closer[0] < 2 and none == [None, None]


def test_a_chart_in_words(page: Page) -> None:
    body = """return m.describe({t: [1, 2], mid: [[1, 2], [5, 6]], lo: [[0, 1], [5, 6]], hi: [[2, 3], [5, 6]]},
      [{name: 'x', label: 'x', unit: 'm/s2', shown: true}, {name: 'y', label: 'y', unit: '', shown: false}],
      {from: 0, to: 30000}, [{from_ms: 1, to_ms: 2}, {from_ms: 1e9, to_ms: 1e9}], true)"""
    assert run(page, "lib/chart/describe.js", body) == "Live, the last 30 s: x from 0 to 3\u202fm/s²; 1 anomaly marked."


def test_a_long_table_shows_evenly_chosen_rows(page: Page) -> None:
    assert run(page, "lib/chart/table.js", "return m.evenly(3)") == [0, 1, 2]
    picked = run(page, "lib/chart/table.js", "return m.evenly(1001, 11)")
    assert picked == list(range(0, 1001, 100))


def test_how_much_a_device_sends(page: Page) -> None:
    body = """const r = new m.Rates(); const out = [r.perSecond(1e12)];
      for (let s = 0; s <= 20; s++) {
        r.add(1e12 + s * 1000, 100);
        if (s % 10 === 1) out.push(r.perSecond(1e12 + s * 1000));
      }
      out.push(r.perSecond(1e12 + 22000), r.perSecond(1e12 + 40000), r.last(1e12 + 22000).length); return out"""
    assert run(page, "pages/fleet/model.js", body) == [0, None, 100, 90, 0, 59]


def test_what_needs_a_look_comes_first(page: Page) -> None:
    body = """const made = (name, seen, severity, battery) => {
        const d = new m.Device(name);
        Object.assign(d, {seen_ms: seen, battery: battery ?? null});
        if (severity) d.anomaly({id: name, severity, open: true, version: 1, label: null});
        return d;
      };
      const now = 1e12;
      const devices = [made('live-10', now), made('live-9', now), made('never', null),
        made('low', now, null, {level: 0.05}), made('silent', now - 3.6e6), made('quiet', now - 60000),
        made('warned', now, 'warning'), made('fell', now, 'critical')];
      return m.ordered(devices, now).map(d => d.name)"""
    assert run(page, "pages/fleet/model.js", body) == [
        "fell",
        "warned",
        "silent",
        "quiet",
        "low",
        "never",
        "live-9",
        "live-10",
    ]


def test_an_anomaly_that_is_over_or_dismissed_is_not_open(page: Page) -> None:
    body = """const d = new m.Device('a');
      const one = {id: '1', severity: 'critical', open: true, version: 2, label: null};
      const then = [{}, {open: false, version: 1}, {open: false, version: 3}, {version: 4},
        {version: 5, label: {verdict: 'false'}}];
      return then.map(more => { d.anomaly({...one, ...more}); return d.open.size; })"""
    assert run(page, "pages/fleet/model.js", body) == [1, 1, 0, 1, 0]


def test_a_fleets_rate_is_told_when_it_is_known(page: Page) -> None:
    body = """const now = 1e12;
      const made = (name, seen, pulses) => {
        const d = new m.Device(name);
        d.seen_ms = seen;
        for (const at of pulses) d.rates.add(at, 100);
        return d;
      };
      const never = made('never', null, []);
      const early = made('early', now, [now - 500]);
      const loaded = made('loaded', now, []);
      const known = made('known', now, Array.from({length: 12}, (_, k) => now - 12000 + k * 1000));
      return [[], [never], [never, loaded], [never, early], [never, early, known]].map(d => m.figures(d, now).per_s)"""
    none, idle, loaded, early, known = run(page, "pages/fleet/model.js", body)
    assert [none, idle, loaded, early] == [0, 0, None, None] and known > 50


def test_a_device_that_is_silent_is_called_so(page: Page) -> None:
    body = "return [null, 1e12, 1e12 - 20000, 1e12 - 3.6e6].map(t => m.stateOf(t, 1e12 + 1))"
    assert run(page, "lib/seen.js", body) == ["never", "live", "quiet", "silent"]
    texts = run(
        page,
        "lib/seen.js",
        "return [m.batteryText({level: 0.5, state: 'charging'}), m.batteryText({level: 0.5}), m.batteryText(null)]",
    )
    assert texts == ["50 %, charging", "50 %", None]


def test_which_fields_are_drawn_at_first(page: Page) -> None:
    known = [
        {"name": n, "unit": u, "kind": k}
        for n, u, k in (
            ("level", "1", "number"),
            ("state", "", "text"),
            ("voltage", "V", "number"),
            ("accuracy", "", "number"),
        )
    ]
    found = run(
        page,
        "pages/device/sensors.js",
        "return [m.fieldsOf('battery', a), m.isText(a), m.isText([]), m.isText([a[1], a[3]])]",
        known,
    )
    assert [(f["name"], f["shown"]) for f in found[0]] == [("level", True), ("voltage", False), ("accuracy", False)]
    assert found[1:] == [False, True, True]
