"""What `sensorline doctor` asks of Elasticsearch: does it answer, is it well, and does it keep what it acknowledges?

Changes nothing.
"""

from telemetry.stores._elastic_http import ask
from telemetry.stores.elasticsearch import Config, Connection

Finding = tuple[str, str, str]  # level (ok, warning, error), detail, mend
VERSION_MIN = 9


async def inspect(config: Config) -> list[Finding]:
    """Raises `StoreUnavailable` or `Misconfigured` when it cannot be asked."""
    connection = Connection(config)
    connection.open()
    try:
        return [*await _version(connection), *await _health(connection, config), *_durability(config)]
    finally:
        await connection.close()


async def _version(connection: Connection) -> list[Finding]:
    nodes = (await ask(connection, "GET", "/_nodes?filter_path=nodes.*.version"))["nodes"].values()
    numbers = ", ".join(sorted({str(node["version"]) for node in nodes}))
    if any(int(node["version"].partition(".")[0]) < VERSION_MIN for node in nodes):
        return [("error", f"elasticsearch {numbers}", f"Sensorline needs version {VERSION_MIN}")]
    return [("ok", f"elasticsearch {numbers} answers", "")]


async def _health(connection: Connection, config: Config) -> list[Finding]:
    health = await ask(connection, "GET", "/_cluster/health")
    status, nodes = health["status"], health["number_of_data_nodes"]
    detail = f"cluster {health['cluster_name']} is {status}, {nodes} data node(s)"
    findings: list[Finding] = [("ok", detail, "")]
    if status == "red":
        findings = [("error", detail, "see GET /_cluster/allocation/explain of Elasticsearch")]
    elif status == "yellow" and nodes > 1:
        findings = [("warning", detail, "see GET /_cluster/allocation/explain of Elasticsearch")]
    if config.replicas == 0:
        mend = "with more than one node set adapters.elasticsearch.replicas=1"
        findings.append(("warning" if nodes > 1 else "ok", "one copy of each shard", mend if nodes > 1 else ""))
    return findings


def _durability(config: Config) -> list[Finding]:
    if config.translog_durability == "request":
        return []
    detail = "translog_durability=async: what was indexed in the last seconds may be lost, though its offset was kept"
    return [("warning", detail, "remove adapters.elasticsearch.translog_durability from the settings")]
