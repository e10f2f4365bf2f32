"""The memory log with a bad day: refuses, loses replies, hangs, is full, and moves its partition about."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from telemetry.errors import LogFull, LogUnavailable
from telemetry.logs.memory import Config, MemoryLog
from telemetry.ports import Entry, Position, Reader, Record, Topic
from tests.journey.simulation.chance import Chance, Crash

HANG_S = 60.0
LATENCY_S = 0.05
REBALANCE_S = 3.0
Callback = Callable[[frozenset[int]], Awaitable[None]]


class FaultyLog(MemoryLog):
    """`Log` in memory; `records_max` is its limit."""

    def __init__(self, chance: Chance, records_max: int) -> None:
        super().__init__(Config(records_max=records_max), clock=chance.clock)
        self._chance = chance

    async def append(self, topic: Topic, records: Sequence[Record]) -> list[Position]:
        chance = self._chance
        await self.clock.sleep(chance.delay_s(LATENCY_S))
        where = f"{topic.name} {records[0].key}"
        if chance.strikes("append refused", where):
            raise LogUnavailable("the append was refused", retry_after_s=chance.delay_s(3.0))
        if chance.strikes("log full", where):
            raise LogFull("no room", retry_after_s=chance.delay_s(5.0))
        positions = await super().append(topic, records)
        chance.note(f"append {where} {records[0].headers.get('seq')} @{positions[0].offset}")
        if chance.strikes("append reply lost", where):
            raise LogUnavailable("the append's reply was lost")
        if chance.strikes("append hangs", where):
            await self.clock.sleep(HANG_S)
        return positions

    async def reader(self, topic: Topic, group: str) -> Reader:
        return FaultyReader(await super().reader(topic, group), self, topic, group, self._chance)


class FaultyReader:
    """A member of a group on a broker that rebalances: while its partition is away it commits nothing."""

    def __init__(self, inner: Reader, log: FaultyLog, topic: Topic, group: str, chance: Chance) -> None:
        self._inner = inner
        self._log = log
        self._topic = topic
        self._group = group
        self._chance = chance
        self._callbacks: list[Callback] = []
        self._owns = True
        self._crashed = False
        self._rebalancing: asyncio.Task[None] | None = None

    async def poll(self, *, records_max: int, bytes_max: int, wait_s: float) -> list[Entry]:
        if self._chance.strikes("poll refused", self._group):
            raise LogUnavailable("the poll was refused")
        if not self._owns:
            await self._log.clock.sleep(wait_s)
            self._fail_when_crashed()
            return []
        entries = await self._inner.poll(records_max=records_max, bytes_max=bytes_max, wait_s=wait_s)
        if entries and self._rebalancing is None and self._chance.strikes("rebalance", self._group):
            # as on a broker: these records are on their way to the caller while the partition is being taken away
            self._rebalancing = asyncio.create_task(self._rebalance())
            await self._log.clock.sleep(self._chance.delay_s(2 * LATENCY_S))
        self._fail_when_crashed()
        return entries

    async def commit(self, positions: Mapping[int, int]) -> None:
        chance = self._chance
        if chance.strikes("crash before commit", self._group):
            raise Crash
        if chance.strikes("commit refused", self._group):
            raise LogUnavailable("the commit was refused")
        if self._owns:
            await self._inner.commit(positions)
            chance.note(f"commit {self._group} {dict(positions)}")
        if chance.strikes("commit reply lost", self._group):
            raise LogUnavailable("the commit's reply was lost")
        if chance.strikes("crash after commit", self._group):
            raise Crash

    async def seek(self, positions: Mapping[int, int]) -> None:
        await self._inner.seek(positions)

    async def position(self) -> dict[int, int]:
        return await self._inner.position()

    def assignment(self) -> frozenset[int]:
        return self._inner.assignment() if self._owns else frozenset()

    async def lag(self) -> int:
        return await self._inner.lag()

    def on_revoked(self, callback: Callback) -> None:
        self._callbacks.append(callback)

    async def close(self) -> None:
        if self._rebalancing is not None:
            self._rebalancing.cancel()
        await self._inner.close()

    async def _rebalance(self) -> None:
        """The partition goes, after the member was told, and comes back: it is read from where the group stands."""
        try:
            for callback in self._callbacks:
                await callback(self._inner.assignment())
        except Crash:
            self._crashed = True
            return
        self._owns = False
        await self._log.clock.sleep(self._chance.delay_s(REBALANCE_S))
        await self._inner.seek({0: (await self._log.committed(self._topic, self._group)).get(0, 0)})
        self._owns = True
        self._rebalancing = None

    def _fail_when_crashed(self) -> None:
        if self._crashed:
            raise Crash
