"""A browser's session: its cookie, whom it stands for, and that a change comes from our own page.

The browser sends a cookie with every request, also with those that another site's page makes it send.  So a request
that changes something must say by `Origin` that it comes from a page of this very station.
"""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from gateway.auth import check_fresh
from gateway.services import Services
from telemetry.errors import Forbidden
from telemetry.registered_people import WebSession

COOKIE = "sensorline"
SECURE_COOKIE = "__Host-sensorline"  # the browser takes it by https only, for this host only (RFC 6265bis, 4.1.3.2)
SAFE_METHODS = frozenset({"GET", "HEAD"})
DEFAULT_PORTS = {"http": 80, "https": 443}


def session_of(services: Services, connection: HTTPConnection) -> WebSession | None:
    """Whose session the request's cookie is, or None.  An Authorization header stands alone: no cookie beside it.

    Raises `NotReady` when it may have ended without this gateway knowing.
    """
    cookie = None if "authorization" in connection.headers else cookie_of(services, connection)
    if cookie is None:
        return None
    check_fresh(services)
    return services.registry.web_session(cookie, services.clock.now_ns())


def cookie_of(services: Services, connection: HTTPConnection) -> str | None:
    """The session's cookie: by https only the one that no other host can have set."""
    secure = connection.cookies.get(SECURE_COOKIE)
    return secure if secure or is_https(services, connection) else connection.cookies.get(COOKIE)


def check_origin(services: Services, request: Request, *, needed: bool = True) -> None:
    """Raises `Forbidden` when a changing request was not made by our own page.

    With `needed` false a request without an Origin passes: no browser sends such a one across sites.
    """
    if request.method in SAFE_METHODS:
        return
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden("another site's page made this request: nothing was done")
    origin = request.headers.get("origin")
    if origin is None and not needed:
        return
    if origin is None or _origin(origin) not in _own(services, request):
        raise Forbidden("the request's Origin is not this station's page: behind a proxy, set gateway.public_url")


def is_https(services: Services, connection: HTTPConnection) -> bool:
    """True when the page came by https: here, or at the proxy that `gateway.public_url` names."""
    public = _origin(services.settings.gateway.public_url) or ""
    asked = (_asked(connection, "https"), _origin(connection.headers.get("origin", "")))
    return connection.url.scheme == "https" or (public.startswith("https:") and public in asked)


def give(services: Services, request: Request, response: Response, cookie: str, expires_ns: int) -> None:
    """Let the browser keep the session's cookie, out of every script's reach."""
    life_s = max(0, (expires_ns - services.clock.now_ns()) // 10**9)
    _set(services, request, response, cookie, life_s)


def take_back(services: Services, request: Request, response: Response) -> None:
    """Let the browser forget it."""
    _set(services, request, response, "", 0)


def _set(services: Services, request: Request, response: Response, cookie: str, life_s: int) -> None:
    secure = is_https(services, request)
    name = SECURE_COOKIE if secure else COOKIE
    response.set_cookie(name, cookie, max_age=life_s, path="/", secure=secure, httponly=True, samesite="lax")


def _own(services: Services, request: Request) -> set[str | None]:
    """The origins of our own page: as it was asked for, and as the settings call it."""
    return {_asked(request, request.url.scheme), _origin(services.settings.gateway.public_url)} - {None}


def _asked(connection: HTTPConnection, scheme: str) -> str | None:
    return _origin(f"{scheme}://{connection.headers.get('host', '')}")


def _origin(url: str) -> str | None:
    """`scheme://host[:port]` in one spelling; None for what has none, such as `null`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    shown = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{parts.hostname}{shown}"
