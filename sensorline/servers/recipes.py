"""The servers that can be started: a recipe is a module with these names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sensorline.servers import elasticsearch, kafka
from sensorline.servers.errors import ServersError


class Recipe(Protocol):
    """How one server is fetched, started and asked whether it is ready."""

    @property
    def POM(self) -> Path: ...  # noqa: N802 - a module's constant
    @property
    def DEFAULT_PORT(self) -> int: ...  # noqa: N802
    @property
    def DEFAULT_HEAP(self) -> str: ...  # noqa: N802
    def arrange(self, jars: Path) -> None: ...
    def command(self, home: Path, jars: Path, port: int, heap: str, options: Mapping[str, str]) -> list[str]: ...
    def is_ready(self, port: int) -> bool: ...


RECIPES: dict[str, Recipe] = {"kafka": kafka, "elasticsearch": elasticsearch}


def recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise ServersError(f"no server is called {name!r}: choose from {', '.join(RECIPES)}")
    return RECIPES[name]
