"""Work in threads: bounded, with a deadline, and broken off when nobody waits for it any more."""

import asyncio
import threading

import pytest

from telemetry.errors import StoreUnavailable
from telemetry.stores._lanes import PENDING_MAX, Lane


class Stoppable:
    """Work that goes on until it is interrupted."""

    def __init__(self) -> None:
        self.began, self.stop, self.ended = threading.Event(), threading.Event(), threading.Event()

    def run(self) -> str:
        self.began.set()
        self.stop.wait(30)
        self.ended.set()
        return "ended"


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


async def test_a_call_over_its_deadline_is_interrupted_and_said_to_be_unavailable() -> None:
    lane, work = Lane("lane", 1), Stoppable()
    with pytest.raises(StoreUnavailable, match=r"more than 0\.05 s"):
        await lane.call(work.run, work.stop.set, 0.05)
    assert work.ended.is_set()
    assert await lane.call(lambda: 7, lambda: None, 5) == 7
    lane.close()


async def test_a_call_that_had_not_begun_at_its_deadline_never_begins() -> None:
    lane, first, ran = Lane("lane", 1), Stoppable(), []
    running = asyncio.create_task(lane.call(first.run, first.stop.set, 30))
    await until(first.began)
    waiting = asyncio.create_task(lane.call(lambda: ran.append(1), first.stop.set, 0.05))
    with pytest.raises(StoreUnavailable):
        await waiting
    assert await running == "ended"
    lane.close()
    assert ran == []


async def test_a_cancelled_call_is_interrupted() -> None:
    lane, work = Lane("lane", 1), Stoppable()
    task = asyncio.create_task(lane.call(work.run, work.stop.set, 30))
    await until(work.began)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(work.ended)
    lane.close()


async def test_more_calls_than_may_wait_are_refused_at_once() -> None:
    lane, work = Lane("lane", 1), Stoppable()
    calls = [asyncio.create_task(lane.call(work.run, work.stop.set, 30)) for _ in range(PENDING_MAX)]
    await until(work.began)
    with pytest.raises(StoreUnavailable, match="busy"):
        await lane.call(work.run, work.stop.set, 30)
    work.stop.set()
    assert await asyncio.gather(*calls) == ["ended"] * PENDING_MAX
    lane.close()


async def test_an_error_of_the_work_is_the_callers() -> None:
    lane = Lane("lane", 1)
    with pytest.raises(ZeroDivisionError):
        await lane.call(lambda: 1 // 0, lambda: None, 5)
    lane.close()


async def test_a_call_that_waits_while_the_lane_closes_is_told_so() -> None:
    lane, work = Lane("lane", 1), Stoppable()
    running = asyncio.create_task(lane.call(work.run, work.stop.set, 30))
    await until(work.began)
    waiting = asyncio.create_task(lane.call(lambda: 1, lambda: None, 30))
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(lane.close))
    with pytest.raises(StoreUnavailable, match="closed"):
        await asyncio.wait_for(waiting, 10)
    work.stop.set()
    assert await running == "ended"
    await closing
