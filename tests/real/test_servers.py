"""The local servers do what their module promises: start, serve, survive a kill with their data, and go."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from elasticsearch import AsyncElasticsearch

from sensorline import servers as local
from sensorline.servers import processes, state

pytestmark = pytest.mark.real


async def produce(bootstrap: str, value: bytes) -> str:
    """One acknowledged record in a new topic; gives the topic's name."""
    topic = f"try-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, value, key=b"pi-1")
    return topic


async def consume(bootstrap: str, topic: str) -> bytes | None:
    """The first record, read as a member of a group, which needs the offsets topic too."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=f"g-{topic}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer, asyncio.timeout(30):
        record = await consumer.getone()
        await consumer.commit()
        value: bytes | None = record.value
        return value


async def index(url: str, value: float) -> str:
    name = f"try-{uuid4().hex[:8]}"
    async with AsyncElasticsearch(url) as client:
        await client.indices.create(index=name, settings={"number_of_replicas": 0})
        await client.index(index=name, id="1", document={"value": value})
    return name


async def search(url: str, name: str) -> list[float]:
    async with AsyncElasticsearch(url) as client:
        await client.indices.refresh(index=name)
        found = await client.search(index=name, query={"range": {"value": {"gt": 0}}})
        return [hit["_source"]["value"] for hit in found["hits"]["hits"]]


async def test_a_message_and_a_document_are_found_again(servers: local.Servers) -> None:
    assert await consume(servers.bootstrap, await produce(servers.bootstrap, b"one")) == b"one"
    assert await search(servers.elasticsearch_url, await index(servers.elasticsearch_url, 1.5)) == [1.5]


def test_up_again_gives_the_running_ones(servers: local.Servers) -> None:
    assert local.up(servers.home) == servers
    assert {name: status.state for name, status in local.status(servers.home).items()} == {
        "kafka": "ready",
        "elasticsearch": "ready",
    }


def test_another_port_than_the_running_one_is_refused(servers: local.Servers) -> None:
    with pytest.raises(local.ServersError, match="already runs on port"):
        local.up(servers.home, kafka_port=1)


@pytest.mark.crash
async def test_kill_9_and_restart_keep_data_and_port(servers: local.Servers) -> None:
    topic, name = await produce(servers.bootstrap, b"kept"), await index(servers.elasticsearch_url, 2.5)
    for server in ("kafka", "elasticsearch"):
        local.kill(servers.home, server)
        assert local.status(servers.home)[server].state == "down"
    again = local.up(servers.home)
    assert (again.bootstrap, again.elasticsearch_url) == (servers.bootstrap, servers.elasticsearch_url)
    assert set(again.pids.values()).isdisjoint(servers.pids.values())
    assert await consume(again.bootstrap, topic) == b"kept"
    assert await search(again.elasticsearch_url, name) == [2.5]


def test_paused_is_unready_until_resumed(servers: local.Servers) -> None:
    local.pause(servers.home, "elasticsearch")
    try:
        assert local.status(servers.home)["elasticsearch"].state == "unready"
    finally:
        local.resume(servers.home, "elasticsearch")
    assert local.status(servers.home)["elasticsearch"].state == "ready"


async def test_restart_takes_the_same_port(servers: local.Servers) -> None:
    topic = await produce(servers.bootstrap, b"twice")
    assert local.restart(servers.home, "kafka").bootstrap == servers.bootstrap
    assert await consume(servers.bootstrap, topic) == b"twice"


def test_down_leaves_no_process_and_ends_cleanly(servers: local.Servers) -> None:
    entries = state.load(servers.home)
    try:
        assert sorted(local.down(servers.home)) == ["elasticsearch", "kafka"]
        assert [processes.identity(entry.pid) for entry in entries.values()] == [None, None]
        assert local.log_file(servers.home, "elasticsearch").read_text().endswith("closed\n")
        assert local.down(servers.home) == []
    finally:
        local.up(servers.home)


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(servers: local.Servers, tmp_path: Path) -> None:
    with pytest.raises(local.ServersError, match=r"(?s)ended before it was ready.*no\.such\.setting"):
        settings = {"no.such.setting": "1"}
        local.up(tmp_path, ("elasticsearch",), elasticsearch_port=0, elasticsearch_settings=settings)
    assert local.status(tmp_path)["elasticsearch"].state == "down"
