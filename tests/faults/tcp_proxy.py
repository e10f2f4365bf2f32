"""A proxy in front of any TCP server that does to its connections what a test says: forward, delay, stall, refuse, or
hand a request on and reset the connection before a byte of its answer passes."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST

Watch = Callable[[bytes], bool]


@dataclass
class TcpProxy:
    """Listens on a free port of loopback.  The fields may be changed at any time, for connections old and new.

    `drop_reply(chunk)` is asked about each chunk that a client sends; once it says yes, the chunk is handed on, and
    when the server begins to answer, the connection is reset instead.
    """

    target_port: int
    latency_s: float = 0.0
    is_refusing: bool = False
    drop_reply: Watch = field(default=lambda _chunk: False)
    dropped: int = 0
    connections: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def run(self, port: int = 0) -> AsyncIterator["TcpProxy"]:
        """Listen until the block ends."""
        server = await asyncio.start_server(self._serve, HOST, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._flowing.set()
            self.cut()

    def drop_replies(self, times: int, wanted: Watch) -> None:
        """Lose the answers to the next `times` requests of which a chunk is wanted."""
        left = times

        def watch(chunk: bytes) -> bool:
            nonlocal left
            if left <= 0 or not wanted(chunk):
                return False
            left -= 1
            return True

        self.drop_reply = watch

    def stall(self) -> None:
        """Connections stay open, and nothing passes."""
        self._flowing.clear()

    def flow(self) -> None:
        """Go on, with what was held back first."""
        self._flowing.set()

    def cut(self) -> None:
        """Reset the connections that are open now."""
        for writer in list(self._open):
            reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.is_refusing:
            reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target_port)
        except OSError:  # the server is away: so is the way to it
            reset(writer)
            return
        self._open |= {writer, far_writer}
        losing = asyncio.Event()
        ways = [
            asyncio.create_task(self._forward(reader, far_writer, losing)),
            asyncio.create_task(self._answer(far_reader, writer, losing)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            for end in (writer, far_writer):
                self._open.discard(end)
                reset(end) if losing.is_set() else end.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if self.drop_reply(chunk):
                    losing.set()
                await self._pass(writer, chunk)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if losing.is_set():
                    self.dropped += 1
                    return
                await self._pass(writer, chunk)

    async def _pass(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        await self._flowing.wait()  # no deadline: `flow`, or the end of `run`, always comes
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        writer.write(chunk)
        await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: the other side reads an error, not an end."""
    with contextlib.suppress(OSError):
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
