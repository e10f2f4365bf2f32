"""The store on a real Elasticsearch: every promise of the port, and what only a cluster can do to it."""

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ports"))  # the suite's modules import each other by plain name

from stores_builders import Bench
from stores_samples import DAY, SECOND, T0, batch, hash_of, item, random_batch, rows, session, xyz
from test_stores import *  # noqa: F403 - the promises are this module's tests
from test_stores import WHOLE, exported

from telemetry.batch import Series
from telemetry.errors import StoreUnavailable
from telemetry.outcome import Reason
from telemetry.ports import Span, Store, Written
from telemetry.rebuild import batches_of
from telemetry.session_clock import UNKNOWN
from telemetry.stores import open_store
from telemetry.stores._elastic_names import Names
from telemetry.stores._elastic_sessions import document_of, session_key
from telemetry.stores._elastic_templates import load
from tests.faults.http_proxy import LoseReply, Proxy, Refuse, RefuseItems
from tests.real.elastic_world import *  # noqa: F403 - its fixtures
from tests.real.elastic_world import Ask, settle

pytestmark = pytest.mark.real

del test_every_adapter_is_put_through_this_suite  # noqa: F821 - of the embedded ones


async def test_an_index_of_before_sessions_had_a_clock_is_read_and_learns(bench: Bench, ask: Ask, prefix: str) -> None:
    """As an earlier version left it: its template, its strict mapping, a document without a clock."""
    names = Names(prefix)
    old = {"dynamic": "strict", "properties": dict(load("sessions_mapping")["properties"])}
    for name in [name for name in old["properties"] if name.startswith("clock_")]:
        del old["properties"][name]
    template = {"index_patterns": [names.sessions], "priority": 500, "template": {"mappings": old}}
    await ask("PUT", f"/_index_template/{prefix}sensorline-sessions", template)
    await ask("DELETE", f"/{names.sessions}")
    await ask("PUT", f"/{names.sessions}")
    plain = {k: v for k, v in document_of(session(clock=UNKNOWN)).items() if not k.startswith("clock_")}
    await ask("PUT", f"/{names.sessions}/_doc/{session_key('d1', 's1')}?version=10&version_type=external_gte", plain)
    store = await bench.open()
    assert await store.get_sessions([("d1", "s1")]) == {("d1", "s1"): session(clock=UNKNOWN)}
    await store.put_sessions([session(next_offset=11)])
    await bench.settle(store)
    assert await store.completeness() == [session(next_offset=11)]
    skewed = {"query": {"term": {"clock_is_skewed": True}}}
    assert (await ask("POST", f"/{names.sessions}/_search", skewed))["hits"]["total"]["value"] == 1


# --- what is kept ---------------------------------------------------------------------------------------------


async def test_every_bit_of_awkward_numbers_comes_back(bench: Bench, store: Store) -> None:
    """Random bit patterns of both precisions, and any nanosecond there can be."""
    rng = np.random.default_rng(5)
    single = rng.integers(0, 2**32, 4000, np.uint32).view(np.float32)
    single = single[np.abs(single) <= 4000]
    n = len(single)
    degrees = rng.uniform(-90, 90, n) * 10.0 ** rng.integers(-300, 1, n)
    t = T0 + rng.integers(0, 10**9, n)
    sent = batch(
        "d1", "s1", 0, Series.of("acceleration", t, {"x": single}), Series.of("location", t, {"latitude": degrees})
    )
    await store.write([item(sent)])
    await bench.settle(store)
    (rebuilt,) = batches_of("d1", await exported(store, "d1"))
    assert n > 1000
    assert hash_of(rebuilt) == hash_of(sent)
    assert np.array_equal(np.asarray(rebuilt.series[0].values["x"]).view(np.uint32), single.view(np.uint32))
    assert np.array_equal(np.asarray(rebuilt.series[1].values["latitude"]).view(np.uint64), degrees.view(np.uint64))


async def test_a_day_has_its_index_and_an_impossible_clock_opens_none(
    bench: Bench, store: Store, ask: Ask, prefix: str
) -> None:
    midnight = T0 // DAY * DAY
    t = [midnight - 1, midnight, midnight - 200 * DAY, midnight + 3 * DAY, 2**63 - 1]
    series = Series.of("acceleration", t, {"x": [0.0, 1.0, 2.0, 3.0, 4.0]})
    assert await store.write([item(batch("d1", "s1", 0, series), received_ns=T0)]) == [Written(stored=5)]
    await bench.settle(store)
    names = Names(prefix)
    found = {
        index: (await ask("GET", f"/{index}/_count"))["count"]
        for index in await ask("GET", f"/{names.readings}/_alias")
    }
    assert found == {names.day(midnight // DAY - 1): 1, names.day(midnight // DAY): 1, names.skewed: 3}
    assert [r["i"] for r in rows(await store.readings(WHOLE, limit=9))] == [2, 0, 1, 3, 4]
    assert await store.prune(before_ns=midnight) == 2, "yesterday's index and the one of 200 days ago"


async def test_a_place_is_on_the_map(bench: Bench, store: Store, ask: Ask, prefix: str) -> None:
    places = {"latitude": [48.0, 49.0, np.nan], "longitude": [11.0, np.nan, 12.0], "speed": [1.0, 2.0, 3.0]}
    await store.write([item(batch("d1", "s1", 0, Series.of("location", [T0, T0 + 1, T0 + 2], places)))])
    await bench.settle(store)
    box = {"top_left": {"lat": 48.5, "lon": 10.5}, "bottom_right": {"lat": 47.5, "lon": 11.5}}
    query = {"query": {"geo_bounding_box": {"location": box}}}
    found = await ask("POST", f"/{prefix}readings-*/_search", query)
    assert [hit["_source"]["i"] for hit in found["hits"]["hits"]] == [0]
    assert (await store.readings(Span("d1", "location", 0, 2**62), limit=9))["latitude"].to_pylist() == [48, 49, None]


async def test_synthetic_source_gives_the_same(url: str, bench: Bench, prefix: str, tmp_path: Path) -> None:
    options = {"urls": [url], "prefix": prefix, "synthetic_source": True}
    store = open_store("elasticsearch", options, tmp_path, retention_days=3650)
    await store.start()
    rng = random.Random(3)
    sent = [random_batch(rng, "d1", "s1", seq) for seq in range(30)]
    await store.write([item(b) for b in sent])
    await settle(store)
    rebuilt = batches_of("d1", await exported(store, "d1"))
    assert [hash_of(b) for b in rebuilt] == [hash_of(b) for b in sent]
    await store.close()


async def test_small_requests_and_pages_change_nothing(url: str, bench: Bench, prefix: str, tmp_path: Path) -> None:
    options = {"urls": [url], "prefix": prefix, "bulk_bytes_max": 64 * 1024, "page_rows": 10}
    store = open_store("elasticsearch", options, tmp_path, retention_days=3650)
    await store.start()
    sent = [batch("d1", "s1", seq, xyz(700, step_ns=1), xyz(3, sensor="gyroscope")) for seq in range(3)]
    assert await store.write([item(b) for b in sent]) == [Written(stored=703)] * 3
    await settle(store)
    assert [hash_of(b) for b in batches_of("d1", await exported(store, "d1"))] == [hash_of(b) for b in sent]
    assert (await store.readings(WHOLE, limit=35)).num_rows == 35
    assert await store.delete_device("d1") == 2109
    await store.close()


# --- what goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_refused_items_are_sent_again_and_only_they(
    bench: Bench, proxy: Proxy, behind: Store, status: int
) -> None:
    proxy.refuse_next("readings-2025", RefuseItems([0, 3, 7], status), RefuseItems([1], status))
    assert await behind.write([item(batch(seq=0)), item(batch(seq=1))]) == [Written(stored=5)] * 2
    assert len([path for _, path in proxy.seen if "readings-2025" in path]) == 3
    await settle(behind)
    assert (await behind.readings(WHOLE, limit=99))["x"].to_pylist() == list(range(10))


@pytest.mark.parametrize("action", [Refuse(429), Refuse(503), Refuse(502, b"<html>bad gateway</html>"), LoseReply()])
@pytest.mark.parametrize("where", ["claims/_bulk", "readings-2025", "sessions/_bulk"])
async def test_a_refused_request_or_a_lost_reply_is_made_good(
    bench: Bench, proxy: Proxy, behind: Store, action: Any, where: str
) -> None:
    proxy.refuse_next(where, action, action)
    assert await behind.write([item(batch(seq=seq)) for seq in range(3)]) == [Written(stored=5)] * 3
    await behind.put_sessions([session()])
    assert await behind.get_sessions([("d1", "s1")]) == {("d1", "s1"): session()}
    await settle(behind)
    assert (await behind.readings(WHOLE, limit=99))["x"].to_pylist() == list(range(15))
    assert (await behind.counts()).batches == 3


@pytest.mark.parametrize("where", ["claims/_bulk", "readings-2025"])
async def test_what_never_passes_is_unavailable_and_the_next_write_completes_it(
    bench: Bench, proxy: Proxy, behind: Store, where: str
) -> None:
    proxy.refuse_next(where, *[Refuse(503)] * 5)
    with pytest.raises(StoreUnavailable, match="503"):
        await behind.write([item(batch(seq=0)), item(batch(seq=1))])
    again = await behind.write([item(batch(seq=0)), item(batch(seq=1))])
    assert again == [Written(stored=5)] * 2
    await settle(behind)
    assert (await behind.readings(WHOLE, limit=99))["x"].to_pylist() == list(range(10))


async def test_a_write_that_broke_off_between_claim_and_rows_keeps_the_first_receive_time(
    bench: Bench, proxy: Proxy, behind: Store
) -> None:
    proxy.refuse_next("readings-2025", RefuseItems([1, 2], 429), *[RefuseItems([0, 1], 429)] * 4)
    with pytest.raises(StoreUnavailable, match="rejected by the proxy"):
        await behind.write([item(batch())])
    other = await behind.write([item(batch("d1", "s1", 0, xyz(2)))])
    assert (other[0].dead_lettered, other[0].reason) == (2, Reason.CONFLICT)
    later = item(batch(), received_ns=T0 + 3600 * SECOND)
    total = (await behind.write([later]))[0]
    assert (total.stored + total.duplicate, total.duplicate) == (5, 3), "three were there already"
    await settle(behind)
    assert (await behind.readings(WHOLE, limit=9)).num_rows == 5
    assert (await behind.claims("d1"))[0].received_ns == T0 + 60 * SECOND


async def test_a_full_disk_holds_and_passes(bench: Bench, store: Store, ask: Ask, prefix: str) -> None:
    await store.write([item(batch(seq=0))])
    day = Names(prefix).day(T0 // DAY)
    await ask("PUT", f"/{day}/_settings", {"index.blocks.read_only_allow_delete": True})
    with pytest.raises(StoreUnavailable, match="cluster_block_exception"):
        await store.write([item(batch(seq=1))])
    await ask("PUT", f"/{day}/_settings", {"index.blocks.read_only_allow_delete": None})
    assert await store.write([item(batch(seq=1))]) == [Written(stored=5)]


async def test_the_shard_limit_holds_and_passes(bench: Bench, store: Store, ask: Ask) -> None:
    limit = {"persistent": {"cluster.max_shards_per_node": 1}}
    await ask("PUT", "/_cluster/settings", limit)
    try:
        with pytest.raises(StoreUnavailable, match="validation_exception"):
            await store.write([item(batch())])
    finally:
        await ask("PUT", "/_cluster/settings", {"persistent": {"cluster.max_shards_per_node": None}})
    assert await store.write([item(batch())]) == [Written(stored=5)]


async def test_only_what_the_mapping_refuses_is_dead_lettered(
    bench: Bench, store: Store, ask: Ask, prefix: str
) -> None:
    day = Names(prefix).day(T0 // DAY)
    await ask("PUT", f"/{day}")
    await ask("PUT", f"/{day}/_mapping", {"properties": {"poison": {"type": "date"}}})
    await ask("DELETE", f"/{day}")
    properties = {"x": {"type": "boolean"}}  # what someone else's template may do to our field
    mapping = (await ask("GET", f"/_component_template/{prefix}sensorline-readings-mapping"))["component_templates"][0]
    body = mapping["component_template"]["template"]
    body["mappings"]["properties"] |= properties
    await ask("PUT", f"/_component_template/{prefix}sensorline-readings-mapping", {"template": body})
    gyroscope = Series.of("gyroscope", [T0, T0 + 1], {"y": [1.0, 2.0]})
    poisoned, healthy = batch("d1", "s1", 0, xyz(3), gyroscope), batch("d1", "s1", 1, gyroscope)
    first, second = await store.write([item(poisoned), item(healthy)])
    assert (first.stored, first.dead_lettered, first.reason) == (2, 3, Reason.STORE_REFUSED)
    assert "[x]" in first.detail
    assert second == Written(stored=2)
    await ask("DELETE", f"/{day}")
    await store.start()  # puts our template back
    replayed = await store.write([item(poisoned)])
    assert replayed == [Written(stored=5)], "a replayed dead letter is written, its claim was not done"


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    store = open_store("elasticsearch", {"urls": ["http://127.0.0.1:9"]}, tmp_path, retention_days=1)
    with pytest.raises(StoreUnavailable, match="did not answer"):
        await store.start()
    await store.close()


async def test_a_web_server_that_is_no_elasticsearch_is_named(proxy: Proxy, tmp_path: Path) -> None:
    proxy.script = lambda method, path: Refuse(200, b"{}")
    store = open_store("elasticsearch", {"urls": [proxy.url]}, tmp_path, retention_days=1)
    with pytest.raises(StoreUnavailable, match="not an Elasticsearch"):
        await store.start()
    await store.close()


async def test_the_indices_hold_what_the_configuration_says(bench: Bench, store: Store, ask: Ask, prefix: str) -> None:
    await store.write([item(batch())])
    settings = orjson.dumps(await ask("GET", f"/{Names(prefix).day(T0 // DAY)}/_settings"))
    assert b'"number_of_replicas":"0"' in settings
    assert b'"durability":"request"' in settings
    assert b'"bloom_filter_for_id_field":{"enabled":"false"}' in settings


async def test_a_server_that_does_not_know_a_tuning_setting_does_without(
    bench: Bench, proxy: Proxy, prefix: str, ask: Ask, tmp_path: Path
) -> None:
    unknown = Refuse(400, b'{"error":{"reason":"unknown setting [index.seq_no.index_options]"}}')
    proxy.refuse_next("readings-settings", unknown)
    store = open_store("elasticsearch", {"urls": [proxy.url], "prefix": prefix}, tmp_path, retention_days=9)
    await store.start()
    await store.close()
    settings = orjson.dumps(await ask("GET", f"/_component_template/{prefix}sensorline-readings-settings"))
    assert b"segments_per_tier" in settings
    assert b"seq_no" not in settings
