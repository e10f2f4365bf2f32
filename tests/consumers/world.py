"""A small world for consumers: batches, a log in memory, a store that fails as a list says.

Failures are values in a list: `Refuse` (nothing was done), `LoseReply` (done, then reported as failed) and `Crash`
(done or not, the process is gone).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum

import numpy as np

from consumers.index import Index
from consumers.ledger import Ledger
from consumers.processor import Processor
from consumers.runner import Runner
from telemetry.batch import Batch, Series
from telemetry.clock import SystemClock
from telemetry.errors import StoreUnavailable
from telemetry.logs.memory import Config as LogConfig
from telemetry.logs.memory import MemoryLog
from telemetry.ports import BATCHES, Item, Record, Session, Written
from telemetry.records import batch_record
from telemetry.settings import Consumers
from telemetry.stores.memory import MemoryStore

NOW_NS = 1_763_800_000_000_000_000
CLOCK = SystemClock()
SETTINGS = Consumers(flush_wait_s=0.01, backoff_s=0.01, backoff_max_s=0.02)


class Failure(Enum):
    """What a call of the store does instead of its work."""

    REFUSE = "refuse"
    LOSE_REPLY = "lose the reply"
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


class FailingStore(MemoryStore):
    """The memory store with a script of failures, one a write."""

    def __init__(self) -> None:
        super().__init__(retention_days=36_500)
        self.script: list[Failure | None] = []
        self.writes = 0

    async def write(self, items: Sequence[Item]) -> list[Written]:
        failure = self._next()
        written = await super().write(items)
        self._after(failure)
        return written

    async def put_sessions(self, sessions: Sequence[Session]) -> None:
        failure = self._next()
        await super().put_sessions(sessions)
        self._after(failure)

    def _next(self) -> Failure | None:
        self.writes += 1
        failure = self.script.pop(0) if self.script else None
        if failure is Failure.REFUSE:
            raise StoreUnavailable("refused by the script")
        if failure is Failure.CRASH_BEFORE:
            raise Crash
        return failure

    @staticmethod
    def _after(failure: Failure | None) -> None:
        if failure is Failure.LOSE_REPLY:
            raise StoreUnavailable("the reply was lost")
        if failure is Failure.CRASH_AFTER:
            raise Crash


class World:
    """A log and a store that outlive the consumers which come and go."""

    def __init__(self) -> None:
        self.log = MemoryLog(LogConfig())
        self.store = FailingStore()
        self.deleted: dict[str, int] = {}

    async def start(self) -> "World":
        await self.log.start()
        await self.store.start()
        return self

    def index(self) -> Index:
        async def refresh() -> None:
            return None

        def is_deleted(device: str, received_ns: int) -> bool:
            return received_ns <= self.deleted.get(device, -1)

        return Index(self.log, self.store, CLOCK, is_deleted, refresh)

    def ledger(self) -> Ledger:
        return Ledger(self.store, session_cache_max=2)

    async def consume(self, processor: Processor, settings: Consumers = SETTINGS) -> Runner:
        """Run a consumer, a new one after every crash, until all of the log is committed."""
        make = type(self).index if isinstance(processor, Index) else type(self).ledger
        while True:
            runner = Runner(self.log, BATCHES, processor, settings, CLOCK)
            task = asyncio.create_task(runner.run())
            await asyncio.wait(
                {task, asyncio.create_task(self.caught_up(processor.name))}, return_when="FIRST_COMPLETED"
            )
            if not task.done():
                runner.stop()
                await task
                return runner
            with suppress(Crash):
                task.result()
            processor = make(self)

    async def caught_up(self, group: str) -> None:
        async with asyncio.timeout(20):
            while await self.log.committed(BATCHES, group) != await self.log.ends(BATCHES):
                await asyncio.sleep(0.002)

    async def append(self, *batches: Batch) -> None:
        await self.log.append(BATCHES, [record(b) for b in batches])


def batch(device: str = "d", session: str = "s", seq: int = 0, n: int = 4, value: float = 1.0) -> Batch:
    t = np.arange(n, dtype=np.int64) * 10_000_000 + NOW_NS + seq * 1_000_000_000
    return Batch(device, session, seq, (Series.of("gravity", t, {"x": np.full(n, value), "y": np.arange(n)}),))


def record(b: Batch) -> Record:
    return batch_record(b, received_ns=NOW_NS, dialect="native")
