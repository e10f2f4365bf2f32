"""A blocking call that may never return: it gets a deadline, and at its end it is left to itself."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from edge.sources import SourceFailed

T = TypeVar("T")


async def abandonable(call: Callable[[], T], deadline_s: float, what: str) -> T:
    """The call's result; `SourceFailed` after the deadline.

    For calls that only read and share nothing: the thread goes on alone, and does not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as e:  # noqa: BLE001 - it is raised where it is awaited
            error = e
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name=what, daemon=True).start()
    try:
        async with asyncio.timeout(deadline_s):
            return await done
    except TimeoutError as e:
        raise SourceFailed(f"{what}: no answer within {deadline_s:g} s") from e
