"""A real Kafka behind a proxy: replies to what was written are lost, the broker stalls, stops and comes back."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from sensorline import servers
from telemetry.errors import LogUnavailable
from telemetry.logs.kafka import Config, KafkaLog
from telemetry.ports import BATCHES, Record
from tests.faults.tcp_proxy import HOST, TcpProxy
from tests.journey import faults
from tests.journey.faults import person, post
from tests.journey.processes import Fleet, Process, assert_four_zeros, fleet, free_port
from tests.real.conftest import WHY_NOT, wanted

pytestmark = [pytest.mark.real, pytest.mark.timeout(300, func_only=True)]

PRODUCE = b"\x00\x00"  # the api key of a Produce request, behind its size
LOST_REPLIES = 5
APPEND_WAIT_S = 3.0


@dataclass(frozen=True)
class Broker:
    """A broker that everybody finds through `proxy_port` only."""

    home: Path
    port: int
    proxy_port: int

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.proxy_port}"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if not wanted():
        pytest.skip(WHY_NOT)
    home, proxy_port = tmp_path_factory.mktemp("proxied"), free_port()
    advertised = {"advertised.listeners": f"PLAINTEXT://{HOST}:{proxy_port}"}
    try:
        running = servers.up(home, ("kafka",), kafka_port=0, log=print, kafka_properties=advertised)
        yield Broker(home, int(running.bootstrap.rsplit(":", 1)[1]), proxy_port)
    finally:
        servers.down(home, print)


def is_produce(chunk: bytes) -> bool:
    """Whether this is the beginning of a request that writes."""
    return chunk[4:6] == PRODUCE and int.from_bytes(chunk[:4]) >= len(chunk) - 4


def kafka_log(broker: Broker) -> KafkaLog:
    config = Config(
        bootstrap=broker.bootstrap, prefix=f"r{uuid4().hex[:8]}-", partitions=1, append_timeout_s=APPEND_WAIT_S
    )
    return KafkaLog(config, topics=(BATCHES,))


async def values(log: KafkaLog) -> list[bytes]:
    """Everything in the topic."""
    reader = await log.follow(BATCHES)
    found: list[bytes] = []
    async with asyncio.timeout(30):
        while len(found) < sum((await log.ends(BATCHES)).values()):
            found += [e.value or b"" for e in await reader.poll(records_max=1_000, bytes_max=2**20, wait_s=0.5)]
    await reader.close()
    return found


async def test_an_acknowledged_record_whose_reply_was_lost_is_there_once(broker: Broker) -> None:
    """The client writes it again with the same sequence number, and the broker knows it."""
    log = kafka_log(broker)
    async with TcpProxy(broker.port).run(broker.proxy_port) as proxy:
        await log.start()
        proxy.drop_replies(LOST_REPLIES, faults.every_second(is_produce))
        again: set[bytes] = set()
        for n in range(30):
            value = b"%d" % n
            async with asyncio.timeout(60):
                while True:
                    try:
                        await log.append(BATCHES, [Record("d", value)])
                        break
                    except LogUnavailable:
                        again.add(value)
        found = await values(log)
        await log.close()
    assert proxy.dropped == LOST_REPLIES
    assert set(found) == {b"%d" % n for n in range(30)}
    assert [v for v in found if v not in again] == [b"%d" % n for n in range(30) if b"%d" % n not in again]
    assert len(again) < LOST_REPLIES, "an idempotent producer delivers by itself"


async def test_a_stalled_broker_is_unavailable_within_the_deadline_and_comes_back(broker: Broker) -> None:
    log = kafka_log(broker)
    async with TcpProxy(broker.port, latency_s=0.02).run(broker.proxy_port) as proxy:
        await log.start()
        await log.append(BATCHES, [Record("d", b"before")])
        proxy.stall()
        for call in (log.append(BATCHES, [Record("d", b"meanwhile")]), log.ends(BATCHES)):
            began_s = time.monotonic()
            with pytest.raises(LogUnavailable):
                await asyncio.wait_for(call, 10 * APPEND_WAIT_S)
            assert time.monotonic() - began_s < APPEND_WAIT_S + 2
        proxy.flow()
        async with asyncio.timeout(60):
            while True:
                try:
                    await log.append(BATCHES, [Record("d", b"afterwards")])
                    break
                except LogUnavailable:
                    await asyncio.sleep(0.2)
        assert set(await values(log)) <= {b"before", b"meanwhile", b"afterwards"}
        await log.close()


@pytest.fixture
def up(broker: Broker, tmp_path: Path) -> Iterator[Process]:
    """A station on this broker and DuckDB."""
    port = free_port()
    config = tmp_path / "sensorline.toml"
    config.write_text(
        f"""
data_dir = "{tmp_path / "data"}"
log = "kafka"
store = "duckdb"
[gateway]
append_wait_s = 2.0
[adapters.kafka]
bootstrap = "{broker.bootstrap}"
prefix = "up-{uuid4().hex[:8]}-"
partitions = 3
"""
    )
    arguments = ["up", "--config", str(config), "--port", str(port)]
    process = Process(arguments, f"http://{HOST}:{port}/readyz", tmp_path / "up.log")
    try:
        yield process
    finally:
        if process.popen and process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait(20)


async def more_lines(ledger: Path, more: int) -> None:
    """Until the fleet has handed so many more lines over."""

    def lines() -> int:
        return ledger.read_bytes().count(b"\n") if ledger.exists() else 0

    before = lines()
    await faults.eventually(lambda: lines() >= before + more, 60)


async def assert_whole(running: Fleet) -> int:
    """Four zeros, once all is delivered; how many batches reached the log more than once."""
    await asyncio.to_thread(running.finish, 120)
    report = await asyncio.to_thread(running.verify)
    assert_four_zeros(report)
    return int(report["duplicates_delivered"])


async def test_lost_replies_and_a_stall_under_load_then_four_zeros(broker: Broker, up: Process, tmp_path: Path) -> None:
    async with TcpProxy(broker.port).run(broker.proxy_port) as proxy:
        await asyncio.to_thread(up.start)
        with fleet(up.ready_url.removesuffix("/readyz"), tmp_path / "data", devices=4) as running:
            await more_lines(running.ledger, 12)
            proxy.drop_replies(LOST_REPLIES, faults.every_second(is_produce))
            await faults.eventually(lambda: proxy.dropped >= LOST_REPLIES, 60)
            proxy.stall()
            await asyncio.sleep(4.0)  # the fault itself: longer than an append may take
            proxy.flow()
            assert await assert_whole(running) > 0, "what was given up during the stall was delivered after all"
        assert await asyncio.to_thread(up.stop) < 12


async def test_while_the_broker_is_away_the_gateway_says_so_and_the_fleet_drains_afterwards(
    broker: Broker, up: Process, tmp_path: Path
) -> None:
    async with TcpProxy(broker.port).run(broker.proxy_port):
        await asyncio.to_thread(up.start)
        url, key = up.ready_url.removesuffix("/readyz"), (tmp_path / "data" / "operator.key").read_text().strip()
        async with person(url, key) as operator:
            token = await operator.enrol("watcher")
            first, second = faults.batches("watcher", 2)
            assert (await post(operator.client, first, token)).status_code == 200
            with fleet(url, tmp_path / "data", devices=4) as running:
                await more_lines(running.ledger, 12)
                await asyncio.to_thread(servers.down, broker.home, print, ("kafka",))
                began_s = time.monotonic()
                refusal = await post(operator.client, second, token)
                assert_unavailable(refusal)
                assert time.monotonic() - began_s < 5
                await more_lines(running.ledger, 6)  # the fleet goes on making readings
                assert (await operator.client.get("/readyz")).status_code == 503
                assert (await operator.client.get("/healthz")).status_code == 200
                await asyncio.to_thread(servers.up, broker.home, ("kafka",), log=print)
                await assert_whole(running)
            async with asyncio.timeout(30):
                while (await post(operator.client, second, token)).status_code != 200:
                    await asyncio.sleep(0.2)
            await operator.caught_up()
            assert await operator.hashes("watcher") == faults.expected([first, second])
        assert await asyncio.to_thread(up.stop) < 12


def assert_unavailable(answer: httpx.Response) -> None:
    """503, with when to come again."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
