"""Seeded worlds in which a stateful consumer crashes, is rebalanced and refused: it says what a calm one says."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeVar

import pytest

from consumers.runner import Runner
from telemetry.errors import StoreUnavailable
from telemetry.logs.memory import Config, MemoryLog
from telemetry.ports import BATCHES, Record
from telemetry.settings import Consumers
from tests.consumers.keyed_world import T0_NS, Heap, Said, keyed, record
from tests.journey.simulation.chance import Chance, Crash
from tests.journey.simulation.faulty_log import FaultyLog
from tests.journey.simulation.loop import DrivenClock, run

S = 10**9
SEEDS = int(os.environ.get("SENSORLINE_SEEDS", "60"))
SETTINGS = Consumers(flush_readings_max=20, flush_wait_s=0.5, backoff_s=0.5, backoff_max_s=4.0)
T = TypeVar("T")


@pytest.fixture(autouse=True)
def _in_this_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Simulated time would pass while a thread works; and thousands of warnings are each about a fault asked for."""

    async def here(work: Callable[[], T]) -> T:
        return work()

    monkeypatch.setattr("consumers.keyed.aside", here)
    monkeypatch.setattr("consumers.states.aside", here)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def stream(random: Random) -> list[Record]:
    """Five devices of up to three sessions, with gaps, repetitions and a backlog."""
    made: list[Record] = []
    next_seq: dict[tuple[str, str], int] = {}
    at_ns = T0_NS
    for _ in range(120):
        at_ns += random.choice((0, 1, 1, 2, 40)) * S
        device, session = random.choice("abcde"), random.choice("ppq")
        seq = next_seq.get((device, session), 0) + random.choice((0, 0, 0, 0, -1, 1))
        next_seq[device, session] = max(next_seq.get((device, session), 0), seq) + 1
        age_s = 400 if session == "q" else 1
        made.append(record(device, session, max(seq, 0), at_ns, at_ns - age_s * S))
    return made


class Storm(Heap):
    """A sink that refuses, loses replies, and dies."""

    def __init__(self, chance: Chance) -> None:
        super().__init__()
        self._chance = chance

    async def write(self, outputs: Sequence[Said]) -> None:
        if self._chance.strikes("store refuses"):
            raise StoreUnavailable("refused")
        if self._chance.strikes("crash before write"):
            raise Crash
        await super().write(outputs)
        if self._chance.strikes("store reply lost"):
            raise StoreUnavailable("the reply was lost")
        if self._chance.strikes("crash after write"):
            raise Crash


async def calm(made: list[Record]) -> list[Said]:
    log, heap = MemoryLog(Config()), Heap()
    await log.append(BATCHES, made)
    consumer = keyed(log, heap)
    await consumer.adopt(frozenset({0}))
    await consumer.process(await log.read(BATCHES, 0, records_max=10**6, bytes_max=2**30))
    consumer.close()
    return heap.distinct()


async def stormy(made: list[Record], chance: Chance, clock: DrivenClock) -> tuple[list[Said], int, int]:
    """The outputs, the crashes, and how many outputs were written again."""
    log, heap = FaultyLog(chance, 10_000), Storm(chance)
    await log.start()
    crashes = 0
    runners: list[Runner] = []
    stopping = asyncio.Event()

    async def keep() -> None:
        nonlocal crashes
        while not stopping.is_set():
            states_max = chance.random.choice((1, 2, 20))
            consumer = keyed(log, heap, clock=clock, checkpoint_s=2.0, states_max=states_max)
            runners.append(Runner(log, BATCHES, consumer, SETTINGS, clock))
            try:
                await runners[-1].run()
            except Crash:
                crashes += 1
                await clock.sleep(chance.delay_s(3.0))

    keeping = asyncio.create_task(keep())
    left = list(made)
    while left:
        some = chance.random.randrange(1, 12)
        await MemoryLog.append(log, BATCHES, left[:some])
        left = left[some:]
        await clock.sleep(chance.delay_s(2.0))
    chance.calm = True
    async with asyncio.timeout(300):
        while await log.committed(BATCHES, "adder") != await log.ends(BATCHES):
            await clock.sleep(0.5)
        stopping.set()
        runners[-1].stop()
        await keeping
    return heap.distinct(), crashes, len(heap.written) - len(heap.distinct())


def test_storms_change_no_output() -> None:
    crashes = again = 0
    for seed in range(SEEDS):

        async def main(clock: DrivenClock, seed: int = seed) -> tuple[list[Said], list[Said], int, int]:
            random = Random(seed)
            made = stream(random)
            return await calm(made), *(await stormy(made, Chance(random, clock), clock))

        expected, told, died, repeated = run(main)
        assert told == expected, f"seed {seed}"
        crashes += died
        again += repeated
    assert crashes > SEEDS // 4
    assert again > SEEDS // 4, "hardly anything was ever read twice"
