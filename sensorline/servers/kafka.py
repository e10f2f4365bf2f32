"""The recipe for one Apache Kafka broker (KRaft, broker and controller in one process) on loopback."""

import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from sensorline.servers import java, processes
from sensorline.servers.ports import HOST, free_port

DEFAULT_PORT = 19092
DEFAULT_HEAP = "512m"
POM = Path(__file__).with_name("kafka.pom.xml")
LOG4J = Path(__file__).with_name("kafka-log4j2.properties")
CLUSTER_ID = "sensorline-local-kafkg"  # Kafka wants the URL-safe base64 of 16 bytes
FORMAT_TIMEOUT_S = 60.0
MESSAGE_BYTES_MAX = 10 * 1024 * 1024  # above the 8 MiB bound of a batch, with room for headers


def arrange(jars: Path) -> None:
    """Nothing to move: every jar goes on the class path."""


def server_properties(data: Path, port: int, controller_port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The broker's configuration; `extra` wins."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        # Static voters: the controller's address is then only here, and may be another port at every start.
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        # An acknowledgement is replication, and there is no replica: so each append is flushed before its own.
        "log.flush.interval.messages": "1",
        "message.max.bytes": str(MESSAGE_BYTES_MAX),
        "replica.fetch.max.bytes": str(MESSAGE_BYTES_MAX),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",  # 50 by default, all created when the first group asks for its offsets
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # 128 MiB by default, a quarter of this heap
        **extra,
    }


def properties_text(properties: Mapping[str, str]) -> str:
    """As java.util.Properties reads it: a backslash and a line end are escaped."""
    escaped = ((key, value.replace("\\", "\\\\").replace("\n", "\\n")) for key, value in properties.items())
    return "".join(f"{key}={value}\n" for key, value in escaped)


def command(home: Path, jars: Path, port: int, heap: str, options: Mapping[str, str]) -> list[str]:
    """Write the configuration, format the storage the first time, and give the command that runs the broker."""
    data, config = home / "kafka" / "data", home / "kafka" / "server.properties"
    data.mkdir(parents=True, exist_ok=True)
    config.write_text(properties_text(server_properties(data, port, free_port(), options)))
    run = [str(java.java_binary()), *java.jvm_flags(heap, home / "logs")]
    run += [f"-Dlog4j2.configurationFile={LOG4J}", "-cp", f"{jars}/*"]
    if not (data / "meta.properties").exists():
        storage_tool = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(config), "--ignore-formatted"]
        processes.run([*run, *storage_tool], FORMAT_TIMEOUT_S)
    return [*run, "kafka.Kafka", str(config)]


def is_ready(port: int, timeout_s: float = 2.0) -> bool:
    """Whether the broker answers, and lists itself among those that can hold partitions.

    Metadata rather than ApiVersions, which a broker answers without any view of its cluster: a topic made before it has
    one is refused for want of brokers.
    """
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as connection:
            connection.sendall(metadata_request())
            with connection.makefile("rb") as answer:
                size = struct.unpack(">i", answer.read(4))[0]
                return brokers_in(answer.read(size)) > 0
    except (OSError, struct.error):
        return False


def metadata_request() -> bytes:
    """Metadata, version 4 (the oldest that Kafka 4 speaks), of no topic: api key 3, correlation id 1, no client id."""
    body = struct.pack(">hhihi?", 3, 4, 1, -1, 0, False)
    return struct.pack(">i", len(body)) + body


def brokers_in(answer: bytes) -> int:
    """How many brokers a Metadata 4 answer lists, after its correlation id and throttle time."""
    return int(struct.unpack_from(">iii", answer)[2])
