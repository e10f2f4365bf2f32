"""A phone: the real batcher and the real retry decisions, and between them a list with a limit, as an app has it.

It sends several batches at once, and three in ten overtake each other.  A Pi, with the real agent, is in `pi`.
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
from tests.journey.simulation.chance import Chance, require
from tests.journey.simulation.way import Way

LIMITS = CutLimits(size_bytes_max=2_000, readings_max=24, period_s=1.0)
SPOOL_MAX = 6
CHUNKS = 14
PAUSE_S = 1.0
OUT_OF_RANGE = 1e6  # m/s2; the catalogue says 200 at most
SHUFFLED = 0.30
OVERTAKEN_S = 8.0
LANES = 4


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


class Phone:
    """A sender of one session."""

    keeps_order = False

    def __init__(self, name: str, way: Way, clock: Clock, chance: Chance) -> None:
        self.name = name
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
        tasks = [asyncio.create_task(self._read()), *(asyncio.create_task(self._send()) for _ in range(LANES))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _read(self) -> None:
        for k in range(CHUNKS):
            await self._clock.sleep(self._chance.delay_s(PAUSE_S))
            for series in chunk(self._chance, self._clock.now_ns(), k, self.name):
                self.tally.read += len(series)
                self.tally.pending += len(series)
                await self._spool(self._batcher.append(series, self._clock.monotonic_s()))
            await self._spool(self._batcher.poll(self._clock.monotonic_s()))
            await self._way.poison()
        await self._spool(self._batcher.flush())
        for _ in range(LANES):
            self._queue.put_nowait(None)

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
        overtaken = self._chance.random.random() < SHUFFLED
        return await self._way.deliver(self.name, body, **({"latency_s": OVERTAKEN_S} if overtaken else {}))

    @property
    def acknowledged(self) -> dict[BatchId, str]:
        """Content hashes."""
        return {id_: kept.content_hash for id_, kept in self.tally.acknowledged.items()}

    @property
    def unanswered(self) -> dict[BatchId, str]:
        """Content hashes of what may be stored or not."""
        return {id_: kept.content_hash for id_, kept in self.tally.spooled.items()}

    def check(self) -> None:
        """Its books and its limits; read = acknowledged + spooled + set aside (with a reason) + not cut yet."""
        tally = self.tally
        aside = [kept for kept, _ in tally.set_aside.values()]
        kept = [*tally.acknowledged.values(), *tally.spooled.values(), *aside]
        found = sum(k.batch.readings for k in kept) + tally.pending
        require(tally.read == found, f"{self.name}: read {tally.read}, accounted {found}")
        require(all(reason for _, reason in tally.set_aside.values()), f"{self.name}: set aside without a reason")
        spooled = tally.spooled.values()
        require(len(spooled) <= SPOOL_MAX, f"{self.name} spools {len(spooled)} batches")
        require(all(len(k.body) <= LIMITS.size_bytes_max for k in spooled), f"{self.name}: a batch is too large")
        require(all(k.batch.readings <= LIMITS.readings_max for k in spooled), f"{self.name}: too many readings")

    def check_end(self) -> None:
        """Nothing beyond `check`."""


def chunk(chance: Chance, now_ns: int, k: int, name: str) -> list[Series]:
    """What the sensors of `name` read in the k-th while."""
    random = chance.random
    n = random.randint(1, 12)
    t = now_ns + np.arange(n, dtype=np.int64) * 10_000_000
    x = np.round(np.array([random.uniform(-9, 9) for _ in range(n)]), 3)
    if chance.strikes("out of range", name):
        x[-1] = OUT_OF_RANGE
    made = [Series.of("gravity", t, {"x": x, "y": np.full(n, k % 100)})]
    if random.random() < 0.5:
        made.append(Series.of("gyroscope", t[:1], {"z": x[:1] / 10}))
    return made
