"""Windows from the log to the store: duplicates, disorder, crashes and restarts change no bit of what is kept."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import numpy as np
import pytest

from consumers.keyed import Keyed
from consumers.operator import Arrival, Lane, Work
from consumers.runner import Runner
from consumers.windows import Due, WindowOperators, WindowSink, windows_of
from simulator.world import World as Simulated
from telemetry.batch import Batch
from telemetry.clock import SystemClock
from telemetry.errors import StoreUnavailable
from telemetry.logs.memory import Config as LogConfig
from telemetry.logs.memory import MemoryLog
from telemetry.ports import BATCHES, Record, Span
from telemetry.records import batch_record
from telemetry.settings import Consumers, Window
from telemetry.settings import Windows as Options
from telemetry.stores.memory import MemoryStore
from tests.consumers.keyed_world import Gone
from tests.consumers.world import Crash

S = 10**9
T0 = 1_763_800_000 * S
OPTIONS = Options(
    every_sensor=(Window(width_s=1), Window(kind="sliding", width_s=4, slide_s=2), Window(kind="session", gap_s=3))
)
KINDS = (("tumbling", S), ("sliding", 4 * S), ("session", 0))
SENSORS = ("acceleration", "location", "orientation", "battery")
DEVICES = ("a", "b")
SETTINGS = Consumers(flush_wait_s=0.005, flush_readings_max=3000, backoff_s=0.01, backoff_max_s=0.02, checkpoint_s=0.02)


class Sink(WindowSink):
    """The real one, that fails as a script says: before its work or behind it."""

    def __init__(self, store: MemoryStore, script: list[tuple[bool, BaseException] | None]) -> None:
        super().__init__(store)
        self._script = script

    async def write(self, outputs: Sequence[Due]) -> None:
        failure = self._script.pop(0) if self._script else None
        if failure is not None and not failure[0]:
            raise failure[1]
        await super().write(outputs)
        if failure is not None:
            raise failure[1]


def batches(seconds: int = 12) -> list[Batch]:
    worlds = [(name, Simulated(k, "walk", T0 + k * 1_234_567)) for k, name in enumerate(DEVICES)]
    return [Batch(name, "s", k, tuple(world.chunk(k))) for k in range(seconds) for name, world in worlds]


def record(batch: Batch) -> Record:
    newest_ns = max(int(s.t.max()) for s in batch.series)
    return batch_record(batch, received_ns=newest_ns + S // 10, dialect="native")


async def kept(store: MemoryStore) -> dict[object, object]:
    found: dict[object, object] = {}
    for device in DEVICES:
        for sensor in SENSORS:
            for kind, width_ns in KINDS:
                table = await store.windows(
                    Span(device, sensor, 0, 2**63 - 1), kind=kind, width_ns=width_ns, limit=10**6
                )
                columns = {name: table.column(name).to_pylist() for name in table.column_names}
                found[device, sensor, kind] = {
                    name: np.array(column, np.float64).tobytes() if name != "session" else column
                    for name, column in sorted(columns.items())
                }
    return found


async def undisturbed() -> dict[object, object]:
    store = MemoryStore(retention_days=36_500)
    await store.start()
    operators = WindowOperators(OPTIONS)
    for device in DEVICES:
        operator = operators.fresh(device)
        for batch in batches():
            if batch.device == device:
                newest_ns = max(int(s.t.max()) for s in batch.series)
                arrival = Arrival(batch, Lane.LIVE, newest_ns + S // 10, 0, 0)
                await store.put_windows(windows_of(operator.apply(arrival)))
    return await kept(store)


async def consume(log: MemoryLog, store: MemoryStore, script: list[tuple[bool, BaseException] | None]) -> int:
    """Run the consumer, a new one after every crash, until all of the log is committed; how many it took."""

    async def refresh() -> None:
        return None

    async def caught_up() -> None:
        async with asyncio.timeout(60):
            while await log.committed(BATCHES, "windows") != await log.ends(BATCHES):
                await asyncio.sleep(0.005)

    lives = 0
    while True:
        lives += 1
        work = Work("windows", WindowOperators(OPTIONS), Sink(store, script))
        processor = Keyed(log, work, SETTINGS, SystemClock(), deletions=Gone(), refresh=refresh)
        runner = Runner(log, BATCHES, processor, SETTINGS, SystemClock())
        task, end = asyncio.create_task(runner.run()), asyncio.create_task(caught_up())
        await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        if not task.done():
            runner.stop()
            await task
            processor.close()
            return lives
        processor.close()
        with suppress(Crash):
            task.result()


@pytest.mark.parametrize("seed", range(4))
async def test_disorder_duplicates_and_crashes_change_no_bit(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.runner.POLL_WAIT_S_MAX", 0.01)
    random = Random(seed)
    log, store = MemoryLog(LogConfig()), MemoryStore(retention_days=36_500)
    await log.start()
    await store.start()
    sent = [(k + random.choice([0, 0, 0, 3, 7]), batch) for k, batch in enumerate(batches())]
    sent += [(at + 5, batch) for at, batch in random.sample(sent, 6)]
    sent.sort(key=lambda one: one[0])
    failures = [(True, Crash()), (False, Crash()), (True, StoreUnavailable("lost")), (False, StoreUnavailable("no"))]
    script = [None, failures[seed % 2], *(random.choice([None, None, *failures]) for _ in range(12))]
    crashes = 0
    for begin in range(0, len(sent), 10):
        await log.append(BATCHES, [record(batch) for _, batch in sent[begin : begin + 10]])
        crashes += await consume(log, store, script) - 1
    assert crashes > 0
    assert await kept(store) == await undisturbed()
