"""Anomalies as documents, versioned by their own version: an older write never wins, a repeated one is a 409.

They travel as JSON: there are few, and what a person looks at in Kibana is what is stored.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from telemetry.anomaly import Anomaly, Asked
from telemetry.clock import Clock
from telemetry.errors import StoreUnavailable
from telemetry.stores._buckets import bounds
from telemetry.stores._elastic_bulk import Retry, send
from telemetry.stores._elastic_http import NDJSON, Elastic, ask, multi_get
from telemetry.stores._elastic_names import Names, from_iso, iso

TIMES = {
    "start_ns": "@timestamp",
    "end_ns": "end",
    "peak_ns": "peak",
    "received_ns": "received",
    "updated_ns": "updated",
}
_PAGE = 5_000
_BULK_BYTES_MAX = 5 * 2**20  # or one anomaly


def document_of(anomaly: Anomaly) -> dict[str, Any]:
    """As people see it in Kibana: times as text."""
    document: dict[str, Any] = msgspec.to_builtins(anomaly)
    for name, stored in TIMES.items():
        document[stored] = iso(document.pop(name))
    return document


def anomaly_of(document: Mapping[str, Any]) -> Anomaly:
    """Read back; raises `StoreUnavailable` when somebody else wrote the document."""
    try:
        times = {name: from_iso(document[stored]) for name, stored in TIMES.items()}
        return msgspec.convert({**document, **times}, Anomaly)
    except (KeyError, ValueError) as e:  # msgspec.ValidationError is a ValueError
        raise StoreUnavailable(f"Elasticsearch holds what is no anomaly: {e!r}") from e


async def put(elastic: Elastic, names: Names, anomalies: Sequence[Anomaly], *, retry: Retry, clock: Clock) -> None:
    """Keep them, and let searches see them at once; a 409 says that what is there is as new or newer."""
    held: list[bytes] = []
    size_bytes = 0
    for anomaly in anomalies:
        version = {"version": anomaly.version, "version_type": "external"}
        lines = orjson.dumps({"index": {"_id": anomaly.id, **version}}) + b"\n" + orjson.dumps(document_of(anomaly))
        if held and size_bytes + len(lines) > _BULK_BYTES_MAX:
            await _send(elastic, names, held, retry, clock)
            held, size_bytes = [], 0
        held.append(lines)
        size_bytes += len(lines)
    if held:
        await _send(elastic, names, held, retry, clock)
        await ask(elastic, "POST", f"/{names.anomalies}/_refresh")


async def listed(elastic: Elastic, names: Names, asked: Asked) -> list[Anomaly]:
    """See `Store.anomalies`."""
    found: list[Anomaly] = []
    after = asked.after
    while len(found) < asked.limit:
        size = min(_PAGE, asked.limit - len(found))
        query = {
            "size": size,
            "query": {"bool": {"filter": _filters(asked, after)}},
            "sort": [{"@timestamp": "desc"}, {"id": "asc"}],
            "track_total_hits": False,
            "_source": {"excludes": ["samples"]},
        }
        answer = await ask(elastic, "POST", f"/{names.anomalies}/_search", query)
        page = [anomaly_of(hit["_source"]) for hit in answer["hits"]["hits"]]
        found += page
        if len(page) < size:
            break
        after = page[-1].start_ns, page[-1].id
    return found


async def one(elastic: Elastic, names: Names, id_: str) -> Anomaly | None:
    """See `Store.anomaly`; in real time, whatever a search sees."""
    (document,) = await multi_get(elastic, names.anomalies, [id_]) if id_ else [None]
    return None if document is None else anomaly_of(document)


def _filters(asked: Asked, after: tuple[int, str] | None) -> list[dict[str, Any]]:
    first_ns, last_ns = bounds(asked.from_ns, asked.to_ns)
    if first_ns > last_ns:
        return [{"match_none": {}}]
    terms = {"device": asked.device, "kind": asked.kind, "severity": asked.severity, "is_open": asked.is_open}
    filters: list[dict[str, Any]] = [{"term": {name: value}} for name, value in terms.items() if value is not None]
    filters.append({"range": {"@timestamp": {"lte": iso(last_ns)}}})
    filters.append({"range": {"end": {"gte": iso(first_ns)}}})
    if after is not None:
        start, id_ = iso(after[0]), after[1]
        same = [{"term": {"@timestamp": start}}, {"range": {"id": {"gt": id_}}}]
        filters.append(
            {"bool": {"should": [{"range": {"@timestamp": {"lt": start}}}, {"bool": {"filter": same}}]}},
        )
    return filters


async def _send(elastic: Elastic, names: Names, lines: Sequence[bytes], retry: Retry, clock: Clock) -> None:
    body = b"\n".join((*lines, b""))
    await send(elastic, names.anomalies, body, retry=retry, clock=clock, content_type=NDJSON)
