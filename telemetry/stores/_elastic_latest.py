"""The latest document of each device and sensor: `top_hits` in pages of a composite aggregation, no script."""

from collections.abc import Sequence

from telemetry.batch import TIME_NS_MAX
from telemetry.ports import Latest
from telemetry.stores._buckets import bounds
from telemetry.stores._elastic_http import Elastic, ask
from telemetry.stores._elastic_names import Names, from_iso
from telemetry.stores._elastic_search import IDENTITY, Query, filtered
from telemetry.stores._latest import in_order, latest_of

_PAGE = 500


async def latest(elastic: Elastic, names: Names, sensors: Sequence[str], from_ns: int) -> list[Latest]:
    """See `Store.latest`."""
    first_ns, last_ns = bounds(from_ns, TIME_NS_MAX)
    if first_ns > last_ns or not sensors:
        return []
    query = filtered(first_ns, last_ns)
    query["bool"]["filter"].append({"terms": {"sensor": sorted(set(sensors))}})
    order = [{name: "desc"} for name in ("@timestamp", *IDENTITY)]
    composite: Query = {
        "size": _PAGE,
        "sources": [{name: {"terms": {"field": name}}} for name in ("device", "sensor")],
    }
    asked: Query = {"composite": composite, "aggs": {"last": {"top_hits": {"size": 1, "sort": order}}}}
    found: list[Latest] = []
    while True:
        body = {"size": 0, "query": query, "aggs": {"each": asked}}
        answer = await ask(elastic, "POST", f"/{names.readings}/_search", body)
        buckets = answer.get("aggregations", {}).get("each", {}).get("buckets", [])
        for bucket in buckets:
            row = bucket["last"]["hits"]["hits"][0]["_source"]
            found.append(latest_of(row["device"], row["sensor"], from_iso(row["@timestamp"]), row))
        if len(buckets) < _PAGE:
            return in_order(found)
        composite["after"] = buckets[-1]["key"]
