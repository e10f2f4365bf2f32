"""A whole gateway over memory adapters, for tests: real registry, real intake, real app, sockets where asked for."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from argon2 import PasswordHasher

from gateway.app import App, create_app
from gateway.listeners.http import Server
from gateway.services import Services
from gateway.sessions import COOKIE
from telemetry.clock import Clock, SystemClock
from telemetry.labels import Labels
from telemetry.logs import memory as memory_log
from telemetry.mqtt_accounts import Accounts
from telemetry.passwords import Passwords
from telemetry.ports import BATCHES, DEVICES, LABELS, Entry, Log, Topic
from telemetry.registry import Registry
from telemetry.settings import Gateway, Limits, Settings
from telemetry.stores import open_store
from telemetry.table import Table

T0 = 1_700_000_000_000_000_000


@dataclass
class World:
    """One gateway; `log` can be shared by two."""

    services: Services
    app: App
    table: Table
    log: Log
    admin: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> httpx.AsyncClient:
        """Talks to the app without a socket, as somebody on this machine."""
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 50000))
        return httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def device(self, name: str, **settings: Any) -> str:
        """Enrol a device; its token."""
        issued = await self.services.enrolment.enrol(name, **settings)
        self.tokens[name] = issued.token
        return issued.token

    async def person(self, name: str, role: str = "viewer") -> dict[str, str]:
        """Let somebody log in, and log them in; the headers that a browser sends from our page."""
        self.passwords[name] = await self.services.enrolment.add_person(name, role)
        person = await self.services.enrolment.log_in(name, self.passwords[name])
        made = await self.services.enrolment.begin_session(person, life_s=3600.0, replaces=None)
        return browser(made.cookie)

    async def post(self, path: str, body: bytes, token: str | None, **headers: str) -> httpx.Response:
        """One ingest request."""
        async with self.client as client:
            return await client.post(path, content=body, headers=bearer(token) | headers)


def bearer(token: str | None) -> dict[str, str]:
    """The header of a token."""
    base = {"content-type": "application/json"}
    return base | ({"authorization": f"Bearer {token}"} if token is not None else {})


def browser(cookie: str, origin: str = "http://gateway") -> dict[str, str]:
    """The headers of a page that somebody is logged in on."""
    return {"content-type": "application/json", "cookie": f"{COOKIE}={cookie}", "origin": origin}


def cheap_passwords() -> Passwords:
    """The real algorithm with parameters that take no time."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@contextlib.asynccontextmanager
async def gateway(
    *,
    log: Log | None = None,
    clock: Clock | None = None,
    data_dir: Path | None = None,
    lag: dict[str, int] | None = None,
    accounts: Accounts | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """A gateway; `settings` are those of `Gateway`, and `limits` a dict of `Limits`."""
    clock = clock or SystemClock()
    own = log is None
    log = log or memory_log.MemoryLog(memory_log.Config(), clock=clock)
    limits = Limits(**settings.pop("limits", {}))
    whole = Settings(
        log="memory",
        store="memory",
        data_dir=data_dir or Path("var"),
        gateway=Gateway(port=0, limits=limits, **settings),
    )
    store = open_store("memory", {}, whole.data_dir, retention_days=10_000)
    await log.start()
    await store.start()
    table = await Table.open(log, DEVICES, clock=clock)
    labels = await Table.open(log, LABELS, clock=clock)

    async def lags() -> dict[str, int]:
        return lag or {}

    services = Services.build(
        settings=whole,
        clock=clock,
        log=log,
        store=store,
        registry=Registry(table),
        labels=Labels(labels),
        lag=lags,
        accounts=accounts,
    )
    services.enrolment.passwords = cheap_passwords()
    try:
        yield World(services, create_app(services), table, log)
    finally:
        await labels.close()
        await table.close()
        await store.close()
        if own:
            await log.close()


@contextlib.asynccontextmanager
async def served(world: World) -> AsyncIterator[Server]:
    """The same over a real socket."""
    server = Server(world.services.settings.gateway, world.app)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def batch(device: str, seq: int = 0, *, session: str = "s", x: float = 1.0, n: int = 2) -> bytes:
    """A native batch of n readings."""
    values = {"x": [x] * n, "y": [0.0] * n, "z": [9.81] * n}
    series = {"sensor": "acceleration", "t0": T0, "dt": [i * 10_000_000 for i in range(n)], "values": values}
    return orjson.dumps({"v": 1, "device": device, "session": session, "seq": seq, "series": [series]})


def message(source: str, seq: int = 0, *, session: str = "m", n: int = 2) -> bytes:
    """A Sensor Logger message of n readings."""
    reading = {"name": "gyroscope", "values": {"x": 0.1, "y": 0.2, "z": 0.3}, "accuracy": 3}
    payload = [reading | {"time": T0 + i * 10_000_000} for i in range(n)]
    return orjson.dumps({"messageId": seq, "sessionId": session, "deviceId": source, "payload": payload})


async def stored(log: Log, topic: Topic = BATCHES) -> list[Entry]:
    """Everything in a topic."""
    ends = await log.ends(topic)
    reader = await log.follow(topic)
    found: list[Entry] = []
    try:
        async with asyncio.timeout(10):
            while len(found) < sum(ends.values()):
                found += await reader.poll(records_max=1000, bytes_max=2**24, wait_s=0.1)
    finally:
        await reader.close()
    return found


async def eventually(condition: Any, *, within_s: float = 5.0) -> None:
    """Wait until `condition()` is true."""
    async with asyncio.timeout(within_s):
        for _ in itertools.count():
            if condition():
                return
            await asyncio.sleep(0.01)
