"""Opening the http transport from settings: the address, the token of the moment, and what is refused."""

import asyncio
from pathlib import Path

import pytest

from edge.transports import http
from telemetry import adapters
from telemetry.clock import SystemClock
from telemetry.errors import Misconfigured


def opened(folder: Path, token: str = "t", **options: object) -> http.HttpTransport:
    module = adapters.load("edge.transports", "http")
    config = adapters.configure(module, "http", options)
    return http.open(config, device="pi", token=lambda: token, clock=SystemClock(), folder=folder)  # type: ignore[arg-type]


async def test_a_bare_address_gets_the_route_and_each_send_asks_for_the_token(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            heads.append(head)
            length = next(int(h.split(b":")[1]) for h in head.lower().splitlines() if h.startswith(b"content-length"))
            await reader.readexactly(length)
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tokens = iter(("first", "second"))
    config = http.Config(url=url)
    transport = http.open(config, device="pi", token=lambda: next(tokens), clock=SystemClock(), folder=tmp_path)
    for _ in range(2):
        assert (await transport.send(b"{}")).status == 204
    await transport.close()
    server.close()
    assert [head.split(b" ")[1] for head in heads] == [b"/v1/batches"] * 2
    assert [word for head in heads for word in (b"first", b"second") if word in head] == [b"first", b"second"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:1/x", "https://example.org"]
)
def test_this_machine_and_tls_need_no_flag(tmp_path: Path, url: str) -> None:
    opened(tmp_path, url=url)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"url": "http://192.168.0.9:8080"}, "https://"),
        ({"url": "ftp://example.org"}, "no URL of a gateway"),
        ({"url": "https://example.org", "cafile": "none.pem"}, "cafile"),
        ({"url": "https://example.org", "encoding": "br"}, "encoding"),
        ({"url": "https://example.org", "speed": 1}, "adapters.http.speed"),
        ({}, "adapters.http.url"),
    ],
)
def test_what_cannot_work_is_named(tmp_path: Path, options: dict[str, object], match: str) -> None:
    with pytest.raises(Misconfigured, match=match):
        opened(tmp_path, **options)


def test_a_network_of_ones_own_is_a_choice(tmp_path: Path) -> None:
    opened(tmp_path, url="http://192.168.0.9:8080", plain_http_anywhere=True)
