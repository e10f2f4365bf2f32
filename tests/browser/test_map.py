"""The map: devices move on it, with tiles or without, and whoever uses no mouse has the list."""

import re
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.inbox_world import Inbox, flaws, is_narrow_enough, opened, until
from tests.browser.world import PHONE, shots, station

PLACE = {"latitude": [48.137], "longitude": [11.575], "speed": [0.0], "horizontal_accuracy": [5.0]}


def marker(page: Page, device: str) -> tuple[float, float] | None:
    """Where the device's marker stands, from where the map began: two numbers that change as it moves."""
    at: list[float] | None = page.evaluate(
        """name => { const el = document.querySelector(`.place-icon[title="${name}"]`); if (!el) return null;
        const { m41, m42 } = new DOMMatrix(getComputedStyle(el).transform); return [m41, m42]; }""",
        device,
    )
    return None if at is None else (at[0], at[1])


def test_every_device_is_on_it_and_the_ground_has_lines_with_labels(browser: Browser, inbox: Inbox) -> None:
    with opened(browser, inbox, "map") as page:
        for name in ("demo-0000", "demo-0001"):
            expect(page.locator(f'.place-icon[title="{name}"]')).to_have_count(1)
            expect(page.get_by_role("button", name=re.compile(f"^{name}.*(now|ago)")).last).to_be_visible()
        expect(page.locator(".graticule-label.latitude").first).to_have_text(re.compile(r"^\d+° [NS]$|^0°$"))
        expect(page.locator(".graticule-label.longitude").first).to_have_text(re.compile(r"^\d+° [EW]$|^0°$"))
        assert page.locator("path.graticule-line").count() > 4
        expect(page.locator(".leaflet-control-scale-line")).to_have_text(re.compile("km$"))
        expect(page.locator("#link")).to_have_text("Live")
        shots(page, "map-all")
        assert flaws(page) == []
        assert is_narrow_enough(page)


def test_a_device_chosen_in_the_list_is_centred_and_moves(browser: Browser, inbox: Inbox) -> None:
    with opened(browser, inbox, "map") as page:
        row = page.locator('.roster-line[data-device="demo-0000"]')
        row.focus()
        page.keyboard.press("Enter")
        popup = page.locator(".leaflet-popup")
        expect(popup).to_contain_text("demo-0000")
        expect(popup).to_contain_text(re.compile(r"\d+\.\d{5}° [NS], \d+\.\d{5}° [EW]"))
        expect(page).to_have_url(re.compile(r"#/map\?device=demo-0000$"))
        expect(page.locator(".graticule-label.latitude").first).to_have_text(re.compile(r"^\d+\.\d{3,4}° [NS]$"))
        expect(page.get_by_text(re.compile(r"^Track of demo-0000: \d+ positions? in the last 15 min"))).to_be_visible()
        track = page.locator("path.track")
        before, line = marker(page, "demo-0000"), track.get_attribute("d") or ""
        assert before is not None
        until(lambda: marker(page, "demo-0000") != before)
        until(lambda: (track.get_attribute("d") or "") != line)
        shots(page, "map-one")
        page.get_by_role("button", name="Follow").click()
        expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "true")
        center = page.locator(".map-room").bounding_box()
        place = page.locator('.place-icon[title="demo-0000"]').bounding_box()
        assert center is not None
        assert place is not None
        assert abs(center["x"] + center["width"] / 2 - place["x"] - place["width"] / 2) < 20
        assert flaws(page) == []


def test_what_was_found_stands_on_the_track(browser: Browser, inbox: Inbox) -> None:
    one = inbox.anomalies(device="past-0000")[0]
    with opened(browser, inbox, "map?device=past-0000&track=1h") as page:
        expect(page.locator(".find-icon").first).to_be_attached()
        shots(page, "map-found")
        page.locator(".find-icon").first.dispatch_event("click")
        link = page.locator(".leaflet-popup").get_by_role("link", name="Look at it")
        expect(link).to_have_attribute("href", re.compile(r"^#/anomalies/[0-9a-f]{32}$"))
        link.click()
        expect(page.locator(".details .terms a").first).to_have_text(one["device"])


def test_on_a_phone(browser: Browser, inbox: Inbox) -> None:
    with opened(browser, inbox, "map?device=demo-0001", size=PHONE) as page:
        expect(page.locator(".leaflet-popup")).to_contain_text("demo-0001")
        assert is_narrow_enough(page)


class Tiles(BaseHTTPRequestHandler):
    """Grey tiles, and who asked for which."""

    asked: list[str] = []  # noqa: RUF012 - one server a run

    def do_GET(self) -> None:
        """Any tile."""
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(grey_png())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        """Quiet."""


def grey_png() -> bytes:
    """One pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\xb4")) + chunk(b"IEND", b"")
    )


@pytest.fixture
def tiles() -> Iterator[str]:
    """The address of a tile server of our own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Tiles) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_tiles_come_from_the_address_in_the_settings_and_no_other(browser: Browser, tiles: str, tmp_path: Path) -> None:
    settings = {"tile_url": f"{tiles}/{{z}}/{{x}}/{{y}}.png", "tile_attribution": "<b>Ours</b> & theirs"}
    options = [part for name, value in settings.items() for part in ("--set", f'gateway.web.{name}="{value}"')]
    with station(tmp_path, "--set", "detect.enabled=false", *options) as at, httpx.Client(base_url=at.url) as client:
        client.headers["Authorization"] = f"Bearer {at.key}"
        made = Inbox(at, client)
        made.post("still", "one", 0, [{"sensor": "location", "t0": time.time_ns() - 10**9, "dt": [0], "values": PLACE}])
        until(lambda: made.get("/v1/latest", sensor="location")["latest"])
        with opened(browser, made, "map") as page:
            asked: set[str] = set()
            page.on("request", lambda r: asked.add(urlsplit(r.url).netloc))
            expect(page.locator("img.leaflet-tile-loaded").first).to_be_attached()
            page.get_by_role("button", name="Zoom in").click()
            until(lambda: len({path.split("/")[1] for path in Tiles.asked}) > 1)
            expect(page.locator(".graticule-label")).to_have_count(0)
            expect(page.locator(".leaflet-control-attribution")).to_have_text("<b>Ours</b> & theirs")
            shots(page, "map-tiles")
            assert asked <= {urlsplit(tiles).netloc, urlsplit(at.url).netloc}
            other = page.context.new_page()  # not watched: it does what must be refused
            other.goto("/#/map")
            elsewhere = "http://127.0.0.1:1/0/0/0.png"
            refused = other.evaluate(
                """src => new Promise(done => { document.addEventListener("securitypolicyviolation",
                e => done(e.blockedURI), { once: true }); new Image().src = src; })""",
                elsewhere,
            )
            assert refused == elsewhere
