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
UNKEPT = ("/v1/login", "/v1/logout", "/v1/me", "/v1/people")  # answers that no cache may keep


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
        counted = _Counted(send, unkept=scope["path"].startswith(UNKEPT))
        try:
            await super().__call__(scope, _bounded(receive), counted.send)
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            metrics.requests.labels(route, str(counted.status)).inc()


class _Counted:
    def __init__(self, send: Send, *, unkept: bool) -> None:
        self._send = send
        self._unkept = unkept
        self.status = 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._unkept:
                message["headers"] = [*message.get("headers", ()), (b"cache-control", b"no-store")]
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
