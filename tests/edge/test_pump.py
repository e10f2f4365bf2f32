"""The pump over the real spool: what waits, what is bounded, what an interruption keeps in order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from edge.batcher import CutLimits
from edge.pump import DUE_MAX, Pump, Stamping
from edge.settings import SpoolSettings
from edge.spool import Spool
from edge.spooled import Epoch, Lane
from edge.timing.stamping import Taken
from telemetry import wire
from telemetry.batch import Batch
from telemetry.clock import ManualClock
from tests.edge.agent_world import pressures

UNSET = Epoch("boot", 0, synchronised=False)
SET = Epoch("boot", 10**18, synchronised=True)
LIMITS = CutLimits(period_s=1.0)


class World:
    def __init__(self, spool: Spool, clock: ManualClock, *, is_holding: bool) -> None:
        self.spool, self.clock = spool, clock
        self.stamping = Stamping(UNSET if is_holding else SET, is_holding)
        self.pump = Pump(spool, clock, LIMITS, lambda: self.stamping)

    async def sendable(self) -> list[Batch]:
        """Everything that could be sent now, in order; it is freed."""
        found: list[Batch] = []
        for lane in (Lane.BACKLOG, Lane.LIVE):
            while (head := await self.spool.head(lane)) is not None:
                found.append(wire.decode(head.body))
                await self.spool.free(head.id)
        return found


@contextlib.asynccontextmanager
async def world(tmp_path: Path, *, is_holding: bool = False, **settings: object) -> AsyncIterator[World]:
    clock = ManualClock()
    given = SpoolSettings.model_validate({"commit_period_s": 0} | settings)
    spool = await Spool.open(tmp_path, given, device="pi", clock=clock, limits=LIMITS, epoch=SET, inline=True)
    made = World(spool, clock, is_holding=is_holding)
    task = asyncio.create_task(made.pump.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await spool.close()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def advance(w: World, by_s: float) -> None:
    """The writer must be asleep before the clock moves."""
    await settled()
    await w.clock.advance(by_s)
    await settled()


async def test_the_period_cuts_and_a_new_one_holds_from_now_on(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.pump.put("a", [pressures(1)], None)
        await advance(w, 0.9)
        assert w.spool.depth().readings == 0
        await w.pump.put("b", [pressures(2)], None)
        await advance(w, 0.2)
        assert w.spool.depth().readings == 2
        w.pump.set_period(0.1)
        await w.pump.put("a", [pressures(3)], None)
        await advance(w, 0.15)
        assert w.spool.depth().readings == 3


async def test_when_the_spool_is_full_sources_wait_and_nothing_is_dropped(tmp_path: Path) -> None:
    async with world(tmp_path, size_bytes_max=2**20, commit_bytes_max=2**16, on_full="block") as w:
        done = 0

        async def source() -> None:
            nonlocal done
            while True:
                await w.pump.put("a", [pressures(1 + done * 10**12, 2000, value=900 + done % 99)], str(done + 1))
                done += 1

        task = asyncio.create_task(source())
        before = -1
        async with asyncio.timeout(30):
            while done != before or w.pump.waiting < DUE_MAX:
                before = done
                for _ in range(30):
                    await w.clock.advance(1.0)
                    await asyncio.sleep(0.002)
        assert w.pump.waiting == DUE_MAX  # it waits, and what waits is bounded
        taken = done
        readings = sum(b.readings for b in await w.sendable())
        assert readings > 0
        async with asyncio.timeout(30):
            while done <= taken:
                await w.clock.advance(1.0)
                await asyncio.sleep(0.002)
        task.cancel()
        assert w.spool.depth().dropped == {}


async def test_stamped_readings_wait_for_the_clock_and_others_do_not(tmp_path: Path) -> None:
    async with world(tmp_path, is_holding=True) as w:
        await w.pump.put("sensor", [pressures(5)], None, lambda: Taken(was_used=True))
        await w.pump.put("file", [pressures(77)], "1", lambda: Taken(was_used=False))
        await advance(w, 1.1)
        await w.spool.commit()
        assert [b.series[0].t.tolist() for b in await w.sendable()] == [[77]]
        await w.pump.put("sensor", [pressures(6)], None, lambda: Taken(was_used=True))
        before = w.stamping.epoch
        w.stamping = Stamping(SET, is_holding=False)  # as the stamper finds it: no wait until `then`
        w.pump.then(partial(w.spool.settle, 10**18, SET), before)
        await w.pump.put("sensor", [pressures(7)], None, lambda: Taken(was_used=True, shift_ns=10**18))
        await w.pump.flush()
        await w.spool.commit()
        times = [t for b in await w.sendable() for s in b.series for t in s.t.tolist()]
    assert times == [10**18 + 5, 10**18 + 6, 10**18 + 7]


async def test_what_was_read_before_a_new_session_is_in_the_old_one(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        first = w.spool.session

        async def rotate() -> None:
            await w.spool.rotate(SET)

        await w.pump.put("a", [pressures(1)], None)
        w.pump.then(rotate, SET)
        await w.pump.put("a", [pressures(2)], None)
        await w.pump.flush()
        await w.spool.commit()
        found = await w.sendable()
    assert [(b.session == first, b.series[0].t.tolist()) for b in found] == [(True, [1]), (False, [2])]


async def test_a_source_that_is_cancelled_while_its_readings_are_written_loses_none(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for k in range(50):
            task = asyncio.create_task(w.pump.put("a", [pressures(1 + k)], str(k)))
            for _ in range(k % 4):
                await asyncio.sleep(0)
            await settled()
            task.cancel()
            await asyncio.wait((task,))
        await w.pump.flush()
        await w.spool.commit()
        found = await w.sendable()
        assert sum(b.readings for b in found) == 50
        assert w.spool.cursor("a") == "49"
