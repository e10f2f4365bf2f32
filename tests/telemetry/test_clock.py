"""Time behind a port: the manual clock wakes sleepers in the order of their time, and only when told."""

import asyncio
import time

from telemetry.clock import ManualClock, SystemClock


async def test_sleepers_wake_in_order_and_see_their_own_time() -> None:
    clock, woken = ManualClock(start_ns=0), []

    async def sleeper(name: str, wait_s: float) -> None:
        await clock.sleep(wait_s)
        woken.append((name, clock.monotonic_s(), clock.now_ns()))

    tasks = [asyncio.create_task(sleeper(n, s)) for n, s in (("b", 2.0), ("a", 1.0), ("c", 2.0))]
    await asyncio.sleep(0)
    assert clock.next_wake_s == 1.0
    await clock.advance(0.5)
    assert woken == []
    await clock.advance(2.0)
    await asyncio.gather(*tasks)
    assert woken == [("a", 1.0, 10**9), ("b", 2.0, 2 * 10**9), ("c", 2.0, 2 * 10**9)]
    assert clock.monotonic_s() == 2.5
    assert clock.next_wake_s is None


async def test_one_who_sleeps_again_within_the_advance_is_woken_again() -> None:
    clock, ticks = ManualClock(), []

    async def ticker() -> None:
        for _ in range(3):
            await clock.sleep(1.0)
            ticks.append(clock.monotonic_s())

    task = asyncio.create_task(ticker())
    await asyncio.sleep(0)
    await clock.advance(10.0)
    await task
    assert ticks == [1.0, 2.0, 3.0]


async def test_a_wall_clock_that_steps_leaves_monotonic_time_alone() -> None:
    clock = ManualClock(start_ns=100)
    clock.step_wall(-50)
    assert clock.now_ns() == 50
    assert clock.monotonic_s() == 0.0
    await clock.sleep(0)  # returns at once
    await clock.sleep(-1)


async def test_a_cancelled_sleeper_harms_nobody() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1.0))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await clock.advance(2.0)
    assert clock.monotonic_s() == 2.0


async def test_the_system_clock_is_the_machine_s() -> None:
    clock = SystemClock()
    assert abs(clock.now_ns() - time.time_ns()) < 10**9
    before = clock.monotonic_s()
    await clock.sleep(0.001)
    assert clock.monotonic_s() > before
