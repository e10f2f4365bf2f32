"""`/healthz`, `/readyz` and `/metrics` of a consumer that runs as a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from consumers.runner import Runner
from telemetry import metrics
from telemetry.settings import Consumers


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals to who owns them."""
        yield


def create_app(runners: Sequence[Runner]) -> Starlette:
    """The application; ready when every runner has joined its group and its last flush went well."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        state = {r.name: {"ready": r.ready, "lag": r.lag, "failing": r.failing} for r in runners}
        return JSONResponse(state, status_code=200 if all(r.ready for r in runners) else 503)

    async def exposition(_: Request) -> Response:
        return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]
    return Starlette(routes=routes)


@asynccontextmanager
async def serving(runners: Sequence[Runner], settings: Consumers) -> AsyncIterator[None]:
    """Serve while the body runs; nothing when `health_port` is 0."""
    if settings.health_port == 0:
        yield
        return
    config = uvicorn.Config(
        create_app(runners),
        host=settings.health_host,
        port=settings.health_port,
        log_config=None,
        access_log=False,
        lifespan="off",
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        with suppress(TimeoutError):
            await asyncio.wait_for(task, 5)
