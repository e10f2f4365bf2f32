"""One station for the inbox, map, pipeline and completeness: with anomalies, gaps, dead letters and a viewer."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.world import COMMAND, DESKTOP, SHIFT_MAX, WAIT_MS, Station, axe, environment, fleet, station

T = TypeVar("T")

DETECT_WAIT_S = 180.0  # a machine's first start compiles the detectors
NARROW = {"width": 360, "height": 740}
GAPPY = (0, 1, 2, 5, 9, 10, 11)  # what came of the session with gaps
WATCH = """
  window.__shift = 0;
  window.__refused = [];
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) if (!e.hadRecentInput) window.__shift += e.value;
  }).observe({ type: "layout-shift", buffered: true });
  document.addEventListener("securitypolicyviolation", (e) => window.__refused.push(`${e.violatedDirective} ${e.blockedURI}`));
"""  # noqa: E501 - JavaScript


@dataclass
class Inbox:
    """The station, and what asks it as its first operator."""

    at: Station
    client: httpx.Client
    viewer: tuple[str, str] = ("", "")  # name and password
    tokens: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, Any] = field(default_factory=dict)  # by person: nobody logs in twice

    def get(self, path: str, **params: Any) -> Any:
        """An answer of the API."""
        answer = self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def anomalies(self, **params: Any) -> list[dict[str, Any]]:
        """Latest first."""
        found: list[dict[str, Any]] = self.get("/v1/anomalies", **params)["anomalies"]
        return found

    def label(self, id_: str) -> dict[str, Any] | None:
        """What was said of an anomaly, as the API tells."""
        said: dict[str, Any] | None = self.get(f"/v1/anomalies/{id_}")["label"]
        return said

    def post(self, device: str, session: str, seq: int, series: list[Mapping[str, Any]]) -> None:
        """A batch of that device, which is enrolled first."""
        if device not in self.tokens:
            self.tokens[device] = self.client.post("/v1/devices", json={"device": device}).json()["token"]
        batch = {"v": 1, "device": device, "session": session, "seq": seq, "series": series}
        answer = self.client.post("/v1/batches", json=batch, headers={"Authorization": f"Bearer {self.tokens[device]}"})
        assert answer.status_code == 200, answer.text

    def simulate(self, prefix: str, *, devices: int = 1, seconds: int = 45, seed: int = 1) -> None:
        """So many seconds of devices that get stuck, fall and jump, as fast as they can be sent."""
        ledger = self.at.data_dir.parent / f"{prefix}.jsonl"
        what = ["--devices", str(devices), "--seconds", str(seconds), "--speed", "0", "--prefix", prefix]
        chance = ["--disturb", "stuck,fall,gps_jump", "--disturb-a-minute", "6", "--seed", str(seed)]
        where = ["--url", self.at.url, "--data-dir", str(self.at.data_dir), "--ledger", str(ledger), "--json"]
        subprocess.run(
            [COMMAND, "simulate", *what, *chance, *where],
            check=True,
            capture_output=True,
            timeout=120,
            env=environment(),
        )


def until(ask: Callable[[], T], wait_s: float = 30.0) -> T:
    """The first answer that is something; fails when there is none in time."""
    deadline_s = time.monotonic() + wait_s
    while time.monotonic() < deadline_s:
        if found := ask():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {wait_s} s")


@pytest.fixture(scope="session")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inbox]:
    """A fleet that moves, anomalies found, a session with gaps, conflicts among the dead letters."""
    with station(tmp_path_factory.mktemp("inbox")) as at, httpx.Client(base_url=at.url, timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {at.key}"
        made = Inbox(at, client)
        _conflicts(made)
        told = client.post("/v1/people", json={"name": "vera", "role": "viewer"}).json()
        made.viewer = (told["name"], told["password"])
        with fleet(at, devices=2, disturb="fall,stuck"):
            made.simulate("past", devices=2)
            until(lambda: len(made.anomalies()) >= 6, DETECT_WAIT_S)
            yield made


def _conflicts(made: Inbox) -> None:
    """The same numbers with other content: a gateway that forgot the first takes them, and the index does not."""
    now_ns = time.time_ns() - 60 * 10**9
    for z in (9.81, 1.0):
        for seq in GAPPY:
            made.post("double", "one", seq, [motion(now_ns + seq * 10**9, z)])
        if z != 1.0:
            assert made.at.process is not None
            made.at.process.stop()
            made.at.process.start()
    until(lambda: len(made.get("/v1/deadletters")["deadletters"]) == len(GAPPY))


def motion(t_ns: int, z: float) -> dict[str, Any]:
    """Two readings."""
    return {
        "sensor": "acceleration",
        "t0": t_ns,
        "dt": [0, 10_000_000],
        "values": {"x": [0.0, 0.0], "y": [0.0, 0.0], "z": [z, z]},
    }


@contextmanager
def opened(
    browser: Browser, inbox: Inbox, place: str, *, as_viewer: bool = False, size: dict[str, int] | None = None
) -> Iterator[Page]:
    """`place` of the dashboard as an admin or a viewer has it; nothing may have gone wrong there by the end.

    What its policy refused, what moved about and what was told to the console fails the test; not so an answer with an
    error's status, which Chromium tells there too: tests ask for some.
    """
    name, password = inbox.viewer if as_viewer else ("admin", inbox.at.password)
    options: dict[str, Any] = {"viewport": size or DESKTOP, "base_url": inbox.at.url}
    context = browser.new_context(**options, storage_state=inbox.cookies.get(name))
    context.set_default_timeout(WAIT_MS)
    context.add_init_script(WATCH)
    page = context.new_page()
    try:
        if name not in inbox.cookies:
            log_in(page, name, password)
            inbox.cookies[name] = context.storage_state()
        wrong: list[str] = []
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.goto("about:blank")
        page.goto(f"/#/{place}")
        page.wait_for_selector(f"#main .page-{place.partition('?')[0].partition('/')[0]}:not([aria-busy])")
        yield page
        refused, shift = page.evaluate("[window.__refused, window.__shift]")
        assert not refused, refused
        assert shift < SHIFT_MAX, f"the layout shifted by {shift}"
        unexpected = [one for one in wrong if "Failed to load resource" not in one]
        assert not unexpected, unexpected
    finally:
        context.close()


def log_in(page: Page, name: str, password: str) -> None:
    """By the login page."""
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("#main .page")


def flaws(page: Page) -> list[str]:
    """What axe-core finds on the page in either theme."""
    found = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found += [f"{theme}: {flaw}" for flaw in axe(page)]
    page.emulate_media(color_scheme=None)
    return found


def is_narrow_enough(page: Page) -> bool:
    """Whether nothing is beyond the right edge of the smallest phone; the size is put back."""
    before = page.viewport_size
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    fits = bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
    if before is not None:
        page.set_viewport_size(before)
    return fits
