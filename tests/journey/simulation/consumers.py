"""Consumers that crash and start again, each time with nothing but what log and store kept."""

import asyncio
from collections.abc import Callable, Mapping

from consumers.index import Index
from consumers.ledger import Ledger
from consumers.processor import Processor
from consumers.runner import Runner
from telemetry.clock import Clock
from telemetry.ports import BATCHES, Log, Store
from telemetry.settings import Consumers
from tests.journey.simulation.chance import Chance, Crash

SETTINGS = Consumers(
    flush_readings_max=60,
    flush_bytes_max=6_000,
    flush_wait_s=0.5,
    backoff_s=0.5,
    backoff_max_s=4.0,
    session_cache_max=2,  # fewer than there are sessions
)
DOWN_S = 3.0
MakeRunner = Callable[[Log, Processor, Clock], Runner]


def runner(log: Log, processor: Processor, clock: Clock) -> Runner:
    """The real one."""
    return Runner(log, BATCHES, processor, SETTINGS, clock)


class Consuming:
    """Keeps one index and one ledger alive until `stop`."""

    def __init__(self, log: Log, store: Store, chance: Chance, make_runner: MakeRunner = runner) -> None:
        self._log = log
        self._store = store
        self._chance = chance
        self._make_runner = make_runner
        self.runners: dict[str, Runner] = {}
        self.crashes = 0
        self._stopping = False

    def start(self) -> list[asyncio.Task[None]]:
        """The two, each in a task."""
        makers: Mapping[str, Callable[[], Processor]] = {"index": self._index, "ledger": self._ledger}
        return [asyncio.create_task(self._keep(name, make), name=name) for name, make in makers.items()]

    def stop(self) -> None:
        """End them; what they hold is flushed."""
        self._stopping = True
        for each in self.runners.values():
            each.stop()

    async def _keep(self, name: str, make: Callable[[], Processor]) -> None:
        while not self._stopping:
            self.runners[name] = self._make_runner(self._log, make(), self._chance.clock)
            try:
                await self.runners[name].run()
            except Crash:
                self.crashes += 1
                await self._chance.clock.sleep(self._chance.delay_s(DOWN_S))

    def _index(self) -> Index:
        async def refresh() -> None:
            return None

        return Index(self._log, self._store, self._chance.clock, lambda _device, _received_ns: False, refresh)

    def _ledger(self) -> Ledger:
        return Ledger(self._store, session_cache_max=SETTINGS.session_cache_max)
