"""LISTENER: http.  The socket in front of the application: TLS, deadlines, connections, and a graceful end.

The other end is `edge/transports/http.py`.  Delivery: a 2xx is sent only for what the log has; every request that
ends here without an answer must be sent again.
"""

import asyncio
import contextlib
import logging
import resource
import time
from email.utils import formatdate
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.listeners.certificate import Certificate
from gateway.listeners.protocol import Connections, GuardedProtocol
from telemetry.errors import Misconfigured
from telemetry.loopback import is_loopback
from telemetry.settings import Gateway

logger = logging.getLogger(__name__)

FILES_KEPT = 128  # descriptors for the log, the store and their clients
BACKLOG = 1024
TICK_S = 1.0
TICKS_A_DEADLINE = 8
ABORT_WAIT_S = 0.5
LOOK_EVERY_S = 10.0  # at the certificate's files


class Server:
    """Serves one application on one address.  The event loop is the caller's (uvloop is much the fastest)."""

    def __init__(self, settings: Gateway, app: ASGIApp) -> None:
        """Raises `Misconfigured`: plain HTTP off loopback, or certificates that cannot be read."""
        self._settings = settings
        self._certificate = Certificate.of(settings)
        if self._certificate is None and not settings.plain_http_anywhere and not is_loopback(settings.host):
            raise Misconfigured(
                f"plain HTTP on {settings.host} would show tokens to the network: set gateway.certfile and "
                "gateway.keyfile, or gateway.plain_http_anywhere if something in front does TLS",
                path="gateway.host",
            )
        self._guard = Connections(settings.limits, _connections_max(settings.limits.connections_max))
        self._state = ServerState()
        self._config = Config(
            app,
            http=GuardedProtocol,
            ws="none",
            loop="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        self._server: asyncio.Server | None = None
        self._upkeep: list[asyncio.Task[None]] = []
        self.port = 0

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._guard.all)

    async def start(self) -> int:
        """Listen; the port, also when any free one was asked for.  Raises `Misconfigured` when it is taken."""
        loop = asyncio.get_running_loop()
        self._config.load()
        self._state.default_headers = _date()
        tls: dict[str, Any] = {}
        if self._certificate is not None:
            handshake_s = self._settings.limits.header_wait_s
            tls = {"ssl": self._certificate.context, "ssl_handshake_timeout": handshake_s}
        try:
            self._server = await loop.create_server(
                lambda: GuardedProtocol(self._config, self._state, {}, self._guard, loop),
                self._settings.host,
                self._settings.port,
                backlog=BACKLOG,
                **tls,
            )
        except OSError as e:
            where = f"{self._settings.host}:{self._settings.port}"
            raise Misconfigured(f"cannot listen on {where}: {e.strerror or e}", path="gateway.port") from e
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._upkeep.append(asyncio.create_task(self._tick(), name="http-listener"))
        if self._certificate is not None:
            self._upkeep.append(asyncio.create_task(_look(self._certificate), name="http-certificate"))
        return self.port

    async def stop(self) -> None:
        """Stop listening, let requests end within `stop_wait_s`, then end them.  Safe to call again."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for protocol in tuple(self._guard.all):
            protocol.shutdown()
        if not await self._drained(self._settings.stop_wait_s):
            logger.warning("%d requests did not end in time", len(self._state.tasks))
            for task in tuple(self._state.tasks):
                task.cancel()
            for protocol in tuple(self._guard.all):
                protocol.transport.abort()
            await self._drained(ABORT_WAIT_S)
        for task in self._upkeep:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _drained(self, wait_s: float) -> bool:
        until_s = time.monotonic() + wait_s
        while self._guard.all or self._state.tasks:
            if time.monotonic() >= until_s:
                return False
            await asyncio.sleep(0.02)
        return True

    async def _tick(self) -> None:
        """Look after deadlines, and keep the Date header right."""
        limits = self._settings.limits
        shortest_s = min(limits.header_wait_s, limits.body_window_s, limits.idle_wait_s)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(TICK_S, shortest_s / TICKS_A_DEADLINE))
            self._state.default_headers = _date()
            self._guard.sweep(loop.time())


async def _look(certificate: Certificate) -> None:
    """See renewed files; in a thread, as they may be on a slow disk."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.to_thread(certificate.look)


def _connections_max(wanted: int) -> int:
    """As many as the process may open files for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = wanted if files == resource.RLIM_INFINITY else max(1, files - FILES_KEPT)
    if possible < wanted:
        logger.warning("at most %d connections, not %d: the limit of open files is %d", possible, wanted, files)
    return min(wanted, possible)


def _date() -> list[tuple[bytes, bytes]]:
    return [(b"date", formatdate(usegmt=True).encode())]
