"""Blocking drivers in threads, such that a cancelled source leaves no thread at work on a device it is closing."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The call's result.  When cancelled, first waits for the call to end: a driver's calls must have a deadline.

    `asyncio.to_thread` alone goes on in its thread after a cancellation, perhaps with a device that is closed by then.
    """
    running = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as e:
            cancelled = e
    if cancelled is not None:
        running.exception()  # looked at, so that nothing complains; the cancellation is what the caller is told
        raise cancelled
    return running.result()
