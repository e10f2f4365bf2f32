"""The Kafka log on a real broker: every promise of the port, and what only a broker can do."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest

from telemetry.logs import kafka
from telemetry.ports import Log, Topic
from tests.ports.logs_promises import *  # noqa: F403 - the promises are this module's tests
from tests.ports.logs_promises import BATCHES, PATIENCE_S, Bench, after, owned, read, record, values

pytestmark = pytest.mark.real


@pytest.fixture(scope="session")
def bootstrap(request: pytest.FixtureRequest) -> str:
    """A broker that runs already, when the environment names one, or the suite's own."""
    named = os.environ.get("SENSORLINE_TEST_BOOTSTRAP")
    return named or str(request.getfixturevalue("servers").bootstrap)


@pytest.fixture
async def bench(bootstrap: str) -> AsyncIterator[Bench]:
    prefix = f"t{uuid.uuid4().hex[:8]}-"

    def make(topics: Sequence[Topic]) -> Log:
        return kafka.KafkaLog(kafka.Config(bootstrap=bootstrap, prefix=prefix, partitions=3), topics=topics)

    bench = Bench(make, prunes=False, many_partitions=True)
    yield bench
    await bench.close()


async def test_what_is_flushed_while_partitions_go_is_not_read_again(bench: Bench) -> None:
    log = await bench.open()
    one = await log.reader(BATCHES, "index")
    await log.append(BATCHES, [record(f"d{i}", str(i)) for i in range(30)])
    taken = await read(one, 30)
    committed = asyncio.Event()

    async def flush(_partitions: frozenset[int]) -> None:
        await one.commit(after(taken))
        committed.set()

    one.on_revoked(flush)
    two = await log.reader(BATCHES, "index")
    async with asyncio.timeout(PATIENCE_S):
        while not (committed.is_set() and two.assignment()):
            for reader in (one, two):
                assert await reader.poll(records_max=10, bytes_max=10_000, wait_s=0.1) == []
    assert await log.committed(BATCHES, "index") == after(taken)
    assert await one.lag() + await two.lag() == 0


async def test_two_logs_of_one_group_share_the_work(bench: Bench) -> None:
    """Two processes, as far as the broker can tell."""
    logs = [await bench.open(), await bench.open()]
    readers = [await log.reader(BATCHES, "index") for log in logs]
    await owned(*readers)
    await logs[0].append(BATCHES, [record(f"d{i}", str(i)) for i in range(30)])
    await logs[0].close()
    async with asyncio.timeout(PATIENCE_S):
        while len(readers[1].assignment()) < 3:
            await readers[1].poll(records_max=1, bytes_max=1, wait_s=0.0)
    await readers[1].seek(dict.fromkeys(range(3), 0))
    assert sorted(values(await read(readers[1], 30)), key=str) == sorted((str(i).encode() for i in range(30)), key=str)
