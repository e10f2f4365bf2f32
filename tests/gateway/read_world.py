"""A gateway with something to read: its log run through the real consumers into the store, and people with keys."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from consumers.index import Index
from consumers.ledger import Ledger
from telemetry.ports import BATCHES, Entry, Store
from telemetry.stores import open_store
from tests.gateway.gateway_world import World, bearer, gateway, stored


async def settle(world: World) -> None:
    """Everything that the log has is in the store now; running it again changes nothing."""
    await consume(world, await stored(world.log, BATCHES))


async def consume(world: World, entries: list[Entry]) -> None:
    """These records through index and ledger."""
    s = world.services

    async def refresh() -> None:
        await s.registry.sync(5.0)

    await Index(s.log, s.store, s.clock, s.registry.is_deleted, refresh).process(entries)
    await Ledger(s.store, session_cache_max=100).process(entries)


@contextlib.asynccontextmanager
async def opened(name: str) -> AsyncIterator[Store]:
    """A new store of that kind, started; its files go when it is closed."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(name, {}, Path(folder), retention_days=10_000)
        await store.start()
        try:
            yield store
        finally:
            await store.close()


class Person:
    """Somebody with a key, on this machine unless told otherwise."""

    def __init__(
        self, world: World, key: str | None, address: str = "127.0.0.1", *, raise_errors: bool = False
    ) -> None:
        self.key = key
        self._transport = httpx.ASGITransport(world.app, raise_app_exceptions=raise_errors, client=(address, 50_000))
        self._headers = bearer(key)

    async def get(self, path: str, **params: Any) -> httpx.Response:
        """One GET; `from_` is `from`."""
        named = {name.rstrip("_"): value for name, value in params.items()}
        return await self.ask("GET", path, params=named)

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request."""
        options["headers"] = self._headers | options.pop("headers", {})
        async with httpx.AsyncClient(transport=self._transport, base_url="http://gateway") as client:
            return await client.request(method, path, **options)


@contextlib.asynccontextmanager
async def reading_gateway(
    role: str = "viewer", store: str = "memory", **settings: Any
) -> AsyncIterator[tuple[World, Person]]:
    """A gateway over that store, and somebody of that role."""
    async with gateway(**settings) as world, opened(store) as its_store:
        world.services = world.app.state.services = replace(world.services, store=its_store)
        key = await world.services.enrolment.add_operator(f"the-{role}", role)
        yield world, Person(world, key)
