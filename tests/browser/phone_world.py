"""A phone in Chromium: the phone page with emulated motion and position, what it keeps, and its ledger."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import httpx
import orjson
from playwright.sync_api import Browser, BrowserContext, CDPSession, Locator, Page

from simulator.ledger import End
from telemetry import wire
from tests.browser.world import PHONE, WAIT_MS, Station
from tests.journey.edge_site import eventually
from tests.journey.processes import run

SENSORS = ("accelerometer", "linear-acceleration", "gyroscope", "relative-orientation")
ALLOWED = ("geolocation", "accelerometer", "gyroscope", "magnetometer", "screen-wake-lock")
DRAIN_MS = 60_000
STEP_MS = 100
ALL_SENT = re.compile(r"^Everything (else )?is at the station\.$")  # but what the station refused

ACCELERATION = {"x": 0.1, "y": -0.25, "z": 9.7}
LINEAR = {"x": 0.3, "y": 0.4, "z": -0.5}
ROTATION = {"x": 1.0, "y": 0.5, "z": -0.25}
PLACE = {"latitude": 47.123456789, "longitude": 8.987654321, "accuracy": 4.5}

_ROWS = """async (store) => {
  const db = await new Promise((done, failed) => {
    const asked = indexedDB.open("sensorline-phone");
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
  const got = (request) => new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
  try {
    if (store === "made keys") return await got(db.transaction("made").objectStore("made").getAllKeys());
    if (store === "state") {
      const all = db.transaction(store).objectStore(store);
      const keys = await got(all.getAllKeys());
      return [Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await got(all.get(key))])))];
    }
    const rows = await got(db.transaction(store).objectStore(store).getAll());
    return rows.map(({ bytes, ...row }) => ({ ...row, size: bytes?.length }));
  } finally {
    db.close();
  }
}"""

_SET = """async ([name, value]) => {
  const db = await new Promise((done) => {
    const asked = indexedDB.open("sensorline-phone");
    asked.onsuccess = () => done(asked.result);
  });
  const tx = db.transaction("state", "readwrite");
  tx.objectStore("state").put(value, name);
  await new Promise((done) => { tx.oncomplete = done; });
  db.close();
}"""

_OFFLINE_READY = """async () => {
  await navigator.serviceWorker.ready;
  for (const name of await caches.keys()) if (await (await caches.open(name)).match("/whole")) return true;
  return false;
}"""


@dataclass
class Phone:
    """The page as somebody with a phone uses it."""

    page: Page
    at: Station
    device: str
    cdp: CDPSession
    said: list[str] = field(default_factory=list)  # what a console would show in red
    _turn: int = 0

    def enrol(self, query: str = "?ledger") -> None:
        """By a code in the address, as the QR code has it."""
        self.page.goto(f"{self.at.url}/phone{query}#code={code(self.at, self.device)}")
        self.page.wait_for_selector("#toggle:visible")

    def code_field(self) -> Locator:
        """The one that is shown."""
        return self.page.get_by_role("textbox", name="Code")

    def start(self) -> None:
        """Tap."""
        self.page.get_by_role("button", name="Start").click()
        self.page.get_by_role("button", name="Stop").wait_for()

    def stop(self) -> None:
        """Tap."""
        self.page.get_by_role("button", name="Stop").click()
        self.page.get_by_role("button", name="Start").wait_for()

    def open_more(self) -> None:
        """What is folded away."""
        more = self.page.locator("details.more")
        if more.get_attribute("open") is None:
            more.locator("summary").click()

    def send_now(self) -> None:
        """Tap."""
        self.open_more()
        self.page.get_by_role("button", name="Send now").click()

    def move(self) -> None:
        """One emulated moment: the orientation differs from before; the other sensors say the same at 60 Hz."""
        self._turn += 1
        angle = 0.001 * (self._turn % 1000)
        turned = {"x": 0.0, "y": 0.0, "z": angle / 2, "w": (1 - angle * angle / 4) ** 0.5}  # about z, by `angle`
        wanted = {"type": "relative-orientation", "reading": {"quaternion": turned}}
        self.cdp.send("Emulation.setSensorOverrideReadings", wanted)
        self.page.wait_for_timeout(STEP_MS)

    def move_until(self, holds: Callable[[], bool], what: str, wait_ms: int = WAIT_MS) -> None:
        """Go on moving until it holds."""
        for _ in range(wait_ms // STEP_MS):
            self.move()
            if holds():
                return
        raise AssertionError(f"{what}: not within {wait_ms} ms; the page says {self.state()!r}: {self.text()}")

    def record(self, batches: int) -> None:
        """Until so many more batches are on this phone's disk."""
        wanted = self.made() + batches
        self.move_until(lambda: self.made() >= wanted, f"{batches} more batches")

    def made(self) -> int:
        """Batches that were made on this phone, ever."""
        return len(self.page.evaluate(_ROWS, "made keys"))

    def ends(self) -> set[str]:
        """How the batches ended, as far as the page knows."""
        return {row["end"] for row in self.rows("made")}

    def rows(self, store: Literal["batches", "aside", "made", "state"]) -> list[dict[str, Any]]:
        """What a store of the page's database holds, the packed bytes left out."""
        return cast("list[dict[str, Any]]", self.page.evaluate(_ROWS, store))

    def set(self, name: str, value: Any) -> None:
        """One value of the page's `state`; it is read when the page is opened."""
        self.page.evaluate(_SET, [name, value])

    @property
    def totals(self) -> dict[str, Any]:
        """The spool's counts, as committed."""
        return cast("dict[str, Any]", self.rows("state")[0].get("totals", {}))

    def state(self) -> str:
        """The large words."""
        return self.page.inner_text(".state .title")

    def text(self) -> str:
        """All words."""
        return self.page.inner_text("main")

    def wait_state(self, title: str) -> None:
        """Until the large words are these."""
        self.page.locator(".state .title", has_text=title).wait_for()

    def wait_drained(self) -> None:
        """Until the station has everything."""
        self.page.get_by_text(ALL_SENT).wait_for(timeout=DRAIN_MS)

    def wait_offline_ready(self) -> None:
        """Until the page would open without a network."""
        self.wait_true(_OFFLINE_READY)

    def wait_true(self, question: str, argument: Any = None) -> None:
        """Until an asynchronous function of the page says so: `wait_for_function` takes a promise for a yes."""
        for _ in range(WAIT_MS // STEP_MS):
            if self.page.evaluate(question, argument):
                return
            self.page.wait_for_timeout(STEP_MS)
        raise AssertionError(f"not true within {WAIT_MS} ms: {question}")

    def write_ledger(self, path: Path) -> None:
        """What the page says it handed over, and how each ended, as `sensorline verify` reads it."""
        waiting = {(row["session"], row["seq"]) for row in self.rows("batches") if row["kind"] == "batch"}
        lines: list[dict[str, Any]] = []
        for made in self.rows("made"):
            body = made["body"].encode()
            batch = wire.decode(body)
            id_ = {"device": made["device"], "session": made["session"], "seq": made["seq"]}
            hashed = wire.content_hash(wire.encode(batch))
            assert sum(len(series) for series in batch.series) == made["readings"]
            lines.append(id_ | {"hash": hashed, "readings": made["readings"]})
            end = End.UNSENT if (made["session"], made["seq"]) in waiting else made["end"]
            if end:
                lines.append(id_ | {"end": str(end), "reason": made.get("reason", "")})
        path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))

    def verify(self, path: Path) -> dict[str, Any]:
        """The verifier's report on this phone's ledger."""
        self.write_ledger(path)
        where = ("--url", self.at.url, "--data-dir", str(self.at.data_dir))
        return run("verify", "--ledger", str(path), *where, "--json", timeout_s=120)[-1]


@contextlib.contextmanager
def phone(
    browser: Browser, at: Station, device: str, *, permissions: tuple[str, ...] = ALLOWED, sensors: bool = True
) -> Iterator[Phone]:
    """A browser profile of its own, with a page; what the page logs as an error fails the test at the end."""
    context = browser.new_context(viewport=PHONE, geolocation=PLACE, permissions=list(permissions))  # type: ignore[arg-type]
    context.set_default_timeout(WAIT_MS)
    try:
        made = new_page(context, at, device, sensors=sensors)
        yield made
        assert not made.said, made.said
    finally:
        context.close()


def new_page(context: BrowserContext, at: Station, device: str, *, sensors: bool = True) -> Phone:
    """Another tab of the same browser."""
    page = context.new_page()
    cdp = context.new_cdp_session(page)
    made = Phone(page, at, device, cdp)
    page.on("pageerror", lambda error: made.said.append(f"error: {error}"))
    page.on("console", lambda message: _note(made, message.type, message.text))
    for kind in SENSORS if sensors else ():
        cdp.send("Emulation.setSensorOverrideEnabled", {"enabled": True, "type": kind})
    steady = {"accelerometer": ACCELERATION, "linear-acceleration": LINEAR, "gyroscope": ROTATION}
    for kind, vector in steady.items() if sensors else ():
        cdp.send("Emulation.setSensorOverrideReadings", {"type": kind, "reading": {"xyz": vector}})
    return made


def _note(made: Phone, kind: str, text: str) -> None:
    """A request that fails is logged by the browser itself, and is what these tests are about."""
    if kind == "error" and not text.startswith("Failed to load resource"):
        made.said.append(text)


def code(at: Station, device: str) -> str:
    """An enrolment code from the operator."""
    return str(post(at, f"/v1/devices/{device}/codes")["code"])


def post(at: Station, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask as the operator."""
    answer = httpx.post(f"{at.url}{path}", json=body or {}, headers=_key(at), timeout=20)
    assert answer.status_code < 300, answer.text
    return cast("dict[str, Any]", answer.json())


def get(at: Station, path: str, **query: str | int) -> dict[str, Any]:
    """Ask as the operator."""
    answer = httpx.get(f"{at.url}{path}", params=query, headers=_key(at), timeout=20)
    assert answer.status_code == 200, answer.text
    return cast("dict[str, Any]", answer.json())


def readings(at: Station, device: str, sensor: str) -> dict[str, Any]:
    """All of a sensor's readings."""
    return get(at, "/v1/readings", device=device, sensor=sensor, **{"from": 0, "to": 2**62, "limit": 10_000})


def stored_sessions(at: Station, device: str, count: int) -> list[dict[str, Any]]:
    """The completeness of a device's sessions, once the store has so many: a receipt promises the log, no more."""

    def found() -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", get(at, "/v1/completeness", device=device)["sessions"])

    eventually(lambda: len(found()) == count, lambda: f"not {count} sessions of {device} in the store: {found()}")
    return found()


def _key(at: Station) -> dict[str, str]:
    return {"authorization": f"Bearer {at.key}"}


def phone_journey(browser: Browser, at: Station, ledger_path: Path, device: str = "phone-journey") -> dict[str, Any]:
    """From the code to `verify`, on any station; the verifier's report, which the caller asserts to be four zeros.

    Record, lose the network, reload without it, lose the station (where it is a process of this test), come back.
    """
    with phone(browser, at, device) as one:
        one.enrol()
        assert "#" not in one.page.url
        one.wait_offline_ready()
        one.start()
        one.record(2)
        _check_values(one)

        one.page.context.set_offline(True)
        one.record(3)
        one.wait_state("Waiting for the network")
        one.page.reload()  # served by the service worker
        one.start()
        one.record(2)
        assert one.totals["readings"] > 0

        if at.process is not None:
            at.process.kill()
            one.page.context.set_offline(False)
            one.page.reload()  # a network, and nobody at the other end
            one.start()
            one.record(2)
            one.wait_state("Waiting for the")
            at.process.start()
            one.send_now()  # by itself it would try again within minutes
        one.page.context.set_offline(False)
        one.move_until(lambda: one.totals["batches"] <= 2, "the backlog goes out", DRAIN_MS)
        one.stop()
        one.wait_drained()
        sessions = {row["session"] for row in one.rows("made")}
        assert len(sessions) == (3 if at.process is not None else 2)
        return one.verify(ledger_path)


def _check_values(one: Phone) -> None:
    """What was emulated has arrived: values, units, axes and times."""
    wanted = {
        "acceleration": ACCELERATION,
        "linear_acceleration": LINEAR,
        "gyroscope": ROTATION,
        "location": {
            "latitude": PLACE["latitude"],
            "longitude": PLACE["longitude"],
            "horizontal_accuracy": PLACE["accuracy"],
        },
    }
    for sensor, values in wanted.items():
        one.move_until(lambda name=sensor: readings(one.at, one.device, name)["rows"] > 0, f"{sensor} is stored")  # type: ignore[misc]
        columns = readings(one.at, one.device, sensor)["columns"]
        for name, value in values.items():
            tolerance = (
                1e-9 if sensor == "location" else 0.1
            )  # Chromium rounds motion, so that nobody is recognised by it
            assert abs(columns[name][-1] - value) <= tolerance, (sensor, name, columns[name][-1], value)
        now_ns = one.page.evaluate("Date.now()") * 10**6
        assert now_ns - 60 * 10**9 < columns["t"][-1] <= now_ns + 10**9
        assert columns["t"] == sorted(columns["t"])
    turned = readings(one.at, one.device, "orientation")["columns"]
    assert abs(turned["pitch"][-1]) < 0.01
    assert -1.1 < turned["yaw"][-1] <= 0  # turned to the left: Android's yaw falls
    assert abs(turned["qz"][-1] ** 2 + turned["qw"][-1] ** 2 - 1) < 1e-3
