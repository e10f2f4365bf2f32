"""A source for tests: runs the function that the test put under its name."""

from typing import Any

from edge.sources import Context, Options, Outlet, Source


class Config(Options):
    """`rate_hz` is there so that it can be changed from afar."""

    rate_hz: float = 1.0


class Called:
    def __init__(self, config: Config, context: Context) -> None:
        self._config, self._context = config, context

    async def run(self, outlet: Outlet) -> None:
        await self._context.extras[self._context.name](outlet, self._context, self._config)

    async def check(self) -> str:
        return "it is there"


def open(config: Any, context: Context) -> Source:  # noqa: A001 - the port's word
    return Called(config, context)
