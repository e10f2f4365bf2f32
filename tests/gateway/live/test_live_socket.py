"""Streams over real sockets: who reads is kept, who does not is let go, and a gateway that stops ends them at once."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.listeners.http import Server
from tests.gateway.gateway_world import World, batch, bearer, eventually, gateway, served
from tests.sensorline.program import up

IDLE_S = 0.6


async def opened(server: Server, key: str, query: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream whose first event was read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
    writer.write(f"GET /v1/live?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readuntil(b"event: hello\n")
    return reader, writer


async def viewer(world: World) -> str:
    return await world.services.enrolment.add_operator("watcher", "viewer")


async def test_a_reader_is_kept_beyond_every_deadline_of_a_connection() -> None:
    quick = {"header_wait_s": 0.3, "body_window_s": 0.3, "idle_wait_s": IDLE_S}
    async with gateway(limits=quick) as world, served(world) as server:
        token = await world.device("pi")
        reader, writer = await opened(server, await viewer(world), "kinds=readings&device=pi")
        until_s, seq = time.monotonic() + 4 * IDLE_S, 0
        while time.monotonic() < until_s:
            await world.post("/v1/batches", batch("pi", seq), token)
            async with asyncio.timeout(5):
                await reader.readuntil(f'"seq":{seq},'.encode())
            seq += 1
            await asyncio.sleep(IDLE_S / 2)
        assert server.connections == 1
        writer.close()
        await eventually(lambda: world.services.live.readers == 0)


async def test_a_reader_that_does_not_read_is_let_go() -> None:
    limits: dict[str, Any] = {"idle_wait_s": IDLE_S, "requests_per_s": 1e6, "requests_burst": 10**6}
    async with gateway(limits=limits) as world, served(world) as server:
        token = await world.device("pi")
        _, writer = await opened(server, await viewer(world), "kinds=readings&device=pi&points=1000")
        seq = 0
        async with asyncio.timeout(30):
            while world.services.live.readers:  # more than the kernel's buffers hold
                await world.post("/v1/batches", batch("pi", seq, n=1000), token)
                seq += 1
                await asyncio.sleep(0)
        await eventually(lambda: server.connections == 0)
        writer.close()


async def test_a_server_whose_hub_was_closed_stops_at_once() -> None:
    async with gateway() as world, served(world) as server:
        key = await viewer(world)
        streams = [await opened(server, key, "kinds=pulse") for _ in range(5)]
        began_s = time.monotonic()
        await world.services.live.close()
        await server.stop()
        assert time.monotonic() - began_s < 2
        for reader, writer in streams:
            async with asyncio.timeout(5):
                assert (await reader.read()).endswith(b"0\r\n\r\n")  # a whole answer, not a torn one
            writer.close()


@pytest.mark.timeout(90)
def test_sigterm_under_open_streams_ends_a_station_within_seconds(tmp_path: Path) -> None:
    with up(tmp_path, "data", "--set", "detect.enabled=false") as station:
        url = station.url
        key = (tmp_path / "data" / "operator.key").read_text().strip()
        with (
            httpx.Client(base_url=url, headers=bearer(key), timeout=20) as client,
            client.stream("GET", "/v1/live") as one,
            client.stream("GET", "/v1/live?kinds=anomaly") as other,
        ):
            lines = one.iter_lines(), other.iter_lines()
            assert [next(each) for each in lines] == ["event: hello"] * 2
            began_s = time.monotonic()
            station.process.terminate()
            for each in lines:
                assert "event: lost" not in list(each)  # to its end
            assert station.process.wait(15) == 0
            assert time.monotonic() - began_s < 6
