"""What a browser opens: the pages and their files, with the headers that keep a page from doing what it should not.

The pages hold no data and need no login; what they show they ask of /v1 like anybody else.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.services import services_of
from telemetry.errors import NotFound

FOLDER = Path(__file__).parent / "web"
ASSETS = "/assets"
PHONE = "/phone"
PAGES: Mapping[str, str] = {
    "/": "index.html",
    "/login": "login.html",
    PHONE: "phone.html",
    "/trust": "trust.html",
    "/manifest.webmanifest": "manifest.webmanifest",
    "/sw.js": "sw.js",  # at the root: a service worker rules no page above its own folder
}
CERTIFICATE = "application/x-x509-ca-cert"
MEDIA_TYPES: Mapping[str, str] = {".webmanifest": "application/manifest+json"}  # which Python does not know everywhere
FRESH = "no-cache"  # may be kept, and is asked for again: its ETag says whether it changed
GZIP_BYTES_MIN = 1024
PEM_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\n?")
PEM_BYTES_MAX = 256 * 1024

COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": FRESH,
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{tiles}; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SENSORS = ("accelerometer", "gyroscope", "magnetometer", "geolocation", "screen-wake-lock")
NEVER = ("camera", "microphone", "payment", "usb")


def install(app: FastAPI) -> None:
    """Let the app serve the pages; one whose file is not there is not found."""
    for path, name in PAGES.items():
        if (FOLDER / name).exists():
            app.add_route(path, _page(FOLDER / name), methods=["GET", "HEAD"], include_in_schema=False)
    app.add_route("/ca.crt", _authority, methods=["GET", "HEAD"], include_in_schema=False)
    assets: ASGIApp = GZipMiddleware(StaticFiles(directory=FOLDER), minimum_size=GZIP_BYTES_MIN)
    app.mount(ASSETS, _Guarded(assets), name="assets")


def headers(path: str, tile_url: str = "") -> dict[str, str]:
    """The headers of the page at `path`; map tiles may come from the one address that the settings name."""
    tiles = f" {_origin(tile_url)}" if tile_url else ""
    allowed = "(self)" if path == PHONE else "()"
    features = [f"{name}={allowed}" for name in SENSORS] + [f"{name}=()" for name in NEVER]
    return COMMON | {
        "Content-Security-Policy": POLICY.format(tiles=tiles),
        "Permissions-Policy": ", ".join(features),
        "X-Frame-Options": "DENY",
    }


def _page(file: Path) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        web = services_of(request).settings.gateway.web
        media_type = MEDIA_TYPES.get(file.suffix)
        return FileResponse(file, headers=headers(request.url.path, web.tile_url), media_type=media_type)

    return page


async def _authority(request: Request) -> Response:
    """The certificate that a phone is to trust, as its settings take it; a public thing."""
    file = services_of(request).settings.gateway.authority_file
    found = await asyncio.to_thread(_certificates, Path(file)) if file else b""
    if not found:
        raise NotFound("this station has no certificate authority of its own: start it with `sensorline up --https`")
    named = {"Content-Disposition": 'attachment; filename="sensorline-ca.crt"'}
    return Response(found, headers=headers("/ca.crt") | named, media_type=CERTIFICATE)


def _certificates(file: Path) -> bytes:
    """The certificates of a PEM file and nothing else: people keep keys beside them, and everybody may ask for this."""
    try:
        with file.open("rb") as opened:
            return b"".join(PEM_CERTIFICATE.findall(opened.read(PEM_BYTES_MAX)))
    except OSError:
        return b""


class _Guarded:
    """The assets, with the headers that all answers have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers(ASSETS))
            await send(message)

        await self._app(scope, receive, guarded)


def _origin(tile_url: str) -> str:
    """`https://{s}.tiles.example/{z}/...` -> `https://*.tiles.example`, as a policy writes it."""
    parts = urlsplit(tile_url.replace("{s}", "*"))
    return f"{parts.scheme}://{parts.netloc}"
