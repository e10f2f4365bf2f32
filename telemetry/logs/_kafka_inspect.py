"""What `sensorline doctor` asks of Kafka: does it answer, and does its acknowledgement mean what the contract promises?

Changes nothing.  An acknowledgement of Kafka is replication, not a write to disk: with one replica a power loss takes
what was not flushed, so there each append must be flushed before its own (`flush.messages=1`).
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from telemetry.logs._kafka_config import MESSAGE_BYTES_MAX, Config
from telemetry.logs._kafka_errors import translated
from telemetry.ports import BATCHES

Finding = tuple[str, str, str]  # level (ok, warning, error), detail, mend

FLUSH = "set log.flush.interval.messages=1 on the broker, or have 3 replicas with min.insync.replicas=2"
REPLICATE = "production wants 3 brokers, adapters.kafka.replication=3 and adapters.kafka.min_insync_replicas=2"


async def inspect(config: Config) -> list[Finding]:
    """Raises `LogUnavailable` or `Misconfigured` when it cannot be asked."""
    with translated(f"asking {config.bootstrap}"):
        admin = AIOKafkaAdminClient(**config.client())
        try:
            await admin.start()
            return await _inspect(admin, config)
        finally:
            await admin.close()


async def _inspect(admin: AIOKafkaAdminClient, config: Config) -> list[Finding]:
    cluster = await admin.describe_cluster()
    brokers = [broker["node_id"] for broker in cluster["brokers"]]
    findings = [("ok", f"kafka at {config.bootstrap} answers: {len(brokers)} broker(s)", "")]
    name = config.topic(BATCHES.name)
    (described,) = await admin.describe_topics([name])
    if described["error_code"]:
        replicas = min(config.replication, len(brokers))
        told = await _told(admin, ConfigResource(ConfigResourceType.BROKER, str(brokers[0])))
        findings.append(("ok", f"topic {name} is not there yet: the first start makes it", ""))
        if config.replication > len(brokers):
            mend = "add brokers, or lower adapters.kafka.replication"
            findings.append(("error", f"replication {config.replication} on {len(brokers)} broker(s)", mend))
        insync, flush = config.min_insync_replicas, told.get("log.flush.interval.messages", "")
    else:
        replicas = min(len(partition["replicas"]) for partition in described["partitions"])
        told = await _told(admin, ConfigResource(ConfigResourceType.TOPIC, name))
        insync, flush = int(told.get("min.insync.replicas", "1")), told.get("flush.messages", "")
        findings += _size(name, told)
    return findings + _durability(replicas, insync, flush)


def _durability(replicas: int, insync: int, flush: str) -> list[Finding]:
    if replicas == 1 and flush != "1":
        detail = "one replica, and appends are not flushed: a power loss takes acknowledged readings"
        return [("warning", detail, FLUSH)]
    if replicas == 1:
        return [
            (
                "ok",
                "one replica, each append flushed (flush.messages=1): safe from power loss, not from a dead disk",
                "",
            )
        ]
    if insync < 2:
        detail = f"{replicas} replicas, but min.insync.replicas={insync}: one that is alone still acknowledges"
        return [("warning", detail, REPLICATE)]
    return [("ok", f"{replicas} replicas, min.insync.replicas={insync}", "")]


def _size(name: str, told: Mapping[str, str]) -> list[Finding]:
    size = int(told.get("max.message.bytes", "0"))
    if size >= MESSAGE_BYTES_MAX:
        return []
    mend = f"set max.message.bytes={MESSAGE_BYTES_MAX} on the topic"
    return [("error", f"topic {name} takes messages of {size:,} bytes only: a large batch is refused", mend)]


async def _told(admin: AIOKafkaAdminClient, resource: ConfigResource) -> dict[str, str]:
    """The resource's effective settings."""
    told: dict[str, str] = {}
    for answer in await admin.describe_configs([resource]):
        found: Any = answer.to_object()
        for each in found["resources"]:
            told |= {entry["config_names"]: entry["config_value"] for entry in each["config_entries"]}
    return told
