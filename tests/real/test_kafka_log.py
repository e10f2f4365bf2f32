"""The Kafka log on a real broker: every promise of the port, and what only a broker can do."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from telemetry.errors import LogUnavailable, TooLarge
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


async def _limit(bootstrap: str, topic: str, size_bytes: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": str(size_bytes)})
    await admin.alter_configs([resource])
    await admin.close()


async def test_a_producer_that_failed_for_good_is_replaced(
    bench: Bench, bootstrap: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After a batch that the broker refuses, the idempotent producer's sequence numbers fit no more."""
    log = await bench.open()
    assert isinstance(log, kafka.KafkaLog)
    await _limit(bootstrap, log._config.topic("batches"), 2_000)
    async with asyncio.timeout(PATIENCE_S):
        while True:  # the limit takes a moment to reach the broker's log
            try:
                await log.append(BATCHES, [record("d", os.urandom(5_000))])
            except TooLarge:
                break
    end = await log.ends(BATCHES)
    assert "was replaced" in caplog.text
    for i in range(5):
        (position,) = await log.append(BATCHES, [record("d", str(i))])
        assert position.offset == end[position.partition] + i


async def test_an_append_that_has_begun_is_delivered_when_the_log_closes(bench: Bench) -> None:
    log = await bench.open()
    begun = [asyncio.create_task(log.append(BATCHES, [record("d", str(i))])) for i in range(50)]
    await asyncio.sleep(0)
    await log.close()
    positions = [position for (position,) in await asyncio.gather(*begun)]
    log = await bench.open()
    assert len(set(positions)) == sum((await log.ends(BATCHES)).values()) == 50


async def test_a_broker_that_stops_answering_is_unavailable_and_comes_back(request: pytest.FixtureRequest) -> None:
    if "SENSORLINE_TEST_BOOTSTRAP" in os.environ:
        pytest.skip("others may be using this broker: it is not paused under them")
    servers = request.getfixturevalue("servers")
    config = kafka.Config(bootstrap=servers.bootstrap, prefix=f"p{uuid.uuid4().hex[:8]}-", append_timeout_s=3.0)
    log = kafka.KafkaLog(config, topics=(BATCHES,))
    await log.start()
    reader = await log.reader(BATCHES, "index")
    await log.append(BATCHES, [record("d", b"before")])
    before = await read(reader, 1)
    os.kill(servers.pids["kafka"], signal.SIGSTOP)
    try:
        calls = (
            log.append(BATCHES, [record("d", b"meanwhile")]),
            log.ends(BATCHES),
            log.committed(BATCHES, "index"),
            reader.commit(after(before)),
        )
        async with asyncio.timeout(20):
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [LogUnavailable] * 4
        assert await reader.poll(records_max=1, bytes_max=1, wait_s=0.2) == []
    finally:
        os.kill(servers.pids["kafka"], signal.SIGCONT)
    async with asyncio.timeout(60):
        while True:
            try:
                await log.append(BATCHES, [record("d", b"afterwards")])
                break
            except LogUnavailable:
                await asyncio.sleep(0.2)
        seen: list[bytes | None] = []
        while b"afterwards" not in seen:
            seen += values(await reader.poll(records_max=10, bytes_max=1000, wait_s=1.0))
    assert set(seen) <= {b"before", b"meanwhile", b"afterwards"}
    await log.close()
