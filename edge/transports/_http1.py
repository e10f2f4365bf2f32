"""POSTs over kept-alive HTTP/1.1 connections: h11 for the protocol, asyncio for the bytes.

A general client would do; it takes three times the CPU a batch and 4 MiB more, which a Pi has better use for.
Nothing is followed, stored or repeated here.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

import h11

READ_BYTES = 64 * 1024
PORTS = {"http": 80, "https": 443}
Origin: TypeAlias = tuple[str, str, int]


class Unanswered(Exception):
    """No connection, or it ended before the answer did; the words say which."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http1:
    """A client of at most so many connections at once.  Deadlines are the caller's: a cancelled POST leaves nothing."""

    def __init__(self, *, connections_max: int, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: what to trust; None where only plain HTTP will be spoken."""
        self._tls = tls
        self._room = asyncio.Semaphore(connections_max)
        self._idle: dict[Origin, list[_Connection]] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, answer_bytes_max: int) -> Reply:
        """Send once; the answer's body is cut at the bound.  Raises `Unanswered`."""
        parts = urlsplit(url)
        origin = parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme]
        async with self._room:
            try:
                connection = self._kept(origin) or await self._opened(origin)
                reply = await connection.post(_head(parts, headers, len(body)), body, answer_bytes_max)
            except (OSError, h11.ProtocolError, UnicodeError) as e:
                raise Unanswered(f"{type(e).__name__}: {e}") from e
            if connection.is_usable:
                self._idle.setdefault(origin, []).append(connection)
            else:
                connection.abort()
            return reply

    def close(self) -> None:
        """Let all idle connections go."""
        for connection in (c for idle in self._idle.values() for c in idle):
            connection.abort()
        self._idle.clear()

    def _kept(self, origin: Origin) -> "_Connection | None":
        idle = self._idle.get(origin, [])
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                return connection
            connection.abort()
        return None

    async def _opened(self, origin: Origin) -> "_Connection":
        scheme, host, port = origin
        tls = self._tls if scheme == "https" else None
        if scheme == "https" and tls is None:
            raise ssl.SSLError("this client was made for plain HTTP")
        return _Connection(*await asyncio.open_connection(host, port, ssl=tls))


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT)

    @property
    def is_usable(self) -> bool:
        """Whether another request may go out here; the far end may have gone since the last."""
        is_open = not self._reader.at_eof() and not self._writer.is_closing()
        return is_open and self._http.our_state is h11.IDLE and self._http.trailing_data == (b"", False)

    async def post(self, head: h11.Request, body: bytes, answer_bytes_max: int) -> Reply:
        """However it ends but well, the connection is gone."""
        try:
            events = head, h11.Data(body), h11.EndOfMessage()
            self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
            with contextlib.suppress(ConnectionError):  # it may have answered before it hung up
                await self._writer.drain()
            return await self._answer(answer_bytes_max)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """At once."""
        self._writer.transport.abort()

    async def _answer(self, bytes_max: int) -> Reply:
        response, body = None, bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(READ_BYTES))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError("the server hung up")
            is_over = isinstance(event, h11.EndOfMessage)
            if response is not None and (is_over or len(body) > bytes_max):
                break
        if is_over and self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            self._http.start_next_cycle()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
        return Reply(response.status_code, headers, bytes(body[:bytes_max]))


def _head(parts: SplitResult, headers: Mapping[str, str], length: int) -> h11.Request:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = {"host": parts.netloc.rpartition("@")[2], **headers, "content-length": str(length)}
    return h11.Request(method="POST", target=target, headers=list(fields.items()))
