"""The fixtures of the Elasticsearch store's modules: a server, a name space a test, and a proxy before it."""

import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ports"))  # the suite's modules import each other by plain name

from stores_builders import Bench, Builder

from telemetry.ports import Store
from telemetry.stores import open_store
from tests.faults.http_proxy import Proxy

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def url(request: pytest.FixtureRequest) -> str:
    """A server that runs already, when the environment names one, or the suite's own."""
    named = os.environ.get("SENSORLINE_TEST_ELASTICSEARCH")
    return named or str(request.getfixturevalue("servers").elasticsearch_url)


@pytest.fixture
async def ask(url: str) -> AsyncIterator[Ask]:
    """A plain request to the server."""
    async with aiohttp.ClientSession() as session:

        async def send(method: str, path: str, body: Any = None) -> Any:
            async with session.request(method, url + path, json=body) as answer:
                content = await answer.json()
                assert answer.status < 300, content
                return content

        yield send


@pytest.fixture
async def prefix(ask: Ask) -> AsyncIterator[str]:
    """A name space of its own; all that is in it is removed afterwards."""
    name = f"t{uuid.uuid4().hex[:8]}-"
    yield name
    indices = await ask("GET", f"/{name}*/_alias?expand_wildcards=all")
    if indices:
        await ask("DELETE", f"/{','.join(indices)}")
    for kind in ("_index_template", "_component_template"):
        await ask("DELETE", f"/{kind}/{name}*")


async def settle(store: Store) -> None:
    await store.refresh()  # type: ignore[attr-defined]


@pytest.fixture
async def bench(url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    options = {"urls": [url], "prefix": prefix, "backoff_s": 0.01}
    bench = Bench(Builder("elasticsearch", settle=settle), options, tmp_path)
    await (await bench.open()).close()  # so that there are templates for `prefix` to remove
    yield bench
    await bench.close()


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Proxy]:
    async with Proxy(url).run() as proxy:
        yield proxy


@pytest.fixture
async def behind(bench: Bench, proxy: Proxy, prefix: str, tmp_path: Path) -> AsyncIterator[Store]:
    """A store that reaches the server through the proxy."""
    options = {"urls": [proxy.url], "prefix": prefix, "backoff_s": 0.01}
    store = open_store("elasticsearch", options, tmp_path, retention_days=3650)
    await store.start()
    yield store
    await store.close()
