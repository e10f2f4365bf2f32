"""The socket: who dawdles is closed, who progresses is not, who is refused reads why, and the end is graceful."""

import asyncio
import contextlib
import http.client
import shutil
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.listeners import http as listener
from gateway.listeners.http import Server
from sensorline import local_tls
from telemetry.errors import Misconfigured
from telemetry.settings import Gateway
from tests.gateway.gateway_world import World, batch, bearer, eventually, gateway, served, stored

QUICK: dict[str, Any] = {"header_wait_s": 0.3, "body_window_s": 0.3, "idle_wait_s": 0.6}


@contextlib.asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[World, Server, str]]:
    async with gateway(**settings) as world, served(world) as server:
        yield world, server, await world.device("pi")


class Raw:
    """A socket that speaks only what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def rest(self, within_s: float = 5.0) -> bytes:
        """Everything until the server closes."""
        got = b""
        async with asyncio.timeout(within_s):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    got += piece
        return got

    async def answer(self) -> bytes:
        """One answer with its body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = [line.lower() for line in head.split(b"\r\n")]
        size = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length"))
        return head + await self.reader.readexactly(size)


@contextlib.asynccontextmanager
async def raw(server: Server) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


def request(token: str, body: bytes, *more: str, size_bytes: int | None = None, path: str = "/v1/batches") -> bytes:
    length = len(body) if size_bytes is None else size_bytes
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", "Content-Type: application/json"]
    return "\r\n".join([*head, f"Content-Length: {length}", *more, "", ""]).encode() + body


async def test_a_connection_is_used_again() -> None:
    async with serving() as (world, server, token), raw(server) as sock:
        for seq in range(3):
            await sock.send(request(token, batch("pi", seq)))
            answer = await sock.answer()
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\nserver:" not in answer.lower()
            assert b"\r\ndate:" in answer.lower()
        assert len(await stored(world.log)) == 3


async def test_slow_headers_are_closed() -> None:
    async with serving(limits=QUICK) as (_, server, _token), raw(server) as sock:

        async def drip() -> None:
            for byte in b"POST /v1/batches HTTP/1.1\r\nX-Slow: " + b"a" * 1000:
                await sock.send(bytes([byte]))
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert b" 408 " in await sock.rest()
        dripping.cancel()


async def test_a_slow_body_is_closed_and_nothing_of_it_is_stored() -> None:
    async with serving(limits=QUICK) as (world, server, token), raw(server) as sock:
        body = batch("pi", n=500)
        await sock.send(request(token, body[:10], size_bytes=len(body)))

        async def drip() -> None:
            for byte in body[10:]:
                await sock.send(bytes([byte]))
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert b" 408 " in await sock.rest()
        dripping.cancel()
        await eventually(lambda: server.connections == 0)
        assert world.services.intake.in_flight.left_bytes == world.services.intake.limits.in_flight_bytes_max
        assert await stored(world.log) == []


async def test_a_slow_link_that_progresses_is_served() -> None:
    async with serving(limits=QUICK | {"body_window_bytes_min": 64}) as (_, server, token), raw(server) as sock:
        body = batch("pi", n=150)
        await sock.send(request(token, b"", size_bytes=len(body)))
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for at in range(0, len(body), 128):
            await sock.send(body[at : at + 128])
            await asyncio.sleep(0.08)
        assert loop.time() - began_s > 2 * QUICK["body_window_s"]
        assert (await sock.answer()).startswith(b"HTTP/1.1 200 ")


async def test_idle_sockets_are_closed() -> None:
    async with serving(limits=QUICK) as (_, server, token), raw(server) as silent, raw(server) as used:
        await used.send(request(token, batch("pi")))
        await used.answer()
        assert await silent.rest() == b""
        assert await used.rest() == b""
        await eventually(lambda: server.connections == 0)


async def test_an_answer_that_takes_long_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadlines are the sender's, not ours."""
    async with serving(limits=QUICK) as (world, server, token), raw(server) as sock:
        append = world.log.append

        async def slow(*args: Any) -> Any:
            await asyncio.sleep(1.2)
            return await append(*args)

        monkeypatch.setattr(world.log, "append", slow)
        await sock.send(request(token, batch("pi")))
        assert (await sock.answer()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("kind", ["one header", "many headers", "no end", "url"])
async def test_header_bytes_are_bounded(kind: str) -> None:
    async with serving() as (_, server, _token), raw(server) as sock:
        head = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
        sent = {
            "one header": head + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n",
            "many headers": head + b"X-A: b\r\n" * 5_000 + b"\r\n",
            "no end": head + b"X-A: " + b"a" * 500_000,
            "url": b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        }[kind]
        await sock.send(sent)
        assert b" 431 " in await sock.rest()


async def test_endless_trailers_are_closed() -> None:
    async with serving() as (world, server, token), raw(server) as sock:
        head = request(token, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        await sock.send(head + b"5\r\n     \r\n0\r\n" + b"X-T: " + b"t" * 1_000_000)
        assert b" 431 " in await sock.rest()
        assert await stored(world.log) == []


async def test_a_chunked_body_is_counted_as_it_comes() -> None:
    async with serving() as (world, server, token), raw(server) as sock:
        head = request(token, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        await sock.send(head + (b"40000\r\n" + b" " * 0x40000 + b"\r\n") * 6)
        assert b" 413 " in await sock.reader.readuntil(b"\r\n")
        assert await stored(world.log) == []


async def test_a_body_of_2_mib_gets_413_and_the_connection_stays_good() -> None:
    async with serving() as (world, server, token), raw(server) as sock:
        await sock.send(request(token, b" " * 2 * 2**20))
        assert b" 413 " in await sock.answer()
        await sock.send(request(token, batch("pi")))
        assert b" 200 " in await sock.answer()
        assert len(await stored(world.log)) == 1


async def test_a_sender_that_reads_only_at_the_end_reads_why_it_was_refused() -> None:
    """Closing while it still sends would reset its connection before it reads."""
    async with serving() as (world, server, token):

        def send() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            headers = bearer(token) | {"connection": "close"}
            connection.request("POST", "/v1/batches", b" " * 12 * 2**20, headers)
            status = connection.getresponse().status
            connection.close()
            return status

        assert await asyncio.to_thread(send) == 413
        assert await stored(world.log) == []
        await eventually(lambda: server.connections == 0)


async def test_an_early_refusal_does_not_wait_for_the_body() -> None:
    async with serving() as (_, server, token), raw(server) as sock, raw(server) as stranger:
        await sock.send(request(token, b"", size_bytes=2 * 2**20))
        assert b" 413 " in await sock.answer()
        await stranger.send(request("sl_unknown", b"", size_bytes=1000))
        assert b" 401 " in await stranger.answer()


async def test_a_refused_body_is_not_read_for_ever() -> None:
    async with serving(limits=QUICK) as (_, server, _token), raw(server) as sock:
        await sock.send(request("sl_unknown", b"", size_bytes=10**12))
        assert b" 401 " in await sock.answer()

        async def pour() -> None:
            while True:
                await sock.send(b" " * 2**16)
                await asyncio.sleep(0.001)

        pouring = asyncio.create_task(pour())
        await eventually(lambda: server.connections == 0)
        pouring.cancel()


async def test_expect_100_is_answered_only_to_whom_may_send() -> None:
    async with serving() as (_, server, token), raw(server) as sock, raw(server) as stranger:
        body = batch("pi")
        await sock.send(request(token, b"", "Expect: 100-continue", size_bytes=len(body)))
        assert await sock.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await sock.send(body)
        assert b" 200 " in await sock.answer()
        await stranger.send(request("sl_unknown", b"", "Expect: 100-continue", size_bytes=len(body)))
        assert b" 401 " in await stranger.answer()


async def test_connections_are_bounded_by_address_and_in_all() -> None:
    for limits in ({"connections_per_address_max": 3}, {"connections_max": 3}):
        async with serving(limits=limits) as (_, server, token):
            async with contextlib.AsyncExitStack() as stack:
                for seq in range(3):
                    sock = await stack.enter_async_context(raw(server))
                    await sock.send(request(token, batch("pi", seq)))
                    assert b" 200 " in await sock.answer()
                async with raw(server) as fourth:
                    refused = await fourth.rest()
                    assert b" 503 " in refused
                    assert b"retry-after" in refused
            await eventually(lambda server=server: server.connections == 0)
            async with raw(server) as again:
                await again.send(request(token, batch("pi", 9)))
                assert b" 200 " in await again.answer()


async def test_a_thousand_pipelined_requests_are_too_many() -> None:
    async with serving() as (_, server, token), raw(server) as sock:
        await sock.send(request(token, batch("pi")) * 1000)
        answers = await sock.rest()
        assert answers.count(b"HTTP/1.1 ") < 100


async def test_a_bomb_costs_little() -> None:
    packed = zstandard.ZstdCompressor(level=19).compress(b" " * 50 * 2**20)
    assert len(packed) < 6 * 1024
    async with serving() as (world, server, token), httpx.AsyncClient() as client:
        tracemalloc.start()
        try:
            url = f"http://127.0.0.1:{server.port}/v1/batches"
            answer = await client.post(url, content=packed, headers=bearer(token) | {"content-encoding": "zstd"})
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert answer.status_code == 413
        assert peak_bytes < 32 * 2**20
        assert await stored(world.log) == []


async def test_a_flood_does_not_slow_others_down() -> None:
    """A flooding device is told to wait; another's slowest answer stays within twice what it was, or 50 ms."""
    async with serving(limits={"requests_per_s": 20.0, "requests_burst": 20}) as (world, server, flood):
        calm = await world.device("calm")
        url = f"http://127.0.0.1:{server.port}/v1/batches"
        statuses: list[int] = []

        async def slowest_s(client: httpx.AsyncClient, first: int) -> float:
            loop, worst_s = asyncio.get_running_loop(), 0.0
            for seq in range(first, first + 10):
                began_s = loop.time()
                answer = await client.post(url, content=batch("calm", seq), headers=bearer(calm))
                worst_s = max(worst_s, loop.time() - began_s)
                assert answer.status_code == 200
            return worst_s

        async def pour(client: httpx.AsyncClient) -> None:
            while True:
                statuses.append((await client.post(url, content=batch("pi"), headers=bearer(flood))).status_code)

        async with httpx.AsyncClient() as client, httpx.AsyncClient() as other:
            alone_s = await slowest_s(client, 0)
            pouring = [asyncio.create_task(pour(other)) for _ in range(2)]
            await eventually(lambda: statuses.count(429) > 10)
            beside_s = await slowest_s(client, 10)
            for task in pouring:
                task.cancel()
        assert beside_s < max(2 * alone_s, 0.05)
        assert set(statuses) == {200, 429}


async def test_stopping_answers_what_was_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as (world, server, token), raw(server) as busy, raw(server) as idle:
        append, begun = world.log.append, asyncio.Event()

        async def slow(*args: Any) -> Any:
            begun.set()
            await asyncio.sleep(0.3)
            return await append(*args)

        await idle.send(request(token, batch("pi", 0)))
        await idle.answer()
        monkeypatch.setattr(world.log, "append", slow)
        await busy.send(request(token, batch("pi", 1)))
        await begun.wait()
        stopping = asyncio.create_task(server.stop())
        assert b" 200 " in await busy.rest()
        assert await idle.rest() == b""
        await stopping
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", server.port)


async def test_stopping_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(stop_wait_s=0.3) as (world, server, token), raw(server) as sock:
        begun = asyncio.Event()

        async def hangs(*_: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(world.log, "append", hangs)
        await sock.send(request(token, batch("pi")))
        await begun.wait()
        async with asyncio.timeout(3):
            await server.stop()
        assert b" 200 " not in await sock.rest()
        assert server.connections == 0


async def test_plain_http_off_loopback_is_refused() -> None:
    async with gateway() as world:
        for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
            with pytest.raises(Misconfigured, match="certfile"):
                Server(Gateway(host=host), world.app)
            Server(Gateway(host=host, plain_http_anywhere=True), world.app)
        for host in ("127.0.0.1", "::1", "localhost"):
            Server(Gateway(host=host), world.app)


async def test_a_taken_port_is_said_so() -> None:
    async with serving() as (world, server, _token):
        second = Server(Gateway(port=server.port), world.app)
        with pytest.raises(Misconfigured, match=str(server.port)):
            await second.start()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, made by the openssl program."""
    import subprocess

    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl program, which makes the test's certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return cert, key


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
async def test_tls_is_1_2_or_later_with_forward_secrecy(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    async with serving(certfile=str(cert), keyfile=str(key), limits=QUICK) as (_, server, token):
        url = f"https://127.0.0.1:{server.port}/v1/batches"
        trusting = ssl.create_default_context(cafile=str(cert))
        async with httpx.AsyncClient(verify=trusting) as client:
            assert (await client.post(url, content=batch("pi"), headers=bearer(token))).status_code == 200
        for setting in ("TLSv1_1", "AES128-SHA", "AES128-GCM-SHA256"):
            old = ssl.create_default_context(cafile=str(cert))
            old.set_ciphers("ALL:@SECLEVEL=0")
            if setting.startswith("TLS"):
                old.minimum_version = old.maximum_version = ssl.TLSVersion[setting]
            else:
                old.maximum_version = ssl.TLSVersion.TLSv1_2
                old.set_ciphers(setting + ":@SECLEVEL=0")
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", server.port, ssl=old)
        async with raw(server) as silent:  # never shakes hands
            assert await silent.rest() == b""


async def test_a_renewed_certificate_is_served_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "LOOK_EVERY_S", 0.02)
    here = local_tls.Machine(("localhost",), ())
    first, second = (local_tls.ensure(tmp_path / name, here) for name in ("first", "second"))
    cert, key = (Path(shutil.copy(f, tmp_path)) for f in (first.certificate, first.key))
    async with serving(certfile=str(cert), keyfile=str(key)) as (_, server, _token):

        async def served_to(name: str) -> bytes:
            """By a name the client names it in the handshake, by an address it does not."""
            anybody = ssl.create_default_context()
            anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=anybody, server_hostname=name)
            shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            return shown

        async def everybody_sees(files: local_tls.Files) -> bool:
            shown = {await served_to("localhost"), await served_to("127.0.0.1")}
            return shown == {
                x509.load_pem_x509_certificates(files.certificate.read_bytes())[0].public_bytes(Encoding.DER)
            }

        assert await everybody_sees(first)
        shutil.copy(second.key, key)  # half of it, as a renewal that has just begun
        await eventually(lambda: "cannot be used" in caplog.text)
        assert await everybody_sees(first)
        shutil.copy(second.certificate, cert)
        async with asyncio.timeout(10):
            while not await everybody_sees(second):
                await asyncio.sleep(0.02)


async def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    async with gateway() as world:
        with pytest.raises(Misconfigured, match="certfile"):
            Server(Gateway(certfile=str(tmp_path / "none.pem")), world.app)
        with pytest.raises(Misconfigured, match="certfile"):
            Server(Gateway(keyfile="key.pem"), world.app)
