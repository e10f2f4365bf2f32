"""The gateway's HTTP application: routes, errors and counting put together; knows no socket."""

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import openapi, pages, problems
from gateway.routes import routers
from gateway.routes.ingest import OPENAPI, endpoints
from gateway.services import Services
from telemetry import metrics

JSON_BODY_BYTES_MAX = 64 * 2**10  # of every route but ingest, which has its own
UNMATCHED = "none"
# Of every answer that has no such header of its own, errors too: it is shown nowhere, runs nothing, and as it may hold
# where somebody was, no cache keeps it.
GUARDS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class App(FastAPI):
    """FastAPI, with the ingest routes in front of it: they need none of its parsing, and are most of the traffic."""

    ingest: dict[str, ASGIApp]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ingest at once; everything else bounded and counted."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        endpoint = self.ingest.get(scope["path"])
        if endpoint is not None:
            await endpoint(scope, receive, send)
            return
        counted = _Counted(send)
        try:
            await super().__call__(scope, _bounded(receive), counted.send)
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            metrics.requests.labels(route, str(counted.status)).inc()


class _Counted:
    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            own = {name.lower() for name, _ in headers}
            message["headers"] = headers + [guard for guard in GUARDS if guard[0] not in own]
        await self._send(message)


def _bounded(receive: Receive) -> Receive:
    """A `receive` that raises HTTP 413 once a body is over the limit."""
    left_bytes = JSON_BODY_BYTES_MAX

    async def bounded() -> Message:
        nonlocal left_bytes
        message = await receive()
        left_bytes -= len(message.get("body", b""))
        if left_bytes < 0:
            raise problems.too_large(JSON_BODY_BYTES_MAX)
        return message

    return bounded


def create_app(services: Services) -> App:
    """The app over these services; they must be started already, and closed by whoever made them."""
    app = App(title="Sensorline", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.state.services = services
    app.ingest = endpoints(services)
    problems.install(app)
    parts = routers()
    for router in parts:
        app.include_router(router)
    pages.install(app)
    openapi.install(app, OPENAPI, parts)
    return app
