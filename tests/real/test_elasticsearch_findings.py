"""Anomalies and windows on a real Elasticsearch: every promise of the port, and what only a cluster can do to them."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ports"))  # the suite's modules import each other by plain name

from stores_builders import Bench
from stores_findings import anomaly, windows
from stores_samples import DAY, SECOND, T0, rows
from test_stores_detail import *  # noqa: F403 - the promises are this module's tests
from test_stores_findings import *  # noqa: F403
from test_stores_findings import EVERY, WHOLE

from telemetry.anomaly import Asked, Severity
from telemetry.clock import ManualClock
from telemetry.errors import StoreUnavailable
from telemetry.ports import Store
from telemetry.stores._elastic_config import Config
from telemetry.stores._elastic_names import Names
from telemetry.stores.elasticsearch import ElasticsearchStore
from tests.faults.http_proxy import LoseReply, Proxy, Refuse
from tests.real.elastic_world import *  # noqa: F403 - its fixtures
from tests.real.elastic_world import Ask, settle

pytestmark = pytest.mark.real


async def indices(ask: Ask, pattern: str) -> dict[str, int]:
    return {name: (await ask("GET", f"/{name}/_count"))["count"] for name in await ask("GET", f"/{pattern}/_alias")}


async def at(url: str, prefix: str, now_ns: int) -> ElasticsearchStore:
    store = ElasticsearchStore(Config(urls=(url,), prefix=prefix), retention_days=3650, clock=ManualClock(now_ns))
    await store.start()
    return store


async def test_a_day_of_windows_has_its_index_and_retention_drops_it_whole(
    bench: Bench, ask: Ask, url: str, prefix: str
) -> None:
    midnight = T0 // DAY * DAY
    store = await at(url, prefix, T0)
    for t0 in (midnight - 200 * DAY, midnight - DAY, midnight, midnight + 3 * DAY):
        await store.put_windows([windows(2, t0=t0)])
    await settle(store)
    names = Names(prefix)
    days = [names.windows_day(midnight // DAY - 1), names.windows_day(midnight // DAY)]
    assert await indices(ask, names.windows) == {days[0]: 2, days[1]: 2, names.windows_skewed: 4}
    assert (await store.windows(WHOLE, **EVERY)).num_rows == 8
    await store.prune(before_ns=midnight + 1)
    assert await indices(ask, names.windows) == {days[1]: 2, names.windows_skewed: 2}
    await store.close()


async def test_a_window_in_two_indices_is_read_once_as_it_was_last(bench: Bench, url: str, prefix: str) -> None:
    early, late = await at(url, prefix, T0), await at(url, prefix, T0 + 200 * DAY)
    await early.put_windows([windows(3, count=5)])
    await late.put_windows([windows(2, count=6, revision=1), windows(1, t0=T0 + 2 * SECOND, count=0, revision=1)])
    await settle(late)
    for limit in (1, 2, 3):
        found = await late.windows(WHOLE, **EVERY | {"limit": limit})
        assert found["count"].to_pylist() == [6, 6][:limit]
    await early.close()
    await late.close()


async def test_small_pages_and_requests_change_nothing(bench: Bench, url: str, prefix: str) -> None:
    config = Config(urls=(url,), prefix=prefix, page_rows=10, bulk_bytes_max=64 * 1024)
    store = ElasticsearchStore(config, retention_days=3650, clock=ManualClock(T0))
    await store.start()
    await store.put_windows([windows(1000)])
    await settle(store)
    found = await store.windows(WHOLE, **EVERY | {"limit": 35})
    assert found["t"].to_pylist() == [T0 + k * SECOND for k in range(35)]
    await store.close()


async def test_people_can_search_by_what_matters_and_not_by_samples(bench: Bench, store: Store, ask: Ask) -> None:
    await store.put_anomalies([anomaly(severity=Severity.CRITICAL), anomaly(T0 + 1, severity=Severity.INFO)])
    names = Names(bench._options["prefix"])

    async def hits(query: dict[str, Any]) -> int:
        found = await ask("POST", f"/{names.anomalies}/_search", {"query": query})
        total: int = found["hits"]["total"]["value"]
        return total

    assert await hits({"term": {"severity": "critical"}}) == 1
    assert await hits({"range": {"score": {"gte": 1.2}}}) == 2
    assert await hits({"term": {"evidence.feature": "vibration"}}) == 2
    assert await hits({"exists": {"field": "samples.t"}}) == 0
    mapping = (await ask("GET", f"/{names.anomalies}/_mapping"))[names.anomalies]["mappings"]["properties"]
    assert mapping["samples"] == {"type": "object", "enabled": False}


async def test_features_are_doc_values_and_anything_else_unknown_is_refused(
    bench: Bench, store: Store, ask: Ask
) -> None:
    await store.put_windows([windows(2, x_rms=0.5)])
    await settle(store)
    names = Names(bench._options["prefix"])
    (mapping,) = (await ask("GET", f"/{names.windows}/_mapping")).values()
    assert mapping["mappings"]["properties"]["features"]["properties"]["x_rms"] == {"type": "double", "index": False}
    averaged = {"size": 0, "aggs": {"rms": {"avg": {"field": "features.x_rms"}}}}
    assert (await ask("POST", f"/{names.windows}/_search", averaged))["aggregations"]["rms"]["value"] == 0.5
    with pytest.raises(AssertionError, match="strict_dynamic_mapping_exception"):
        await ask("POST", f"/{names.windows_skewed}/_doc", {"surprise": 1})


@pytest.mark.parametrize("action", [Refuse(429), Refuse(503), LoseReply()])
async def test_a_refused_request_or_a_lost_reply_is_made_good(
    bench: Bench, proxy: Proxy, behind: Store, action: Any
) -> None:
    proxy.refuse_next("anomalies/_bulk", action, action)
    proxy.refuse_next("windows-skewed/_bulk", action, action)
    await behind.put_anomalies([anomaly(version=2)])
    await behind.put_windows([windows(3)])
    await settle(behind)
    assert [a.version for a in await behind.anomalies(Asked())] == [2]
    assert len(rows(await behind.windows(WHOLE, **EVERY))) == 3


async def test_what_never_passes_is_unavailable(bench: Bench, proxy: Proxy, behind: Store) -> None:
    proxy.refuse_next("anomalies/_bulk", *[Refuse(503)] * 5)
    with pytest.raises(StoreUnavailable, match="503"):
        await behind.put_anomalies([anomaly()])
    await behind.put_anomalies([anomaly()])
    assert await behind.anomaly(anomaly().id) == anomaly()
