"""A device's page in real headless Chromium, and when its chart had drawn each batch."""

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal, Protocol

from load.live_clients import Sent

if TYPE_CHECKING:
    from playwright.async_api import Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
)
WAIT_MS = 60_000
LISTEN = """
  window.benchHeard = [];
  window.benchDrawn = [];
  document.addEventListener("sensorline:drawn", (event) =>
    window.benchDrawn.push([event.detail.device, event.detail.seq, Date.now()]));
  const Source = window.EventSource;
  window.EventSource = class extends Source {
    constructor(...how) {
      super(...how);
      this.addEventListener("readings", (event) => {
        const { device, seq } = JSON.parse(event.data);
        window.benchHeard.push([device, seq, Date.now()]);
      });
    }
  };
"""


class Where(Protocol):
    """As much of a station as a browser needs."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    @property
    def password(self) -> str:
        """The person `admin`'s."""
        ...


class Drawn:
    """What an open page has drawn."""

    def __init__(self, page: "Page") -> None:
        self._page = page

    async def late_ms(self, what: Literal["Heard", "Drawn"], sent: Sent, first_seq: int) -> list[float]:
        """From just before each batch's POST until the page had its event, or had drawn it; from `first_seq` on."""
        found: list[tuple[str, int, int]] = await self._page.evaluate(f"() => window.bench{what}")
        first: dict[tuple[str, int], int] = {}
        for device, seq, at_ms in found:
            first.setdefault((device, seq), at_ms)
        return [at_ms - sent.at_ns[place] / 1e6 for place, at_ms in first.items() if place[1] >= first_seq]


@contextlib.asynccontextmanager
async def chart(station: Where, device: str) -> AsyncIterator[Drawn]:
    """The device's page, of somebody who has logged in."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - only where a browser is asked for

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", headless=True, args=[*FLAGS])
        page = await browser.new_page(base_url=station.url, viewport={"width": 1280, "height": 800})
        page.set_default_timeout(WAIT_MS)
        await page.add_init_script(LISTEN)
        await page.goto("/login")
        await page.get_by_label("Name").fill("admin")
        await page.get_by_label("Password", exact=True).fill(station.password)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_selector("#main .page:not([aria-busy])")
        await page.evaluate("place => { location.hash = place }", f"#/device/{device}")
        await page.wait_for_selector("#main canvas")
        yield Drawn(page)
        await browser.close()
