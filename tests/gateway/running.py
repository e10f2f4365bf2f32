"""A gateway in a thread of its own, on a real port, for clients that know nothing of asyncio."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from tests.gateway.gateway_world import World, gateway, served

START_WAIT_S = 20.0


class Running:
    """Its address, and a way to do something in its loop."""

    def __init__(self, world: World, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self.url = url
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of a coroutine, run beside the server."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_WAIT_S)


@contextlib.contextmanager
def running(prepare: Callable[[World], Coroutine[Any, Any, None]], **settings: Any) -> Iterator[Running]:
    """A served gateway that `prepare` has filled."""
    started: list[Running] = []
    failed: list[BaseException] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with gateway(**settings) as world:
            await prepare(world)
            async with served(world) as server:
                started.append(Running(world, f"http://127.0.0.1:{server.port}", asyncio.get_running_loop()))
                ready.set()
                await stop.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as e:  # noqa: BLE001 - it is raised again in the thread that waits
            failed.append(e)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="gateway")
    thread.start()
    try:
        assert ready.wait(START_WAIT_S)
        if failed:
            raise failed[0]
        yield started[0]
    finally:
        if started:
            started[0]._loop.call_soon_threadsafe(stop.set)
        thread.join(START_WAIT_S)
        assert not thread.is_alive()
