"""Detection that dies and saves at random points of its stream, in one process: the same anomalies, bit for bit."""

from functools import cache
from random import Random

import pytest

from consumers.detect import AnomalySink, DetectOperators
from consumers.keyed import Keyed
from consumers.operator import Work
from telemetry.anomaly import Anomaly
from telemetry.clock import SystemClock
from telemetry.logs.memory import Config, MemoryLog
from telemetry.ports import BATCHES, Record
from telemetry.settings import Consumers, Detect
from tests.consumers.keyed_world import Gone
from tests.journey.disturbed import found, records

pytestmark = pytest.mark.timeout(240)  # the first run compiles the detectors

ZERO = frozenset({0})


@cache
def told() -> list[Record]:
    return records()


async def detect(random: Random | None) -> tuple[dict[str, bytes], int]:
    """Read all records in pieces of any size, saving and dying now and then; without chance, in one piece."""
    log = MemoryLog(Config())
    await log.append(BATCHES, told())
    entries = await log.read(BATCHES, 0, records_max=10**6, bytes_max=2**30)
    consumer = made(log, random)
    at = (await consumer.adopt(ZERO))[0]
    while at < len(entries):
        upto = len(entries) if random is None else at + random.randrange(1, 80)
        await consumer.process(entries[at:upto])
        at = upto
        if random is not None and random.random() < 0.3:
            await consumer.save()
        if random is not None and random.random() < 0.5:
            consumer.close()
            consumer = made(log, random)
            at = (await consumer.adopt(ZERO))[0]
    await consumer.save()
    consumer.close()
    return await found(log)


def made(log: MemoryLog, random: Random | None) -> Keyed[Anomaly]:
    async def refresh() -> None:
        return None

    settings = Consumers(checkpoint_s=10**6, states_max=random.choice([1, 2, 20]) if random else 20)
    work = Work("detect", DetectOperators(Detect()), AnomalySink(log))
    return Keyed(log, work, settings, SystemClock(), deletions=Gone(), refresh=refresh)


async def test_deaths_and_cuts_change_no_anomaly() -> None:
    expected, written = await detect(None)
    assert written > len(expected) >= 4
    again = 0
    for seed in range(3):
        anomalies, told_again = await detect(Random(seed))
        assert anomalies == expected, f"seed {seed}"
        again += told_again - written
    assert again > 0, "nothing was ever read twice: no death came between an output and its checkpoint"
