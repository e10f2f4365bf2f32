"""Questions to Elasticsearch: pages of documents, Arrow tables, envelopes, counts."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from telemetry.batch import TIME_NS_MAX
from telemetry.ports import Counts, DeviceSeen, Span
from telemetry.stores._buckets import MS_NS, bounds, buckets
from telemetry.stores._elastic_http import Elastic, ask
from telemetry.stores._elastic_names import Names, from_iso, iso
from telemetry.stores._tables import envelope_schema, envelope_trimmed, fields_of, schema_of, trimmed

Query = dict[str, Any]
Hit = Mapping[str, Any]

IDENTITY = ("session", "seq", "series", "i")
_KEEP_ALIVE = "2m"
_DEVICES_PAGE = 1000
_SENSORS_MAX = 10_000
_CARDINALITY_EXACT = 40_000


def filtered(first_ns: int = 0, last_ns: int = TIME_NS_MAX, **terms: str | None) -> Query:
    """Rows of these terms (None asks nothing) with an event time from `first_ns` to `last_ns`, both included."""
    clauses: list[Query] = [{"term": {name: value}} for name, value in terms.items() if value is not None]
    if first_ns > 0 or last_ns < TIME_NS_MAX:
        clauses.append({"range": {"@timestamp": {"gte": iso(first_ns), "lte": iso(last_ns)}}})
    return {"bool": {"filter": clauses}}


async def pages(
    elastic: Elastic, index: str, query: Query, *, sort: Sequence[str], size: int, source: bool = True
) -> AsyncGenerator[list[Hit], None]:
    """All hits in order, as of now: a point in time hides what is written or deleted meanwhile.

    `sort` must be total, or empty for the quickest order.  An index that is not there has no hits.
    """
    opened = await ask(elastic, "POST", f"/{index}/_pit?keep_alive={_KEEP_ALIVE}&ignore_unavailable=true")
    pit = opened["id"]
    body: Query = {"size": size, "query": query, "track_total_hits": False, "_source": source}
    body["sort"] = [*sort] or ["_shard_doc"]
    try:
        while True:
            answer = await ask(elastic, "POST", "/_search", body | {"pit": {"id": pit, "keep_alive": _KEEP_ALIVE}})
            pit = answer.get("pit_id", pit)
            hits = answer["hits"]["hits"]
            if hits:
                yield hits
            if len(hits) < size:
                return
            body["search_after"] = hits[-1]["sort"]
    finally:
        await ask(elastic, "DELETE", "/_pit", {"id": pit}, missing_ok=True)


async def readings(elastic: Elastic, names: Names, span: Span, *, limit: int, size: int) -> pa.Table:
    """See `Store.readings`."""
    first_ns, last_ns = bounds(span.from_ns, span.to_ns)
    rows: list[Mapping[str, Any]] = []
    if first_ns <= last_ns and limit > 0:
        query = filtered(first_ns, last_ns, device=span.device, sensor=span.sensor)
        found = pages(elastic, names.readings, query, sort=("@timestamp", *IDENTITY), size=min(size, limit))
        async for hits in found:
            rows += [hit["_source"] for hit in hits[: limit - len(rows)]]
            if len(rows) >= limit:
                break
        await found.aclose()
    return table_of(span.sensor, rows)


def table_of(sensor: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Documents as a table; the float32 nearest to what Elasticsearch prints is the one that was stored."""
    schema = schema_of(sensor)
    times = np.array([row["@timestamp"].removesuffix("Z") for row in rows], "datetime64[ns]").astype(np.int64)
    arrays = [pa.array(times)]
    arrays += [pa.array([row.get(field.name) for row in rows], field.type) for field in list(schema)[1:]]
    return trimmed(pa.Table.from_arrays(arrays, schema=schema))


async def sensors_of(elastic: Elastic, names: Names, query: Query) -> list[str]:
    """The sensors among these rows, by name."""
    body = {"size": 0, "query": query, "aggs": {"sensors": {"terms": {"field": "sensor", "size": _SENSORS_MAX}}}}
    answer = await ask(elastic, "POST", f"/{names.readings}/_search", body)
    return sorted(bucket["key"] for bucket in _buckets_of(answer, "sensors"))


async def envelope(elastic: Elastic, names: Names, span: Span, *, points: int) -> pa.Table:
    """See `Store.envelope`."""
    origin_ns, width_ns = buckets(span, points)
    first_ns, last_ns = bounds(span.from_ns, span.to_ns)
    numeric = [f.name for f in fields_of(span.sensor) if f.kind.is_number]
    histogram = {
        "field": "@timestamp",
        "fixed_interval": f"{width_ns // MS_NS}ms",
        "offset": f"{origin_ns % width_ns // MS_NS}ms",
        "min_doc_count": 1,
    }
    found: list[Mapping[str, Any]] = []
    if first_ns <= last_ns:
        query = filtered(first_ns, last_ns, device=span.device, sensor=span.sensor)
        stats = {name: {"stats": {"field": name}} for name in numeric}
        body = {"size": 0, "query": query, "aggs": {"t": {"date_histogram": histogram, "aggs": stats}}}
        found = _buckets_of(await ask(elastic, "POST", f"/{names.readings}/_search", body), "t")
    columns: dict[str, list[Any]] = {
        "t": [round(b["key"]) * MS_NS for b in found],
        "count": [b["doc_count"] for b in found],
    }
    for name in numeric:
        for part, stat in (("min", "min"), ("max", "max"), ("mean", "avg")):
            columns[f"{name}_{part}"] = [b[name][stat] for b in found]
    schema = envelope_schema(span.sensor)
    arrays = [pa.array(columns[f.name], f.type) for f in schema]
    return envelope_trimmed(pa.Table.from_arrays(arrays, schema=schema))


async def counts(elastic: Elastic, names: Names) -> Counts:
    """See `Store.counts`; devices are exact up to some 40,000 and within a few in a hundred beyond."""
    devices = {"cardinality": {"field": "device", "precision_threshold": _CARDINALITY_EXACT}}
    body = {"size": 0, "track_total_hits": True, "aggs": {"devices": devices}}
    rows = await ask(elastic, "POST", f"/{names.readings}/_search", body)
    claims = await ask(elastic, "GET", f"/{names.claims}/_count")
    seen = rows.get("aggregations", {}).get("devices", {}).get("value", 0)
    return Counts(rows["hits"]["total"]["value"], claims["count"], seen)


async def devices(elastic: Elastic, names: Names) -> list[DeviceSeen]:
    """See `Store.devices`: how many readings from the rows, times and sensors from the claims (500 times fewer).

    Times are those of the batches received: after a retention run the first may lie before the oldest row.
    """
    rows: dict[str, int] = {}
    async for bucket in _by_device(elastic, names.readings, {}):
        rows[bucket["key"]["device"]] = bucket["doc_count"]
    parts: Query = {
        "sensors": {"terms": {"field": "sensors", "size": _SENSORS_MAX}},
        "first": {"top_hits": {"size": 1, "sort": [{"first": "asc"}], "_source": ["first"]}},
        "last": {
            "top_hits": {"size": 1, "sort": [{"last": {"order": "desc", "missing": "_last"}}], "_source": ["last"]}
        },
    }
    seen: list[DeviceSeen] = []
    async for bucket in _by_device(elastic, names.claims, parts):
        device = bucket["key"]["device"]
        if device not in rows:
            continue
        times = [bucket[name]["hits"]["hits"][0]["_source"][name] for name in ("first", "last")]
        sensors = tuple(sorted(b["key"] for b in bucket["sensors"]["buckets"]))
        seen.append(DeviceSeen(device, from_iso(times[0]), from_iso(times[1]), rows[device], sensors))
    return seen


async def _by_device(elastic: Elastic, index: str, aggs: Query) -> AsyncIterator[Mapping[str, Any]]:
    composite: Query = {"size": _DEVICES_PAGE, "sources": [{"device": {"terms": {"field": "device"}}}]}
    query = {"bool": {"filter": [{"exists": {"field": "first"}}]}} if aggs else {"match_all": {}}
    while True:
        asked: Query = {"composite": composite} | ({"aggs": aggs} if aggs else {})
        answer = await ask(elastic, "POST", f"/{index}/_search", {"size": 0, "query": query, "aggs": {"d": asked}})
        found = _buckets_of(answer, "d")
        for bucket in found:
            yield bucket
        if len(found) < _DEVICES_PAGE:
            return
        composite["after"] = found[-1]["key"]


def _buckets_of(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Without any index there is no aggregation in the answer."""
    found: list[Mapping[str, Any]] = answer.get("aggregations", {}).get(name, {}).get("buckets", [])
    return found
