"""Senders with the real batcher and the real retry decisions; the spool between them is a list with a limit.

An agent sends one batch at a time, in order.  A phone sends several at once, and three in ten overtake each other.
"""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edge.batcher import Batcher, Cut, CutLimits
from edge.retry import Free, Hold, RetryIn, SetAside, decide
from edge.transports.memory import MemoryTransport
from telemetry import wire
from telemetry.batch import Batch, BatchId, Series
from telemetry.clock import Clock
from tests.journey.simulation.chance import Chance
from tests.journey.simulation.way import Way

LIMITS = CutLimits(size_bytes_max=2_000, readings_max=24, period_s=1.0)
SPOOL_MAX = 6
CHUNKS = 14
PAUSE_S = 1.0
OUT_OF_RANGE = 1e6  # m/s2; the catalogue says 200 at most
SHUFFLED = 0.30
OVERTAKEN_S = 8.0
LANES = {"agent": 1, "phone": 4}


@dataclass
class Kept:
    """A batch as the sender keeps it: its bytes never change."""

    batch: Batch
    body: bytes
    content_hash: str


@dataclass
class Tally:
    """Where every reading that was read from the source is."""

    read: int = 0
    acknowledged: dict[BatchId, Kept] = field(default_factory=dict)
    set_aside: dict[BatchId, tuple[Kept, str]] = field(default_factory=dict)
    spooled: dict[BatchId, Kept] = field(default_factory=dict)
    pending: int = 0  # in the batcher


class Device:
    """A sender of one session; `kind` is "agent" or "phone"."""

    def __init__(self, name: str, kind: str, way: Way, clock: Clock, chance: Chance) -> None:
        self.name = name
        self.kind = kind
        self.tally = Tally()
        self._way = way
        self._clock = clock
        self._chance = chance
        self._batcher = Batcher(LIMITS)
        self._seq = itertools.count()
        self._queue: asyncio.Queue[Kept | None] = asyncio.Queue()
        self._room = asyncio.Condition()
        self._transport = MemoryTransport(self._deliver)

    async def run(self) -> None:
        """Read the source to its end, and send all; cancel it to leave the rest in the spool."""
        lanes = LANES[self.kind]
        tasks = [asyncio.create_task(self._read(lanes)), *(asyncio.create_task(self._send()) for _ in range(lanes))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _read(self, lanes: int) -> None:
        for k in range(CHUNKS):
            await self._clock.sleep(self._chance.delay_s(PAUSE_S))
            for series in self._chunk(k):
                self.tally.read += len(series)
                self.tally.pending += len(series)
                await self._spool(self._batcher.append(series, self._clock.monotonic_s()))
            await self._spool(self._batcher.poll(self._clock.monotonic_s()))
            await self._way.poison()
        await self._spool(self._batcher.flush())
        for _ in range(lanes):
            self._queue.put_nowait(None)

    def _chunk(self, k: int) -> list[Series]:
        random = self._chance.random
        n = random.randint(1, 12)
        t = self._clock.now_ns() + np.arange(n, dtype=np.int64) * 10_000_000
        x = np.round(np.array([random.uniform(-9, 9) for _ in range(n)]), 3)
        if self._chance.strikes("out of range", self.name):
            x[-1] = OUT_OF_RANGE
        made = [Series.of("gravity", t, {"x": x, "y": np.full(n, k)})]
        if random.random() < 0.5:
            made.append(Series.of("gyroscope", t[:1], {"z": x[:1] / 10}))
        return made

    async def _spool(self, cuts: list[Cut]) -> None:
        """Give them a seq and keep them; a full spool makes the source wait."""
        for cut in cuts:
            async with self._room:
                await self._room.wait_for(lambda: len(self.tally.spooled) < SPOOL_MAX)
            batch = Batch(self.name, f"session-{self.name}", next(self._seq), cut)
            body = wire.encode(batch)
            kept = Kept(batch, body, wire.content_hash(body))
            self.tally.pending -= batch.readings
            self.tally.spooled[batch.id] = kept
            self._chance.note(f"spool {batch.id} {kept.content_hash}")
            self._queue.put_nowait(kept)

    async def _send(self) -> None:
        while (kept := await self._queue.get()) is not None:
            await self._until_answered(kept)
            async with self._room:
                self._room.notify_all()

    async def _until_answered(self, kept: Kept) -> None:
        id_ = kept.batch.id
        for attempt in itertools.count():
            answer = await self._transport.send(kept.body)
            action = decide(attempt, answer, self._chance.random)
            self._chance.note(f"answer {id_} {answer.status} {type(action).__name__}")
            match action:
                case Free():
                    self.tally.acknowledged[id_] = self.tally.spooled.pop(id_)
                    self._way.clone(kept.batch)
                    return
                case SetAside(reason):
                    self.tally.set_aside[id_] = self.tally.spooled.pop(id_), reason
                    return
                case Hold(_, wait_s) | RetryIn(wait_s):
                    await self._clock.sleep(wait_s)

    async def _deliver(self, body: bytes, _headers: Mapping[str, str]) -> bytes:
        overtaken = self.kind == "phone" and self._chance.random.random() < SHUFFLED
        return await self._way.deliver(self.name, body, **({"latency_s": OVERTAKEN_S} if overtaken else {}))
