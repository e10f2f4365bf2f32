"""What the fault tests of both engines share: phones' messages, a second gateway, waiting for the consumers."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx

from gateway.app import create_app
from gateway.listeners.http import Server
from gateway.services import Services
from sensorline.station import Engine
from simulator import speak
from simulator.speak import Spoken
from simulator.world import World
from telemetry import compression

BEGIN_NS = time.time_ns() - 3_600 * 10**9  # an hour ago: younger than any retention
WAIT_S = 30.0


@contextlib.asynccontextmanager
async def another_gateway(engine: Engine) -> AsyncIterator[int]:
    """One more gateway on the same log, as a replica would be; its port."""
    services = Services.build(
        settings=engine.settings,
        clock=engine.clock,
        log=engine.log,
        store=engine.store,
        registry=engine.registry,
        labels=engine.labels,
        lag=engine.lag,
    )
    server = Server(engine.settings.gateway, create_app(services))
    try:
        yield await server.start()
    finally:
        await server.stop()


def messages(device: str, count: int, session: str = "s1", seed: int = 1) -> list[Spoken]:
    """Seconds of a walking phone, as the app sends them."""
    world, random = World(seed, "walk", BEGIN_NS), Random(seed)
    return [speak.sensor_logger(device, session, k, world.chunk(k), random) for k in range(count)]


def batches(device: str, count: int, session: str = "s1", seed: int = 1) -> list[Spoken]:
    """Seconds of a walking device, as native batches."""
    world = World(seed, "walk", BEGIN_NS)
    return [speak.native(device, session, k, world.chunk(k)) for k in range(count)]


@dataclass(frozen=True)
class Person:
    """Somebody with a key who asks a gateway."""

    client: httpx.AsyncClient
    key: str

    async def ask(self, method: str, path: str, *, status: int = 200, **request: Any) -> Any:
        """The JSON answer, which must have this status."""
        answer = await self.client.request(method, path, headers={"authorization": f"Bearer {self.key}"}, **request)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    async def enrol(self, device: str) -> str:
        """A new device's token."""
        issued = await self.ask("POST", "/v1/devices", status=201, json={"device": device})
        return str(issued["token"])

    async def caught_up(self) -> None:
        """Until index and ledger, which run here, have committed everything."""
        async with asyncio.timeout(WAIT_S):
            while True:
                lag = (await self.ask("GET", "/v1/stats"))["lag"]
                if not lag["index"] and not lag["ledger"]:
                    return
                await asyncio.sleep(0.05)

    async def hashes(self, device: str) -> dict[int, str]:
        """Content hash by seq of what the store accepted of a device."""
        claims = (await self.ask("GET", "/v1/claims", params={"device": device}))["claims"]
        return {claim["seq"]: claim["hash"] for claim in claims}


@contextlib.asynccontextmanager
async def person(url: str, key: str) -> AsyncIterator[Person]:
    """Asks over a connection of its own."""
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        yield Person(client, key)


async def post(client: httpx.AsyncClient, spoken: Spoken, token: str, url: str = "") -> httpx.Response:
    """One message or batch, once."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    if spoken.encoding != "identity":
        headers["content-encoding"] = spoken.encoding
    body = compression.deflate(spoken.body, spoken.encoding)
    return await client.post(url + spoken.path, content=body, headers=headers)


def expected(all_of: Iterable[Spoken]) -> Mapping[int, str]:
    """Content hash by seq."""
    return {spoken.expected.seq: spoken.content_hash for spoken in all_of}


async def eventually(condition: Callable[[], bool], within_s: float = WAIT_S) -> None:
    """Until it is true."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


def is_ingest(chunk: bytes) -> bool:
    """Whether this is the head of a request that brings readings."""
    return chunk.startswith((b"POST /v1/batches ", b"POST /v1/sensor-logger "))


def every_second(wanted: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
    """True for the first, the third, ... chunk that is wanted."""
    count = itertools.count()
    return lambda chunk: wanted(chunk) and next(count) % 2 == 0


def wal_is_intact(data_dir: Path) -> bool:
    """Whether SQLite finds nothing wrong with the log's file."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(data_dir / "log.db")) as db:
        return bool(db.execute("PRAGMA integrity_check").fetchone() == ("ok",))
