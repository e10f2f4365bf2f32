"""The phone page's pure modules in Chromium, against the Python they must agree with."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from edge.retry import Free, Hold, RetryIn, SetAside, decide
from edge.transports import Answer
from telemetry import wire
from telemetry.batch import BatchId
from telemetry.errors import Invalid
from telemetry.reading import CATALOGUE
from telemetry.remote_settings import Report, Versioned
from tests.browser.world import Station

ID = BatchId("phone-1", "01JD3Z8K", 7)
RECEIPT = {"status": "stored", **ID._asdict(), "readings": 1, "rejected": {}, "duplicate": False}
WORDS = {Free: "free", SetAside: "aside", Hold: "hold", RetryIn: "retry"}


@pytest.fixture(scope="module")
def page(browser: Browser, phone_station: Station) -> Iterator[Page]:
    """Any page of the station's; modules are imported into it."""
    made = browser.new_page()
    made.goto(f"{phone_station.url}/phone")
    yield made
    made.close()


def call(page: Page, module: str, body: str, argument: Any = None) -> Any:
    """`body` is the body of a function of the module `m` and the argument `a`."""
    script = f"async (a) => {{ const m = await import('/assets/phone/{module}.js'); {body} }}"
    return page.evaluate(script, argument)


def test_the_catalogue_is_the_stations(page: Page) -> None:
    said = call(page, "catalogue", "return m.SENSORS")
    assert len(said) == 6
    for sensor, fields in said.items():
        known = CATALOGUE[sensor].by_name
        order = [name for name in known if name in {f["name"] for f in fields}]
        assert [f["name"] for f in fields] == order
        for field in fields:
            ours = known[field["name"]]
            assert field["kind"] == ours.kind
            if ours.kind.is_number:
                assert (field["low"], field["high"]) == (ours.low, ours.high), (sensor, field)


def test_float32_has_the_shortest_text_that_keeps_it(page: Page) -> None:
    random = np.random.default_rng(5)
    bits = random.integers(0, 2**32, 4000, dtype=np.uint32).view(np.float32)
    values = [float(x) for x in bits if np.isfinite(x)] + [0.1, 9.80665, 1 / 3, -0.0, 0.0, 1e-45, 3.4e38, 16777217.0]
    texts = call(page, "numbers", "return a.map(m.float32)", values)
    for value, text in zip(values, texts, strict=True):
        kept = np.float32(value)
        assert np.float32(float(text)) == kept, (value, text)
        if abs(kept) >= np.finfo(np.float32).tiny:  # below, a float32 has fewer digits, and nothing measures so little
            assert _digits(text) <= _digits(np.format_float_scientific(kept, unique=True)), (value, text)
    assert texts[-8] == "0.1"


def _digits(text: str) -> int:
    return len(text.strip("-").split("e")[0].replace(".", "").strip("0"))


def test_what_would_be_refused_is_absent(page: Page) -> None:
    body = """const f = {name: "speed", kind: "float32", low: 0, high: 12000};
      return [NaN, Infinity, -1, 12001, null, undefined, "3", 3, 12000].map((x) => m.text(f, x));"""
    assert call(page, "numbers", body) == ["null"] * 7 + ["3", "12000"]


def test_a_batch_is_what_the_station_decodes_and_no_digit_of_a_time_is_lost(page: Page) -> None:
    body = """const i = await import("/assets/phone/identity.js");
      const b = new m.Batcher();
      b.append("acceleration", 1795362544123457, {x: 0.1, y: null, z: 9.8}, 0);
      b.append("acceleration", 1795362544133456, {x: Math.fround(0.2), z: -9.7}, 5);
      b.append("location", 1795362544123457, {latitude: 47.12345678901234, longitude: 8.9, speed: null}, 5);
      b.append("battery", 1795362544123457, {level: 0.5, state: "unplugged"}, 5);
      return i.body(a, b.flush());"""
    text = call(page, "batcher", body, ID._asdict())
    batch = wire.decode(text.encode())
    assert batch.id == ID
    motion, place, battery = batch.series
    assert list(motion.t) == [1795362544123457000, 1795362544133456000]
    assert set(motion.values) == {"x", "z"}
    assert motion.values["x"][0] == np.float32(0.1)
    assert place.values["latitude"][0] == 47.12345678901234
    assert set(place.values) == {"latitude", "longitude"}
    assert battery.values["state"] == ("unplugged",)
    assert json.loads(text) == json.loads(wire.encode(batch)), "already canonical"
    gone = wire.decode(call(page, "identity", "return m.tombstone(a, 60, 'spool_full')", ID._asdict()).encode())
    assert gone.dropped is not None
    assert (gone.dropped.readings, gone.dropped.reason) == (60, "spool_full")


def test_cuts_keep_to_the_size_the_count_and_the_period(page: Page) -> None:
    body = """const v = {x: -1.2345678, y: -2.2345678, z: -3.2345678};
      const fill = (limits, n) => {
        const b = new m.Batcher(limits); const cuts = [];
        for (let k = 0; k < n; k++) {
          const c = b.append("gyroscope", 1795362544123457 + k * 16667, v, 0);
          if (c) cuts.push(c);
        }
        const last = b.flush(); if (last) cuts.push(last);
        return cuts.map((c) => [c.readings, c.tail.length]);
      };
      const timed = new m.Batcher(); timed.append("gyroscope", 1, v, 0);
      return {size: fill({size_bytes_max: 8192}, 1000), count: fill({readings_max: 50}, 120),
              period: [timed.poll(999), timed.poll(1000)?.readings, timed.poll(2000)],
              empty: new m.Batcher().append("gyroscope", 1, {x: null}, 0)};"""
    said = call(page, "batcher", body)
    assert all(size <= 8192 for _, size in said["size"])
    assert sum(n for n, _ in said["size"]) == 1000
    assert said["size"][0][1] > 6000, "a cut is about as large as it may be"
    assert [n for n, _ in said["count"]] == [50, 50, 20]
    assert said["period"] == [None, 1, None]
    assert said["empty"] is False


def test_an_answer_means_what_it_means_to_the_agent(page: Page) -> None:
    statuses = [None, *range(200, 600)]
    answers = [{"status": s, "retry_after_s": None, "text": json.dumps(RECEIPT)} for s in statuses]
    body = "return a[0].map((answer) => m.decide(0, answer, a[1], () => 0.5).do)"
    said = call(page, "decide", body, [answers, ID._asdict()])
    for status, word in zip(statuses, said, strict=True):
        if status != 499:  # Sensor Logger's own
            assert word == WORDS[type(decide(0, Answer(status), Random(1)))], status


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>Welcome to the hotel</html>",
        "{}",
        "null",
        "[]",
        json.dumps(RECEIPT | {"seq": 8}),
        json.dumps(RECEIPT | {"device": "phone-2"}),
        json.dumps(RECEIPT | {"session": "other"}),
        json.dumps(RECEIPT | {"status": "ok"}),
    ],
)
def test_a_200_without_this_batchs_receipt_frees_nothing(page: Page, body: str) -> None:
    answer = {"status": 200, "retry_after_s": None, "text": body}
    assert call(page, "decide", "return m.decide(0, a[0], a[1], () => 0.5).do", [answer, ID._asdict()]) == "retry"


def test_waits_are_jittered_bounded_and_believe_retry_after(page: Page) -> None:
    body = """const all = (attempt, after) => [0, 0.5, 0.999].map((r) => m.wait_s(attempt, after, () => r));
      return {first: all(0, null), tenth: all(10, null), late: all(99, null), told: all(3, 7), absurd: all(3, 1e9),
              header: ["3", "0", "", null, "soon", "Fri, 13 Nov 2026 12:00:10 GMT"]
                .map((t) => m.retryAfter_s(t, Date.UTC(2026, 10, 13, 12)))};"""
    said = call(page, "backoff", body)
    assert said["first"] == pytest.approx([0.05, 0.1, 0.2], abs=0.01)
    assert 0.05 <= said["tenth"][0] < said["tenth"][2] <= 204.8
    assert max(said["late"]) <= 300
    assert min(said["told"]) == 7
    assert max(said["told"]) <= 7 * 1.25
    assert max(said["absurd"]) <= 3600 * 1.25
    assert said["header"] == [3, 0, None, None, None, 10]


def test_axes_are_androids_on_every_platform(page: Page) -> None:
    body = """const e = {accelerationIncludingGravity: {x: 1, y: 2, z: 9.8}, acceleration: {x: 1, y: 2, z: 3},
        rotationRate: {alpha: 180, beta: 90, gamma: -45}};
      return {w3c: m.motion(e, false), ios: m.motion(e, true),
        none: m.motion({acceleration: {x: null}, rotationRate: null}, false),
        is: [["Apple Computer, Inc.", 5], ["Apple Computer, Inc.", 0], ["Google Inc.", 5], ["", 5]]
          .map(([vendor, maxTouchPoints]) => m.isInverted({vendor, maxTouchPoints}))};"""
    said = call(page, "axes", body)
    w3c, ios = dict(said["w3c"]), dict(said["ios"])
    assert w3c["acceleration"] == {"x": 1, "y": 2, "z": 9.8}
    assert ios["acceleration"] == {"x": -1, "y": -2, "z": -9.8}
    assert ios["linear_acceleration"] == {"x": -1, "y": -2, "z": -3}
    assert ios["gyroscope"] == w3c["gyroscope"] == pytest.approx({"x": np.pi, "y": np.pi / 2, "z": -np.pi / 4})
    assert said["none"] == []
    assert said["is"] == [True, False, False, False]


def _rotation(alpha: float, beta: float, gamma: float) -> Any:
    """The matrix that the events' angles stand for: intrinsic z, x', y''; device -> world."""
    a, b, g = np.radians([alpha, beta, gamma])
    z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    y = np.array([[np.cos(g), 0, np.sin(g)], [0, 1, 0], [-np.sin(g), 0, np.cos(g)]])
    return z @ x @ y


def test_orientation_is_the_same_rotation_as_androids_angles_and_as_a_quaternion(page: Page) -> None:
    random = np.random.default_rng(3)
    angles = [
        {"alpha": float(a), "beta": float(b), "gamma": float(g)}
        for a, b, g in random.uniform([0, -180, -90], [360, 180, 90], (50, 3))
    ]
    for given, (_, said) in zip(angles, call(page, "axes", "return a.map(m.orientation)", angles), strict=True):
        r = _rotation(**given)
        # SensorManager.getOrientation, of the row-major matrix
        assert said["yaw"] == pytest.approx(np.arctan2(r[0, 1], r[1, 1]), abs=1e-9)
        assert said["pitch"] == pytest.approx(np.arcsin(-r[2, 1]), abs=1e-9)
        assert said["roll"] == pytest.approx(np.arctan2(-r[2, 0], r[2, 2]), abs=1e-9)
        w, x, y, z = (said[name] for name in ("qw", "qx", "qy", "qz"))
        matrix = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        assert np.allclose(matrix, r, atol=1e-9)
    flat = call(page, "axes", "return m.orientation({alpha: null, beta: 90, gamma: 0})")
    assert set(flat[1]) == {"pitch", "roll"}
    assert call(page, "axes", "return m.orientation({alpha: null, beta: null, gamma: null})") is None


def test_a_clock_that_was_set_is_noticed_and_stamps_are_whole_microseconds(page: Page) -> None:
    body = """const t = new m.Tie({mono: 1000.1, wall: 1795362544000}, NaN);
      const o = new m.Tie({mono: 1000, wall: 1795362544000}, 1795362543000.25);
      return {stamp: t.stamp_us(2000.123), origin: o.stamp_us(0.5),
        stale: new m.Tie({mono: 0, wall: 5e6}, 0).offset_ms,
        off: [400, 600, -600].map((by) => t.isOff({mono: 3000.1, wall: 1795362546000 + by})),
        fix: [[5000, 6e6, 0], [7000, 6e6, 0], [5000, 6e6, 5.5e6], [1, 9e9, 0], [NaN, 6e6, 0]]
          .map((f) => m.fixed_us(...f))};"""
    said = call(page, "clock", body)
    assert said["stamp"] == 1795362545000023
    assert said["origin"] == 1795362543000750
    assert said["stale"] == 5e6
    assert said["off"] == [False, True, True]
    assert said["fix"] == [5e6, 6e6, 5500001, 9e9, 6e6]


def test_lanes_and_the_spools_policy(page: Page) -> None:
    body = """const p = await import("/assets/phone/policy.js");
      const t = new m.Throttle(1000); t.took(1000, 0); const first = t.wait_ms(0); t.took(2000, 0);
      const o = new m.Outage(); o.failed(0); const short = o.gotThrough(599_000, 9);
      o.failed(700_000); o.failed(1_299_000); const long = o.gotThrough(1_300_000, 9);
      o.failed(0); const idle = o.gotThrough(999_000, 1);
      return {throttle: [first, t.wait_ms(0), t.wait_ms(5000)], outage: [short, long, idle, o.gotThrough(9e9, 9)],
        paused: [0, 1, 2].map(m.isBacklogPaused),
        droppable: [["batch", true], ["batch", false], ["tombstone", false]]
          .map(([kind, first]) => p.isDroppable({kind}, first)),
        limit: [p.limit(undefined, undefined), p.limit(100e6, undefined), p.limit(1e12, 65536), p.limit(10, 10)],
        tombs: [p.areTombstonesTooMany(10, 65536), p.areTombstonesTooMany(60, 65536)]};"""
    said = call(page, "lanes", body)
    assert said["throttle"] == [0, 2000, 0]
    assert said["outage"] == [False, True, False, False]
    assert said["paused"] == [False, False, True]
    assert said["droppable"] == [False, True, False]
    assert said["limit"] == [256 * 2**20, 50e6, 65536, 32 * 1024]
    assert said["tombs"] == [False, True]


def test_downloaded_settings_are_checked_as_an_edge_agent_does(page: Page) -> None:
    documents: list[Any] = [
        *({"version": 3, "batch_period_s": s} for s in (2, 0.5, 3600, 3600.5, 0, -1, True, "2", None)),
        *({"version": v} for v in (1, 2**31 - 1, 2**31, -1, 1.5, "1", None)),
        {"version": 3, "sources": {"location": {"enabled": False}, "battery": {"enabled": True}}},
        {"version": 3, "sources": {"location": {"enabled": "no"}}},
        {"version": 3, "sources": {"location": {"enabled": False, "speed": 3}}},
        {"version": 3, "sources": {"location": None}},
        {"version": 3, "sources": []},
        {"version": 3, "unknown": 1},
        None,
        [],
        "3",
    ]
    body = "return a.map((one) => m.taken(m.NONE, one)).map((one) => [m.report(one), one === m.NONE])"
    for document, (report, is_ignored) in zip(documents, call(page, "settings", body, documents), strict=True):
        said = Report.parse(report)
        assert said is not None, report
        assert said.text == report
        try:
            wanted = Versioned.parse(document)
        except Invalid:
            assert is_ignored or (said.in_force, said.failed) == (0, 3), document
        else:
            assert (said.in_force, said.failed) == (wanted.version, None), document
    body = """const on = m.taken(m.NONE, {version: 2, batch_period_s: 2, sources: {location: {enabled: false}}});
      const bad = m.taken(on, {version: 3, sources: {imu: {enabled: true}}});
      const rate = m.taken(bad, {version: 4, sources: {gyroscope: {rate_hz: 50}}});
      return [[on, bad, rate, m.taken(rate, {version: 5})].map(m.report), m.taken(bad, {version: 3}) === bad,
        [m.NONE, rate].map(m.meaning).map(({period_ms, off}) => [period_ms, [...off]])]"""
    reports, is_told_once, meanings = call(page, "settings", body)
    assert reports[0] == "2"
    assert reports[1].startswith("2 failed=3 there is no source imu in a browser")
    assert reports[2:] == ["2 failed=4 source gyroscope (a browser's) has no rate_hz", "5"]
    assert is_told_once
    assert meanings == [[1000, []], [2000, ["location"]]]


def test_a_screen_that_was_let_go_while_it_was_asked_for_is_not_kept_on(page: Page) -> None:
    body = """const locks = [], asked = [];
      Object.defineProperty(navigator, "wakeLock", {configurable: true, value: {request: () => new Promise((done) => {
        const lock = {released: false, release: async () => { lock.released = true; }};
        locks.push(lock);
        asked.push(() => done(lock));
      })}});
      const screen = new m.Screen();
      const kept = screen.keep();
      await screen.release();
      asked[0]();
      await kept;
      const was_let_go = locks[0].released;
      const both = [screen.keep(), screen.keep()];
      asked.slice(1).forEach((one) => one());
      await Promise.all(both);
      const held = locks.filter((one) => !one.released).length;
      await screen.release();
      delete navigator.wakeLock;
      return [was_let_go, held, locks.every((one) => one.released)];"""
    assert call(page, "screen", body) == [True, 1, True]


def test_rates_are_of_the_last_seconds(page: Page) -> None:
    body = """const g = new m.Gauge(); const seen = [];
      for (let ms = 0; ms < 5000; ms += 20) {
        g.count("gyroscope", {}, ms);
        if (ms % 1000 === 980) seen.push(g.rates(ms).gyroscope);
      }
      return [seen, g.rates(5500).gyroscope, g.rates(9500).gyroscope];"""
    seen, after, silent = call(page, "gauge", body)
    assert seen == [50, 50, 50, 50, 50]
    assert after == 50
    assert silent == 0


def test_sessions_names_are_new_valid_and_sort_by_time(page: Page) -> None:
    names = call(page, "identity", "return [1, 1795362544000, 1795362544001].map((ms) => m.newSession(ms))")
    assert [len(name) for name in names] == [26] * 3
    assert names == sorted(names)
    many = call(page, "identity", "return Array.from({length: 200}, () => m.newSession(5))")
    assert len(set(many)) == 200
    assert all(c in "0123456789ABCDEFGHJKMNPQRSTVWXYZ" for name in many for c in name)
