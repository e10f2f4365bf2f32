"""Makes the topics that are missing and finds out how many partitions each has."""

import asyncio
from collections.abc import Iterable, Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from telemetry.errors import LogUnavailable, Misconfigured
from telemetry.logs._kafka_config import MESSAGE_BYTES_MAX, Config
from telemetry.logs._kafka_errors import translate
from telemetry.ports import Topic

LOOK_AGAIN_S = 0.1
TOMBSTONE_KEPT_MS = 24 * 3600 * 1000


async def make(admin: AIOKafkaAdminClient, config: Config, topics: Sequence[Topic]) -> dict[str, int]:
    """The number of partitions by our topic name, once each has a leader.

    Raises `Misconfigured` (not allowed, impossible replication, a single-partition topic with more), or the
    client's errors.  A topic that is there stays as it is.
    """
    partitions = await _partitions(admin, config, topics)
    missing = [topic for topic in topics if topic.name not in partitions]
    if missing:
        answer = await admin.create_topics([_new(topic, config) for topic in missing])
        for name, code, *detail in answer.topic_errors:
            if (error := for_code(code)) not in (NoError, TopicAlreadyExistsError):
                raise translate(error(*detail), f"making topic {name}")
    while len(partitions) < len(topics):  # the caller's deadline ends it
        await asyncio.sleep(LOOK_AGAIN_S)
        partitions = await _partitions(admin, config, topics)
    for topic in topics:
        if topic.single_partition and partitions[topic.name] != 1:
            raise Misconfigured(
                f"topic {config.topic(topic.name)} has {partitions[topic.name]} partitions and must have one: "
                "its order is one over all keys; delete it, or choose another prefix"
            )
    return partitions


def _new(topic: Topic, config: Config) -> NewTopic:
    """Limits follow the record bound; a compacted topic keeps its tombstones for a day."""
    settings = {
        "max.message.bytes": MESSAGE_BYTES_MAX,
        "min.insync.replicas": config.min_insync_replicas,
        "message.timestamp.type": "LogAppendTime",
    }
    if config.replication == 1:  # no replica keeps what the broker had not flushed
        settings["flush.messages"] = 1
    if topic.compacted:
        settings |= {"cleanup.policy": "compact", "delete.retention.ms": TOMBSTONE_KEPT_MS}
    else:
        hours = config.archive_retention_hours if topic.archive else config.retention_hours
        settings |= {"cleanup.policy": "delete", "retention.ms": hours * 3600 * 1000}
    return NewTopic(
        config.topic(topic.name),
        1 if topic.single_partition else config.partitions,
        config.replication,
        topic_configs={name: str(value) for name, value in settings.items()},
    )


async def _partitions(admin: AIOKafkaAdminClient, config: Config, topics: Iterable[Topic]) -> dict[str, int]:
    """Of the topics that are ready; one whose partitions have no leader yet is not."""
    ours = {config.topic(topic.name): topic.name for topic in topics}
    found: dict[str, int] = {}
    for described in await admin.describe_topics(list(ours)):
        parts = described["partitions"]
        if described["error_code"] == 0 and parts and all(part["error_code"] == 0 for part in parts):
            found[ours[described["topic"]]] = len(parts)
    return found


def partitions_of(partitions: dict[str, int], topic: Topic) -> range:
    """Raises `Misconfigured` for a topic that `make` did not see."""
    if not partitions:
        raise LogUnavailable("the log is closed")
    if topic.name not in partitions:
        raise Misconfigured(f"the log has no topic {topic.name!r}")
    return range(partitions[topic.name])
