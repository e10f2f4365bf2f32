"""The distributed log: Apache Kafka through aiokafka.

Guarantee: what `append` returned for was acknowledged by all in-sync replicas (`acks=all`, idempotent producer).
That is replication, not fsync: production asks for three replicas and `min_insync_replicas` 2.

The value is the canonical batch and Kafka compresses it, so `kcat` shows something a person can read.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from telemetry.errors import LogUnavailable
from telemetry.logs import _kafka_topics
from telemetry.logs._kafka_config import Config
from telemetry.logs._kafka_errors import within
from telemetry.logs._kafka_producer import Appender
from telemetry.logs._kafka_reader import KafkaReader, consumer
from telemetry.logs._records import check
from telemetry.ports import TOPICS, Position, Reader, Record, Topic

__all__ = ["Config", "KafkaLog", "open"]

CLOSE_WAIT_S = 10.0


class KafkaLog:
    """`Log` on a cluster."""

    def __init__(self, config: Config, *, topics: Sequence[Topic] = TOPICS) -> None:
        self._config = config
        self._topics = topics
        self._partitions: dict[str, int] = {}  # by our topic's name; empty while not started
        self._appender = Appender(config)
        self._admin: AIOKafkaAdminClient | None = None
        self._asker: AIOKafkaConsumer | None = None
        self._readers: list[KafkaReader] = []

    async def start(self) -> None:
        """Connect, make the topics that are missing.  Raises `LogUnavailable` or `Misconfigured`."""
        if self._partitions:
            return
        try:
            async with within(self._config.append_timeout_s, f"connecting to {self._config.bootstrap}"):
                self._admin = AIOKafkaAdminClient(**self._config.client())
                await self._admin.start()
                partitions = await _kafka_topics.make(self._admin, self._config, self._topics)
                self._asker = consumer(self._config, None)
                await self._asker.start()
                await self._appender.start()
            self._partitions = partitions
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Deliver what is queued, for a while; closes the readers too; safe to call again."""
        self._partitions = {}
        readers, self._readers = self._readers, []
        await asyncio.gather(*(reader.close() for reader in readers))
        await self._appender.close()
        asker, self._asker = self._asker, None
        admin, self._admin = self._admin, None
        async with within(CLOSE_WAIT_S, "closing"):
            if asker is not None:
                await asker.stop()
            if admin is not None:
                await admin.close()

    async def append(self, topic: Topic, records: Sequence[Record]) -> list[Position]:
        """As the port says."""
        size = check(records, self._parts(topic))
        return await self._appender.append(self._config.topic(topic.name), records, size) if records else []

    async def reader(self, topic: Topic, group: str) -> Reader:
        """As the port says; returns before the group has given it partitions."""
        asker, _ = self._ask(topic)
        return await self._started(KafkaReader(self._config, asker, topic, group, ()), None)

    async def follow(self, topic: Topic, start: Mapping[int, int] | None = None, *, prompt: bool = False) -> Reader:
        """As the port says."""
        asker, places = self._ask(topic)
        config = self._config.prompt() if prompt else self._config
        follower = KafkaReader(config, asker, topic, None, [tp.partition for tp in places])
        return await self._started(follower, start)

    async def ends(self, topic: Topic) -> dict[int, int]:
        """As the port says."""
        asker, places = self._ask(topic)
        async with within(self._config.append_timeout_s, f"the ends of {topic.name}"):
            return {tp.partition: offset for tp, offset in (await asker.end_offsets(places)).items()}

    async def begins(self, topic: Topic) -> dict[int, int]:
        """As the port says."""
        asker, places = self._ask(topic)
        async with within(self._config.append_timeout_s, f"the beginnings of {topic.name}"):
            return {tp.partition: offset for tp, offset in (await asker.beginning_offsets(places)).items()}

    async def committed(self, topic: Topic, group: str) -> dict[int, int]:
        """As the port says."""
        _, places = self._ask(topic)
        admin = self._admin
        if admin is None:
            raise LogUnavailable("the log is closed")
        async with within(self._config.append_timeout_s, f"the offsets of {group}"):
            kept = await admin.list_consumer_group_offsets(self._config.topic(group), partitions=places)
        return {tp.partition: entry.offset for tp, entry in kept.items() if entry.offset >= 0}

    async def prune(self, topic: Topic, *, before_ns: int, groups: Collection[str] | None = None) -> int:
        """Nothing: the broker's own retention does it."""
        self._parts(topic)
        return 0

    async def _started(self, reader: KafkaReader, start: Mapping[int, int] | None) -> Reader:
        await reader.start(start)
        self._readers = [each for each in self._readers if not each.closed]
        self._readers.append(reader)
        return reader

    def _parts(self, topic: Topic) -> range:
        return _kafka_topics.partitions_of(self._partitions, topic)

    def _ask(self, topic: Topic) -> tuple[AIOKafkaConsumer, list[TopicPartition]]:
        places = [TopicPartition(self._config.topic(topic.name), p) for p in self._parts(topic)]
        if self._asker is None:
            raise LogUnavailable("the log is closed")
        return self._asker, places


def open(config: Config, data_dir: Path) -> KafkaLog:  # noqa: A001 - the port's word
    """The log on the cluster at `config.bootstrap`; `data_dir` is not used."""
    return KafkaLog(config)
