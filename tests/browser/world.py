"""What a browser test works with: a Chromium, a station as its users run it with devices that move, and a person."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from gateway.pages import FOLDER
from sensorline.servers import apt
from sensorline.servers.errors import ServersError
from tests.journey.processes import COMMAND, Process, environment, free_port

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
WAIT_MS = 20_000
START_WAIT_S = 120.0  # of a station on a busy machine
SERIOUS = {"serious", "critical"}
SHIFT_MAX = 0.05  # of a page's whole life; 0.1 is what a person is said to bear
SHIFTS = """
window.shifts = [];
new PerformanceObserver(list => { for (const e of list.getEntries()) if (!e.hadRecentInput)
  window.shifts.push([e.value, ...e.sources.map(s => s.node?.className ?? s.node?.nodeName)]); })
  .observe({type: 'layout-shift', buffered: true});
"""
"""For `add_init_script`: what jumped, and by how much, in `window.shifts`."""

expect.set_options(timeout=WAIT_MS)  # a condition is awaited: a slow machine is no failure


def chromium_path() -> str:
    """Debian's Chromium, installed where CI says so; elsewhere the test is skipped when there is none."""
    try:
        return apt.program("chromium", "chromium", print)
    except ServersError as e:
        pytest.skip(str(e))


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """One headless browser; `flags` are added."""
    path = chromium_path()
    with sync_playwright() as playwright:
        browser = launch(playwright, path, *flags)
        try:
            yield browser
        finally:
            browser.close()


def launch(playwright: Playwright, path: str, *flags: str) -> Browser:
    """Chromium as this machine can run it."""
    return playwright.chromium.launch(executable_path=path, headless=True, args=[*FLAGS, *flags])


@dataclass
class Station:
    """A running `sensorline up` (or whatever listens at `url`) and the folder of its keys."""

    url: str
    data_dir: Path
    process: Process | None = None

    @property
    def key(self) -> str:
        """The first operator's."""
        return (self.data_dir / "operator.key").read_text().strip()

    @property
    def password(self) -> str:
        """The person `admin`'s."""
        return (self.data_dir / "admin.password").read_text().strip()


@contextlib.contextmanager
def station(folder: Path, *options: str) -> Iterator[Station]:
    """`sensorline up` on the embedded engine, in `folder`; `options` are added to its command line."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ["up", "--data-dir", str(folder / "data"), "--port", str(port), *options]
    process = Process(arguments, f"{url}/readyz", folder / "station.log", START_WAIT_S)
    process.start()
    try:
        yield Station(url, folder / "data", process)
    finally:
        process.stop()


@contextlib.contextmanager
def fleet(
    at: Station, *, devices: int = 4, disturb: str = "fall,pothole,stuck", a_minute: float = 1.5
) -> Iterator[Path]:
    """Simulated devices that send until the block ends; the path of their ledger."""
    ledger = at.data_dir.parent / "fleet.jsonl"
    arguments: Sequence[str] = ["--devices", str(devices), "--prefix", "demo", "--drain-s", "10"]
    if disturb:
        arguments = [*arguments, "--disturb", disturb, "--disturb-a-minute", str(a_minute)]
    where = ["--url", at.url, "--data-dir", str(at.data_dir), "--ledger", str(ledger), "--json"]
    popen = subprocess.Popen(
        [COMMAND, "simulate", *arguments, *where],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        yield ledger
    finally:
        popen.terminate()
        popen.wait(30)


def person(browser: Browser, at: Station, *, size: dict[str, int] | None = None, **options: Any) -> Page:
    """A page of somebody who has logged in as admin, by the login page itself."""
    context = browser.new_context(viewport=size or DESKTOP, base_url=at.url, **options)  # type: ignore[arg-type]
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    login(page, at)
    return page


def login(page: Page, at: Station) -> None:
    """As a person does it; returns on the page that was wanted."""
    page.goto(f"{at.url}/login")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password", exact=True).fill(at.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{at.url}/**")
    page.wait_for_selector("#main .page:not([aria-busy])")


def visit(page: Page, place: str) -> None:
    """Go to a page of the dashboard (`map`, `device/demo-0000`) and wait until it stands."""
    page.evaluate("place => { location.hash = '#/' + place }", place)
    name = place.partition("?")[0].partition("/")[0] or "fleet"
    page.wait_for_selector(f"#main .page-{name}:not([aria-busy])")


def shots(page: Page, name: str, folder: Path | None = None) -> list[Path]:
    """The page as it stands, on a phone and a desktop, light and dark; into `SENSORLINE_SHOTS` where that is set."""
    into = folder or (Path(os.environ["SENSORLINE_SHOTS"]) if "SENSORLINE_SHOTS" in os.environ else None)
    if into is None:
        return []
    into.mkdir(parents=True, exist_ok=True)
    before, made = page.viewport_size, []
    for where, size in (("phone", PHONE), ("desktop", DESKTOP)):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            page.wait_for_timeout(300)  # a chart draws again for its new size
            made.append(into / f"{name}-{where}-{theme}.png")
            page.screenshot(path=made[-1])
    page.emulate_media(color_scheme=None)
    if before is not None:
        page.set_viewport_size(before)
    return made


def axe(page: Page) -> list[str]:
    """Serious and critical violations that axe-core finds on the page as it stands."""
    found = Axe().run(page).response["violations"]
    return [
        f"{v['id']} ({v['impact']}): {v['help']}: {[n['target'] for n in v['nodes']][:4]}"
        for v in found
        if v["impact"] in SERIOUS
    ]


ASSETS_ORIGIN = "http://pages.test"


@contextlib.contextmanager
def bare(browser: Browser, script: str = "") -> Iterator[Page]:
    """An empty page that has the files of the dashboard and no network; `script` runs in it first."""
    made = browser.new_page()
    if script:
        made.add_init_script(script)
    made.route(f"{ASSETS_ORIGIN}/**", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    made.route(
        f"{ASSETS_ORIGIN}/assets/**",
        lambda r: r.fulfill(
            path=FOLDER / r.request.url.removeprefix(f"{ASSETS_ORIGIN}/assets/"), content_type="text/javascript"
        ),
    )
    made.goto(f"{ASSETS_ORIGIN}/")
    try:
        yield made
    finally:
        made.close()
