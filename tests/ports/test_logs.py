"""The logs without a server, put through every promise.  Kafka's run is `tests/real/test_kafka_log.py`."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from logs_promises import *  # noqa: F403 - the promises are this module's tests
from logs_promises import BATCHES, CHECKPOINTS, LATER_NS, Bench, after, read, record, values

from telemetry import adapters
from telemetry.clock import ManualClock
from telemetry.errors import LogFull
from telemetry.logs import memory, sqlite
from telemetry.ports import Log, Topic

DAY_NS = 24 * 3600 * 10**9
EMBEDDED = ("memory", "sqlite")


def embedded_bench(name: str, folder: Path, clock: ManualClock | None = None) -> Bench:
    def make(topics: Sequence[Topic]) -> Log:
        if name == "memory":
            return memory.MemoryLog(memory.Config(), clock=clock, topics=topics)
        return sqlite.SqliteLog(sqlite.Config(), folder, clock=clock, topics=topics)

    return Bench(make, outlives_process=name != "memory")


@pytest.fixture(params=EMBEDDED)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = embedded_bench(request.param, tmp_path)
    yield bench
    await bench.close()


def test_every_adapter_is_put_through_the_promises() -> None:
    assert set(adapters.names("telemetry.logs")) == {*EMBEDDED, "kafka"}


@pytest.mark.parametrize("name", EMBEDDED)
async def test_a_tombstone_goes_after_a_day(name: str, tmp_path: Path) -> None:
    clock = ManualClock()
    bench = embedded_bench(name, tmp_path, clock)
    log = await bench.open()
    await log.append(CHECKPOINTS, [record("a", b"1"), record("b", b"1"), record("b", None)])
    follower = await log.follow(CHECKPOINTS)
    assert values(await read(follower, 2)) == [b"1", None]  # the tombstone is there for those who follow
    clock.step_wall(DAY_NS + 1)
    assert await log.prune(CHECKPOINTS, before_ns=0) == 0
    assert await log.prune(CHECKPOINTS, before_ns=LATER_NS) == 1
    assert await log.ends(CHECKPOINTS) == {0: 3}
    assert await follower.position() == {0: 3}
    await bench.close()


@pytest.mark.parametrize("name", EMBEDDED)
async def test_a_compacted_topic_keeps_one_record_a_key(name: str, tmp_path: Path) -> None:
    bench = embedded_bench(name, tmp_path)
    log = await bench.open()
    for i in range(20):
        await log.append(CHECKPOINTS, [record("a", str(i)), record("b", str(i))])
    assert [(e.key, e.offset) for e in await read(await log.follow(CHECKPOINTS), 2)] == [("a", 38), ("b", 39)]
    await bench.close()


@pytest.mark.parametrize("name", EMBEDDED)
async def test_an_offset_is_never_given_twice(name: str, tmp_path: Path) -> None:
    bench = embedded_bench(name, tmp_path)
    log = await bench.open()
    await log.append(BATCHES, [record("d", str(i)) for i in range(1200)])
    reader = await log.reader(BATCHES, "index")
    entries = await read(reader, 1200)
    await reader.commit(after(entries))
    await reader.close()
    assert await log.prune(BATCHES, before_ns=LATER_NS) == 1200
    if bench.outlives_process:
        await log.close()
        log = await bench.open()
    assert await log.begins(BATCHES) == await log.ends(BATCHES) == {0: 1200}
    assert [p.offset for p in await log.append(BATCHES, [record("d", b"next")])] == [1200]
    assert values(await read(await log.reader(BATCHES, "index"), 1)) == [b"next"]
    await bench.close()


async def test_the_log_in_memory_is_bounded() -> None:
    log = memory.MemoryLog(memory.Config(records_max=3), topics=(BATCHES,))
    await log.append(BATCHES, [record("d", b"1"), record("d", b"2")])
    with pytest.raises(LogFull):
        await log.append(BATCHES, [record("d", b"3"), record("d", b"4")])
    reader = await log.reader(BATCHES, "index")
    await reader.commit(after(await read(reader, 2)))
    await log.prune(BATCHES, before_ns=LATER_NS)
    assert [p.offset for p in await log.append(BATCHES, [record("d", b"3"), record("d", b"4")])] == [2, 3]
