"""A driver's call in a thread: a cancelled caller waits for it, so that nobody closes a device under it."""

import asyncio
import threading

import pytest

from edge.sources._blocking import in_thread
from tests.edge.sources.harness import until


async def test_results_and_errors_come_through() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_it_waits_for_the_thread_however_often(fails: bool) -> None:
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        go.wait(10)
        ended.set()
        if fails:
            raise OSError("the cancellation is what the caller is told")

    task = asyncio.create_task(in_thread(call))
    await until(begun.is_set)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
