"""The agent's unix socket: one JSON line of how it is, to whoever may open it (its own user).

A client may first send one JSON line, `{"ask": "status" | "aside" | "retry_aside"}`; sending none asks for the status.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from telemetry.errors import NotReady

FILE = "agent.sock"
LINE_BYTES_MAX = 1024
ANSWER_BYTES_MAX = 16 * 2**20
ASK_WAIT_S = 1.0
ANSWER_WAIT_S = 10.0
CLIENTS_MAX = 8

Ask = Callable[[], Awaitable[Any]]


@contextlib.asynccontextmanager
async def serving(folder: Path, asks: Mapping[str, Ask]) -> AsyncIterator[None]:
    """Answer in `folder`/agent.sock; `asks` must know "status"."""
    path = folder / FILE
    path.unlink(missing_ok=True)  # of an agent that was killed: the folder's lock says that none runs
    with _reachable(folder) as short, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        listener.bind(str(short / FILE))
        path.chmod(0o600)
        clients: set[asyncio.Task[None] | None] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            clients.add(asyncio.current_task())
            try:
                async with asyncio.timeout(ANSWER_WAIT_S):
                    if len(clients) <= CLIENTS_MAX:
                        writer.write(await _answer(reader, asks))
                        await writer.drain()
            except (TimeoutError, OSError):  # the client's loss
                pass
            finally:
                clients.discard(asyncio.current_task())
                writer.close()

        server = await asyncio.start_unix_server(handle, sock=listener, limit=LINE_BYTES_MAX)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)


async def _answer(reader: asyncio.StreamReader, asks: Mapping[str, Ask]) -> bytes:
    line = b""
    with contextlib.suppress(TimeoutError, ValueError):
        line = await asyncio.wait_for(reader.readline(), ASK_WAIT_S)
    try:
        said = orjson.loads(line) if line.strip() else {}
        asked = asks[said.get("ask", "status")]
    except (ValueError, AttributeError, KeyError, TypeError):
        return orjson.dumps({"error": f"ask one of {', '.join(asks)}"}, option=orjson.OPT_APPEND_NEWLINE)
    return orjson.dumps(await asked(), option=orjson.OPT_APPEND_NEWLINE)


def ask(folder: Path, what: str = "status") -> Any:
    """The agent's answer; raises `NotReady` when none runs in this folder or it does not answer."""
    try:
        with _reachable(folder) as short, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(ANSWER_WAIT_S)
            client.connect(str(short / FILE))
            client.sendall(orjson.dumps({"ask": what}, option=orjson.OPT_APPEND_NEWLINE))
            with client.makefile("rb") as file:
                line = file.readline(ANSWER_BYTES_MAX)
    except PermissionError as e:
        raise NotReady(f"{folder / FILE} belongs to another user: ask as the one that the agent runs as") from e
    except (FileNotFoundError, ConnectionRefusedError) as e:
        raise NotReady(f"no agent runs in {folder}") from e
    except OSError as e:
        raise NotReady(f"the agent in {folder} does not answer: {e}") from e
    if not line:
        raise NotReady(f"the agent in {folder} does not answer: it may be stopping")
    return orjson.loads(line)


@contextlib.contextmanager
def _reachable(folder: Path) -> Iterator[Path]:
    """A short name of the folder: a socket's path may have 107 characters, a folder's has no such limit."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
