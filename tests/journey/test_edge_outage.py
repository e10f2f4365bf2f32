"""A gateway that is away for an hour of simulated time: the real agent, intake, consumers, and nothing that is lost."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from telemetry.ports import BATCHES
from tests.journey.simulation import consumers, invariants
from tests.journey.simulation.chance import Chance
from tests.journey.simulation.faulty_log import FaultyLog
from tests.journey.simulation.faulty_store import FaultyStore
from tests.journey.simulation.loop import DrivenClock, run
from tests.journey.simulation.pi import Pi
from tests.journey.simulation.way import Way

HOUR_S = 3_600.0
GOES_S = 60.0
CHUNKS = 2_200  # one every two seconds
RECORDS_MAX = 20_000
DRAIN_S_MAX = 300.0


class Away(Way):
    """Nobody answers for an hour."""

    back_s = GOES_S + HOUR_S

    async def deliver(self, device: str, body: bytes, latency_s: float = 0.1) -> bytes:
        if GOES_S <= self._clock.monotonic_s() < self.back_s:
            raise ConnectionRefusedError("the gateway is away")
        return await super().deliver(device, body, latency_s)


class LongPi(Pi):
    """Has room for the hour."""

    chunks = CHUNKS
    pause_s = 4.0
    spool_bytes_max = 64 * 2**20


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_an_hour_without_a_gateway(tmp_path: Path) -> None:
    """Every reading of the hour is stored, once; live data goes first when the gateway is back."""

    async def main(clock: DrivenClock) -> None:
        chance = Chance(Random(1), clock, calm=True)
        log, store = FaultyLog(chance, RECORDS_MAX), FaultyStore(chance)
        await log.start()
        await store.start()
        way = Away(log, clock, chance)
        pi = LongPi("pi", way, clock, chance, tmp_path)
        consuming = consumers.Consuming(log, store, chance)
        running = consuming.start()
        await pi.run()
        pi.check()
        pi.check_end()
        async with asyncio.timeout(DRAIN_S_MAX):
            while any([await log.committed(BATCHES, group) != await log.ends(BATCHES) for group in consuming.runners]):
                await clock.sleep(1.0)
        consuming.stop()
        await asyncio.gather(*running)

        assert clock.monotonic_s() > GOES_S + HOUR_S
        assert len(pi.acknowledged) > HOUR_S / 4, "a batch every few seconds"
        entries = await log.read(BATCHES, 0, records_max=RECORDS_MAX, bytes_max=2**30)
        seen = invariants.read_log(entries)
        invariants.check_order(pi, seen)
        await invariants.check_store(store, pi, seen)
        assert (await store.counts()).readings == pi.books.read
        assert all(session.duplicates == 0 for session in seen.sessions.values())
        _live_came_first([entry.headers["session"] for entry in entries], len(seen.sessions))

    run(main)


def _live_came_first(sessions: list[str], count: int) -> None:
    """The hour's session goes on behind the new one, which began when the gateway was back."""
    assert count == 2, "one before and through the outage, one after it"
    old, new = dict.fromkeys(sessions)
    begins, drained = sessions.index(new), len(sessions) - 1 - sessions[::-1].index(old)
    assert begins < drained, "new readings did not wait for the backlog"
    waited = sessions[begins:drained].count(new)
    assert waited > 10, f"only {waited} live batches went out while the backlog drained"
