"""How each store adapter is constructed for the conformance suite; nothing else of an adapter is known to it.

To put an adapter through the suite, add one `Builder` here.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from telemetry.ports import Detail, Store
from telemetry.stores import open_store


async def _at_once(store: Store) -> None:
    """What is written can be queried at once."""


@dataclass(frozen=True)
class Builder:
    """An adapter's construction.

    `options` makes its settings (called once a test: give each test its own name space; `request` reaches fixtures).
    `settle` makes what was written visible to queries (a refresh), for stores where that takes a moment.
    """

    name: str
    options: Callable[[pytest.FixtureRequest], Mapping[str, Any]] = lambda request: {}
    settle: Callable[[Store], Awaitable[None]] = _at_once
    survives_reopening: bool = True
    marks: tuple[pytest.MarkDecorator, ...] = ()


BUILDERS: tuple[Builder, ...] = (
    Builder("memory", survives_reopening=False),
    Builder("duckdb"),
)


class Bench:
    """One test's store, its construction and its notion of visible."""

    def __init__(self, builder: Builder, options: Mapping[str, Any], data_dir: Path) -> None:
        self.builder = builder
        self._options = options
        self._data_dir = data_dir
        self._opened: list[Store] = []

    async def open(self, *, retention_days: int = 3650, detail: Detail = "samples") -> Store:
        """A started store over this test's data."""
        store = open_store(
            self.builder.name, self._options, self._data_dir, retention_days=retention_days, detail=detail
        )
        self._opened.append(store)
        await store.start()
        return store

    async def settle(self, store: Store) -> None:
        """Wait until what was written can be queried."""
        await self.builder.settle(store)

    async def close(self) -> None:
        """Let go of every store that was opened."""
        for store in self._opened:
            await store.close()
