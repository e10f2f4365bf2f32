"""uvicorn's HTTP protocol with what it lacks: deadlines, bounded headers, and answers that refused senders get to read.

uvicorn closes no slow headers, no slow bodies and no sockets that never send; it bounds no header bytes; and it
closes on a sender that is still sending, whose kernel then throws our answer away.
"""

import asyncio
import ipaddress
import logging
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.listeners.pace import Pace, Phase
from gateway.problems import MEDIA_TYPE, document
from telemetry import metrics
from telemetry.settings import Limits

PIPELINED_MAX = 16
IPV6_SITE_BITS = 64  # one subscriber has at least that many addresses

# uvicorn warns of every request that it cannot parse: a stranger could fill the disk so.  They are counted instead.
_quiet = logging.getLogger("gateway.listeners.uvicorn")
_quiet.setLevel(logging.ERROR)


class Connections:
    """Who is connected: in all and by address."""

    def __init__(self, limits: Limits, connections_max: int) -> None:
        self.limits = limits
        self.all: set[GuardedProtocol] = set()
        self._connections_max = connections_max
        self._by_address: dict[str, int] = {}

    def admit(self, protocol: "GuardedProtocol", address: str) -> bool:
        """Count it in, or False when there are too many."""
        mine = self._by_address.get(address, 0)
        if len(self.all) >= self._connections_max or mine >= self.limits.connections_per_address_max:
            return False
        self._by_address[address] = mine + 1
        self.all.add(protocol)
        return True

    def leave(self, protocol: "GuardedProtocol", address: str) -> None:
        """Count it out, if it was in."""
        if protocol not in self.all:
            return
        self.all.discard(protocol)
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def sweep(self, now_s: float) -> None:
        """Close who is overdue."""
        for protocol in tuple(self.all):
            protocol.check(now_s)


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        guard: Connections,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.logger = _quiet
        self.access_log = False
        self.timeout_keep_alive = guard.limits.idle_wait_s  # type: ignore[assignment]  # any number of seconds will do
        self._guard = guard
        self._pace = Pace(guard.limits, loop.time())
        self._address = ""
        self._refused = False
        self._close_after = False
        self._write_paused_s: float | None = None

    # --- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = _site(self.client[0] if self.client else "")
        if not self._guard.admit(self, self._address):
            self._refuse(503, "not_ready", "too many connections", retry_after_s=1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._guard.leave(self, self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._pace.data(len(data), self.loop.time())
        super().data_received(data)
        if self._pace.is_bloated and not self._refused:
            self._refuse(431, "too_large", "the request's headers are too large")

    def pause_writing(self) -> None:
        self._write_paused_s = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._write_paused_s = None
        super().resume_writing()

    def check(self, now_s: float) -> None:
        """Close if overdue; called now and then."""
        pace = self._pace
        if self._write_paused_s is not None and now_s - self._write_paused_s > self._guard.limits.idle_wait_s:
            self._abort()  # whoever asked does not read the answer
            return
        if self.flow.read_paused and pace.phase is not Phase.CLOSING:
            pace.held_back(now_s)
            return
        answering = self.cycle is not None and not self.cycle.response_complete
        if not pace.is_overdue(now_s, answering=answering):
            return
        if pace.phase is Phase.CLOSING:
            self._abort()
        elif pace.phase is Phase.HEADERS or (pace.phase is Phase.BODY and not pace.draining):
            self._refuse(408, "timeout", f"the request's {pace.phase.value} came too slowly")
        else:
            self._close()

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        self._pace.message_began(self.loop.time())
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._pace.header(len(name) + len(value))
        if not self._pace.has_bloated_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        if self._pace.has_bloated_headers or len(self.url) > 8192:
            self._refuse(431, "too_large", "the request's headers are too large")
            return
        if len(self.pipeline) >= PIPELINED_MAX:
            self._close()
            return
        super().on_headers_complete()
        self._pace.headers_done(self.loop.time())
        if not self.cycle.keep_alive:
            self._close_after = True
            self.cycle.keep_alive = True  # so that it is `on_response_complete` that closes, when all was read

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        self._pace.body(len(body), self.loop.time())
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._pace.message_done(self.loop.time())
        super().on_message_complete()
        if self._close_after and self.cycle.response_complete:
            self._close()

    def on_response_complete(self) -> None:
        receiving = self._pace.phase is Phase.BODY
        self._pace.answered(self.loop.time())
        super().on_response_complete()
        if self._close_after and not receiving and not self.pipeline:
            self._close()

    # --- ending it

    def shutdown(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._close()
        else:
            self._close_after = True

    def _refuse(self, status: int, code: str, detail: str, *, retry_after_s: int | None = None) -> None:
        """Answer, unless an answer has begun, and close."""
        metrics.requests.labels("none", str(status)).inc()
        self._refused = True
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = document(status, code, detail, retry_after_s=retry_after_s)
            retry = [b"retry-after: %d\r\n" % retry_after_s] if retry_after_s else []
            head = [b"content-type: %s\r\n" % MEDIA_TYPE.encode(), b"content-length: %d\r\n" % len(body), *retry]
            self.transport.write(b"".join([STATUS_LINE[status], *head, b"connection: close\r\n\r\n", body]))
        self._hang_up_cycle()
        self._close()

    def _hang_up_cycle(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the app's `receive` says so at once
            self.cycle.message_event.set()

    def _close(self) -> None:
        self._pace.closing(self.loop.time())
        self._unset_keepalive_if_required()
        if not self.transport.is_closing():
            self.transport.close()

    def _abort(self) -> None:
        self._hang_up_cycle()
        self.transport.abort()


def _site(host: str) -> str:
    """What counts as one address: an IPv4 address, or an IPv6 site."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_SITE_BITS), strict=False))
