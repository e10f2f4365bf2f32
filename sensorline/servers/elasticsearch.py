"""The recipe for one Elasticsearch node on loopback, run by `elasticsearch_node` in a process of its own."""

import http.client
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from sensorline.servers import java
from sensorline.servers.ports import HOST

DEFAULT_PORT = 19200
DEFAULT_HEAP = "1g"
VERSION = "9.2.0"  # as in the pom; a test holds them together
POM = Path(__file__).with_name("elasticsearch.pom.xml")
MODULE = "transport-netty4"
MODULE_JARS = ("netty-", "transport-netty4", "elasticsearch-ssl-config")
DESCRIPTOR = f"""\
name={MODULE}
description=Netty 4 based transport implementation
version={VERSION}
elasticsearch.version={VERSION}
java.version=21
classname=org.elasticsearch.transport.netty4.Netty4Plugin
"""


def arrange(jars: Path) -> None:
    """Split into lib/ and modules/: a jar both on the class path and in a module is refused as jar hell."""
    module, lib = jars / "modules" / MODULE, jars / "lib"
    module.mkdir(parents=True)
    lib.mkdir()
    for jar in sorted(jars.glob("*.jar")):
        jar.rename((module if jar.name.startswith(MODULE_JARS) else lib) / jar.name)
    (module / "plugin-descriptor.properties").write_text(DESCRIPTOR)


def node_settings(home: Path, port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The node's settings; `extra` wins."""
    return {
        "cluster.name": "sensorline-local",
        "node.name": "local",
        "path.home": str(home),
        "path.data": str(home / "data"),
        "path.logs": str(home / "logs"),
        "discovery.type": "single-node",
        "network.host": HOST,
        "http.port": str(port),
        "transport.port": "19300-19399",  # nobody connects: the first free one will do
        "logger.level": "warn",  # only errors are shown otherwise, and a refused setting or a full disk is a warning
        "logger.org.elasticsearch.nativeaccess": "error",  # sixty lines on libraries that no jar carries
        # A developer's disk is often nine tenths full, where the defaults (85, 90, 95) refuse to allocate or to write.
        "cluster.routing.allocation.disk.watermark.low": "97%",
        "cluster.routing.allocation.disk.watermark.high": "98%",
        "cluster.routing.allocation.disk.watermark.flood_stage": "99%",
        **extra,
    }


def command(home: Path, jars: Path, port: int, heap: str, options: Mapping[str, str]) -> list[str]:
    """Write what the node is to be, and give the command that runs it."""
    place = home / "elasticsearch"
    (place / "config").mkdir(parents=True, exist_ok=True)
    plan = {
        "jvm": str(java.jvm_library()),
        "flags": [f"-Xms{heap}", *java.jvm_flags(heap, home / "logs")],
        "jars": str(jars),
        "settings": node_settings(place, port, options),
    }
    (place / "node.json").write_text(json.dumps(plan, indent=2))
    return [sys.executable, "-m", "sensorline.servers.elasticsearch_node", str(place / "node.json")]


def is_ready(port: int, timeout_s: float = 2.0) -> bool:
    """Whether every primary shard that the node remembers is there again."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s + 1)
    try:
        connection.request("GET", f"/_cluster/health?wait_for_status=yellow&timeout={timeout_s:.0f}s")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
