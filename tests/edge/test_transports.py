"""The http transport against a socket that answers, stalls and resets; the memory transport; what edge drags in."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
import zstandard

from edge.transports import ANSWER_BYTES_MAX, Answer, Transport
from edge.transports.http import HttpTransport, check_url, retry_after_s
from edge.transports.memory import MemoryTransport
from telemetry.errors import Invalid, LogUnavailable, Misconfigured

Serve = Callable[[bytes, bytes], Awaitable[bytes | None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[tuple[str, list[int]]]:
    """A plain HTTP/1.1 socket: `serve(head, body)` gives the raw answer, None resets the connection."""
    connections: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(h.split(b":")[1]) for h in head.lower().splitlines() if h.startswith(b"content-len"))
                answer = await serve(head, await reader.readexactly(length))
                if answer is None:
                    return writer.transport.abort()
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/batches", connections
    finally:
        server.close()


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""))
    return head.encode() + body


async def test_it_posts_zstd_with_the_token_over_one_connection() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def serve(head: bytes, body: bytes) -> bytes:
        seen.append((head, body))
        return reply("200 OK", b'{"status":"stored"}')

    async with listening(serve) as (url, connections):
        transport = HttpTransport(url, "secret")
        answers = [await transport.send(b'{"v":1}' * 9, {"sensorline-sent": "5"}) for _ in range(3)]
        await transport.close()
    assert answers[0] == Answer(200, body=b'{"status":"stored"}')
    assert len(connections) == 1
    head, body = seen[0]
    assert zstandard.decompress(body) == b'{"v":1}' * 9
    lines = head.lower().split(b"\r\n")
    assert b"authorization: bearer secret" in lines
    assert b"content-encoding: zstd" in lines
    assert b"sensorline-sent: 5" in lines


async def test_refusals_carry_code_detail_and_retry_after() -> None:
    problem = b'{"type":"urn:sensorline:error:rate_limited","detail":"slow down","status":429}'
    answers = iter(
        (
            reply("429 Too Many", problem, "retry-after: 2"),
            reply("499 Refused", b"token revoked", "sensorline-error: unauthorised"),
            reply("502 Bad Gateway", b"<html>"),
        )
    )

    async def serve(_head: bytes, _body: bytes) -> bytes:
        return next(answers)

    async with listening(serve) as (url, _):
        transport = HttpTransport(url, "t", encoding="identity")
        first, second, third = [await transport.send(b"{}") for _ in range(3)]
        await transport.close()
    assert (first.status, first.retry_after_s, first.code, first.detail) == (429, 2.0, "rate_limited", "slow down")
    assert (second.status, second.code, second.detail) == (499, "unauthorised", "token revoked")
    assert (third.status, third.code, third.detail) == (502, "", "<html>")


async def test_a_stall_a_reset_and_nobody_are_silence() -> None:
    async def stall(_head: bytes, _body: bytes) -> bytes:
        await asyncio.sleep(30)
        return b""

    async def reset(_head: bytes, _body: bytes) -> None:
        return None

    async def drip(_head: bytes, _body: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"

    for serve, word in ((stall, "within 0.3 s"), (drip, "within 0.3 s"), (reset, "")):
        async with listening(serve) as (url, _):
            transport = HttpTransport(url, "t", deadline_s=0.3)
            answer = await transport.send(b"{}")
            await transport.close()
        assert answer.status is None
        assert word in answer.detail
    transport = HttpTransport(url, "t", deadline_s=5)
    assert (await transport.send(b"{}")).status is None, "the port is closed now"
    await transport.close()


async def test_a_huge_answer_is_cut() -> None:
    async def serve(_head: bytes, _body: bytes) -> bytes:
        return reply("200 OK", b"x" * (4 * ANSWER_BYTES_MAX))

    async with listening(serve) as (url, _):
        transport = HttpTransport(url, "t")
        assert len((await transport.send(b"{}")).body) == ANSWER_BYTES_MAX
        assert (await transport.send(b"{}")).status == 200, "the next one is not disturbed"
        await transport.close()


def test_retry_after_in_each_of_its_forms() -> None:
    now_ns = 784111777 * 10**9  # Sun, 06 Nov 1994 08:49:37 GMT
    assert retry_after_s(None, now_ns) is None
    assert retry_after_s("1.5", now_ns) == 1.5
    assert retry_after_s("Sun, 06 Nov 1994 08:50:37 GMT", now_ns) == 60.0
    assert retry_after_s("Sun, 06 Nov 1994 08:48:37 GMT", now_ns) == 0.0
    for senseless in ("", "soon", "nan", "inf", "Sun, 99 Nov"):
        assert retry_after_s(senseless, now_ns) is None


@pytest.mark.parametrize(
    "url", ["", "localhost:8080/v1", "ftp://host/x", "http://", "http://h:99999999", "http://h:0", "http://h/a b"]
)
def test_a_wrong_url_is_an_error_and_not_silence(url: str) -> None:
    with pytest.raises(Misconfigured):
        check_url(url)


async def test_the_memory_transport_answers_as_a_gateway_would() -> None:
    outcomes = iter((b"stored", Invalid("seq", path="$.seq"), LogUnavailable("log", retry_after_s=3), TimeoutError()))

    async def handle(_body: bytes, _headers: Mapping[str, str]) -> bytes:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    transport: Transport = MemoryTransport(handle)
    answers = [await transport.send(b"{}") for _ in range(4)]
    assert [a.status for a in answers] == [200, 422, 503, None]
    assert answers[1].code == "invalid"
    assert answers[2].retry_after_s == 3


def test_an_edge_drags_in_no_server_library() -> None:
    heavy = [
        "fastapi",
        "aiokafka",
        "elasticsearch",
        "duckdb",
        "river",
        "pyarrow",
        "gateway",
        "consumers",
    ]
    program = (
        "import sys, pkgutil, importlib, edge\n"
        "for m in pkgutil.walk_packages(edge.__path__, 'edge.'): importlib.import_module(m.name)\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
