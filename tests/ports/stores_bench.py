"""The fixtures of the conformance suite's modules: one store of each adapter, and its notion of visible."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from stores_builders import BUILDERS, Bench, Builder

from telemetry.ports import Store


@pytest.fixture(params=[pytest.param(b, id=b.name, marks=b.marks) for b in BUILDERS])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    builder: Builder = request.param
    bench = Bench(builder, builder.options(request), tmp_path)
    yield bench
    await bench.close()


@pytest.fixture
async def store(bench: Bench) -> Store:
    return await bench.open()
