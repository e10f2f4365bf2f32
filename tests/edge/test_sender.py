"""A lane over the real spool, with a clock that moves when told: order, waits, holds, and who goes first."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from edge.batcher import CutLimits
from edge.sender import Sender, Way
from edge.settings import LaneSettings, SpoolSettings
from edge.spool import Spool
from edge.spooled import Epoch, Lane
from edge.transports.memory import MemoryTransport
from gateway import receipts
from telemetry import wire
from telemetry.batch import Batch, BatchId, Receipt
from telemetry.beside import Beside
from telemetry.clock import ManualClock
from telemetry.errors import LogUnavailable, RateLimited, Unauthorised
from tests.edge.agent_world import pressures

EPOCH = Epoch("boot", 0, synchronised=True)
Outcome = Exception | Callable[[Batch], bytes] | None


def receipt(batch: Batch) -> bytes:
    """As the gateway words it."""
    return orjson.dumps(receipts.stored(Receipt(*batch.id, batch.readings, {})))


class World:
    """The spool, both lanes, and a far end that does what `outcomes` says, else stores."""

    def __init__(self, spool: Spool, clock: ManualClock, **lanes: float) -> None:
        self.spool, self.clock = spool, clock
        self.outcomes: dict[BatchId, list[Outcome]] = {}
        self.sent: list[tuple[BatchId, bytes, float]] = []
        self.at_once: dict[str, int] = {}
        self.most_at_once = 0
        self.settings_seen: list[dict[str, Any]] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.way = Way(
            spool,
            MemoryTransport(self._handle),
            clock,
            Random(1),
            LaneSettings(**lanes),
            beside=lambda batch: Beside(settings="3"),
            on_settings=self.settings_seen.append,
            new_session=lambda: spool.rotate(EPOCH),
        )

    async def _handle(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        batch = wire.decode(body)
        assert headers == {"sensorline-settings": "3"}
        self.sent.append((batch.id, body, self.clock.monotonic_s()))
        self.at_once[batch.session] = self.at_once.get(batch.session, 0) + 1
        self.most_at_once = max(self.most_at_once, *self.at_once.values())
        await self.answering.wait()
        await asyncio.sleep(0)
        self.at_once[batch.session] -= 1
        outcome = self.outcomes.get(batch.id, [])
        now = outcome.pop(0) if outcome else None
        if isinstance(now, Exception):
            raise now
        return (now or receipt)(batch)

    async def put(self, n: int) -> list[BatchId]:
        """n committed batches in the live session, its first."""
        for k in range(n):
            await self.spool.put([(pressures(1 + k),)], epoch=EPOCH)
        await self.spool.commit()
        return [BatchId("pi", self.spool.session, k) for k in range(n)]

    async def until(self, condition: Callable[[], Any], step_s: float = 0.0) -> None:
        """Let the lanes go on, the clock by `step_s` at a time, until it holds."""
        async with asyncio.timeout(10):
            while not condition():
                await self.clock.advance(step_s)
                await asyncio.sleep(0.001)

    @property
    def ids(self) -> list[BatchId]:
        return [id_ for id_, _, _ in self.sent]


@contextlib.asynccontextmanager
async def world(tmp_path: Path, **lanes: float) -> AsyncIterator[World]:
    clock = ManualClock()
    settings = SpoolSettings(commit_period_s=0)
    spool = await Spool.open(tmp_path, settings, device="pi", clock=clock, limits=CutLimits(), epoch=EPOCH, inline=True)
    made = World(spool, clock, **lanes)
    try:
        yield made
    finally:
        await spool.close()


@contextlib.asynccontextmanager
async def lanes_running(world: World, *lanes: Lane) -> AsyncIterator[None]:
    work: list[Awaitable[Any]] = [Sender(lane, world.way).run() for lane in lanes or tuple(Lane)]
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_in_order_one_in_flight_and_the_same_bytes_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        ids = await w.put(4)
        w.outcomes[ids[1]] = [OSError("reset"), LogUnavailable("down"), TimeoutError(), None]
        async with lanes_running(w):
            await w.until(lambda: w.spool.depth().batches == 0, step_s=0.5)
    assert w.ids == [ids[0], *[ids[1]] * 4, ids[2], ids[3]]
    assert len({body for id_, body, _ in w.sent if id_ == ids[1]}) == 1
    assert w.most_at_once == 1
    assert w.way.news[Lane.LIVE].tries_failed == 3
    assert w.way.news[Lane.LIVE].last_receipt == ids[3]


async def test_retry_after_is_waited_for_even_when_the_other_lane_gets_through(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        (old,) = await w.put(1)
        await w.spool.rotate(EPOCH)
        w.outcomes[old] = [RateLimited("slow down", retry_after_s=100)]
        async with lanes_running(w):
            await w.until(lambda: old in w.ids)
            (live,) = await w.put(1)
            await w.until(lambda: live in w.ids)
            await w.until(lambda: w.clock.monotonic_s() > 99, step_s=1)
            assert w.ids.count(old) == 1
            await w.until(lambda: w.ids.count(old) == 2, step_s=1)
    assert w.clock.monotonic_s() <= 127


async def test_what_one_lane_gets_through_ends_the_others_wait_for_a_dead_gateway(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        (old,) = await w.put(1)
        await w.spool.rotate(EPOCH)
        w.outcomes[old] = [OSError("no route")] * 9
        async with lanes_running(w):
            await w.until(lambda: w.ids.count(old) == 9, step_s=1)  # its next wait is 12 s at least
            before_s = w.clock.monotonic_s()
            await w.put(1)
            await w.until(lambda: w.spool.depth().batches == 0)
    assert w.clock.monotonic_s() == before_s


async def test_a_hold_is_told_once_asks_again_and_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world(tmp_path) as w:
        ids = await w.put(2)
        w.outcomes[ids[0]] = [Unauthorised("token revoked")] * 3
        async with lanes_running(w):
            await w.until(lambda: w.way.news[Lane.LIVE].alarm)
            assert w.way.news[Lane.LIVE].alarm == "401 unauthorised token revoked"
            await w.until(lambda: w.spool.depth().batches == 0, step_s=10)
    assert w.ids == [ids[0]] * 4 + [ids[1]]
    assert 450 <= w.clock.monotonic_s() <= 910  # thrice 150 to 300 s
    assert w.way.news[Lane.LIVE].alarm == ""
    assert [r.message for r in caplog.records if "held" in r.message] == [
        f"live lane is held, nothing is lost: 401 unauthorised token revoked ({ids[0].session}/0)"
    ]


async def test_a_receipt_of_another_batch_frees_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        (id_,) = await w.put(1)
        w.outcomes[id_] = [lambda batch: orjson.dumps(receipts.stored(Receipt("pi", batch.session, 7, 1, {})))]
        async with lanes_running(w):
            await w.until(lambda: w.ids == [id_])
            assert w.spool.depth().batches == 1
            assert "captive portal" in w.way.news[Lane.LIVE].last_error
            await w.until(lambda: w.spool.depth().batches == 0, step_s=0.1)


async def test_settings_in_a_receipt_are_handed_on(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        (id_,) = await w.put(1)
        w.outcomes[id_] = [lambda batch: orjson.dumps(orjson.loads(receipt(batch)) | {"settings": {"version": 2}})]
        async with lanes_running(w):
            await w.until(lambda: w.spool.depth().batches == 0)
    assert w.settings_seen == [{"version": 2}]


async def test_live_data_that_is_not_on_disk_yet_does_not_hold_the_backlog_back(tmp_path: Path) -> None:
    async with world(tmp_path, backlog_bytes_per_s=1e9) as w:
        old = await w.put(3)
        await w.spool.rotate(EPOCH)
        for k in range(5):
            await w.spool.put([(pressures(9 + k),)], epoch=EPOCH)
        assert (w.spool.depth().live_batches, w.spool.depth().live_ready) == (5, 0)
        async with lanes_running(w):
            await w.until(lambda: len(w.sent) == 3)
    assert w.ids == old


async def test_the_backlog_waits_for_live_data_and_is_paid_by_the_byte(tmp_path: Path) -> None:
    async with world(tmp_path, backlog_bytes_per_s=100) as w:
        old = await w.put(5)
        await w.spool.rotate(EPOCH)
        live = await w.put(5)
        size_bytes = 0
        async with lanes_running(w):
            await w.until(lambda: w.spool.depth().batches == 0, step_s=0.25)
            size_bytes = len(w.sent[0][1])
    first_old = w.ids.index(old[0])
    assert w.ids[:first_old] == live[:first_old]
    assert first_old >= 3
    assert [id_ for id_ in w.ids if id_.session == old[0].session] == old
    took_s = w.clock.monotonic_s()
    assert 4 * size_bytes / 100 - 1 <= took_s <= 5 * size_bytes / 100 + 2


async def test_a_session_that_ends_in_the_middle_of_an_outage_is_not_sent_by_both_lanes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        old = await w.put(3)
        w.outcomes[old[0]] = [OSError("no route")] * 4
        async with lanes_running(w):
            await w.until(lambda: w.ids.count(old[0]) == 2, step_s=0.1)
            w.answering.clear()
            await w.until(lambda: w.ids.count(old[0]) == 3, step_s=0.1)
            await w.spool.rotate(EPOCH)  # while the first of the old ones is on its way
            for _ in range(20):
                await w.clock.advance(0.5)
                await asyncio.sleep(0.001)
            assert w.ids.count(old[0]) == 3
            w.answering.set()
            live = await w.put(2)
            await w.until(lambda: w.spool.depth().batches == 0, step_s=0.1)
    assert w.most_at_once == 1
    assert [id_ for id_ in w.ids if id_.session == old[0].session][-3:] == old
    assert [id_ for id_ in w.ids if id_.session == live[0].session] == live
