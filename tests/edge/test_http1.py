"""The transport's HTTP/1.1 connections: kept, given up, encrypted, shared, and never left half used."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.transports._http1 import Http1, Unanswered
from edge.transports.http import trusting
from tests.faults.mosquitto import make_certificates

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@asynccontextmanager
async def server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[int]]]:
    """`serve` is called for each connection."""
    connections: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        port = listening.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1/batches?x=1", connections
    finally:
        listening.close()


def answering(*answers: bytes, ends: bool = False) -> Serve:
    """The same answers on each connection, one a request; then it hangs up, or reads on for ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            writer.write(answer)
            await writer.drain()
        if not ends:
            await reader.read()

    return serve


async def post(client: Http1, url: str, body: bytes = b"{}") -> tuple[int, bytes]:
    async with asyncio.timeout(5):
        reply = await client.post(url, {"authorization": "Bearer t"}, body, answer_bytes_max=1000)
    return reply.status, reply.body


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
async def test_a_connection_is_used_again(answer: bytes) -> None:
    client = Http1(connections_max=1)
    async with server(answering(answer, answer, answer)) as (url, connections):
        assert [await post(client, url) for _ in range(3)] == [(200, b"ok")] * 3
        client.close()
    assert len(connections) == 1


async def test_an_idle_connection_that_the_server_gave_up_is_not_used() -> None:
    client = Http1(connections_max=1)
    async with server(answering(OK, ends=True)) as (url, connections):
        for n in range(1, 4):
            assert await post(client, url) == (200, b"ok")
            assert len(connections) == n
            await asyncio.sleep(0.05)  # its FIN arrives
        client.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\n",  # more than was asked for
    ],
)
async def test_a_connection_that_is_not_clean_is_not_used_again(answer: bytes) -> None:
    client = Http1(connections_max=1)
    async with server(answering(answer, ends=True)) as (url, connections):
        assert [await post(client, url) for _ in range(2)] == [(200, b"ok")] * 2
        client.close()
    assert len(connections) == 2


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", b"SSH-2.0-x\r\n\r\n"])
async def test_half_an_answer_is_none(answer: bytes) -> None:
    client = Http1(connections_max=1)
    async with server(answering(answer, ends=True)) as (url, _):
        for _ in range(2):
            with pytest.raises(Unanswered, match=r"\w"):
                await post(client, url)
        client.close()


async def test_an_answer_before_the_whole_body_was_taken() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
        await writer.drain()
        await reader.read()  # no reset: it would overtake the answer

    client = Http1(connections_max=1)
    async with server(serve) as (url, _):
        assert await post(client, url, b"x" * 200_000) == (413, b"no")
        client.close()


async def test_a_cancelled_post_leaves_nothing_to_the_next() -> None:
    first = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not first.is_set():
            first.set()
            await reader.read()
            return
        await answering(OK)(reader, writer)

    client = Http1(connections_max=1)
    async with server(serve) as (url, connections):
        hanging = asyncio.create_task(post(client, url))
        await asyncio.wait_for(first.wait(), 5)
        waiting = asyncio.create_task(post(client, url))
        await asyncio.sleep(0.05)
        assert len(connections) == 1, "there is room for one"
        hanging.cancel()
        assert await waiting == (200, b"ok")
        client.close()


async def test_tls_trusts_who_it_was_told_to(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    own = Http1(connections_max=1, tls=trusting(str(tmp_path / "ca.crt")))
    public, plain = Http1(connections_max=1, tls=trusting()), Http1(connections_max=1)
    async with server(answering(OK, OK), tls) as (url, connections):
        assert [await post(own, url) for _ in range(2)] == [(200, b"ok")] * 2
        assert len(connections) == 1
        with pytest.raises(Unanswered, match="CERTIFICATE_VERIFY_FAILED"):
            await post(public, url)
        with pytest.raises(Unanswered, match="plain HTTP"):
            await post(plain, url)
        own.close()
