"""The event loop of a long-running command: uvloop where there is one, and a graceful end on SIGINT and SIGTERM."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LEVELS = ("debug", "info", "warning", "error", "critical")
FORCED = 128 + signal.SIGINT


def run(main: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    """Run `main(stop)`; the first signal sets `stop`, the second ends the process at once."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_until_signalled(main))


def log_to_stderr(level: str) -> None:
    """One line an event, on standard error; raises `Misconfigured` for a level that there is not."""
    from telemetry.errors import Misconfigured

    if level.lower() not in LEVELS:
        raise Misconfigured(f"setting log_level: {level!r} is none of {', '.join(LEVELS)}", path="log_level")
    form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    logging.basicConfig(level=level.upper(), format=form, stream=sys.stderr)
    for noisy in ("httpx", "httpcore", "aiokafka", "elastic_transport"):  # a line a request is no news
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))


async def _until_signalled(main: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    stop = asyncio.Event()

    def told() -> None:
        if stop.is_set():
            os._exit(FORCED)
        print("stopping (again to end at once) ...", file=sys.stderr, flush=True)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
    return await main(stop)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ModuleNotFoundError:  # not on every platform
        return None
    return uvloop.new_event_loop
