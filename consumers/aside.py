"""Work that computes for long, off the event loop: the gateway of the same process goes on answering meanwhile."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """Do it in a thread.  It is one step: a cancellation waits until it is done, and comes at the next `await`.

    So what it changed and what follows from it stay together, as if it had run here.
    """
    step = asyncio.ensure_future(asyncio.to_thread(work))
    was_cancelled = False
    while not step.done():
        try:
            await asyncio.wait([step])
        except asyncio.CancelledError:
            was_cancelled = True
    task = asyncio.current_task()
    if was_cancelled and task is not None:
        task.uncancel()
        task.cancel()
    return step.result()
