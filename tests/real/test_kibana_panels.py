"""Every chart and map asked of a real Elasticsearch as Kibana asks it: each is answered, and has something to show."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ports"))  # the suite's modules import each other by plain name

from stores_builders import Bench
from stores_findings import anomaly, windows
from stores_samples import SECOND, T0, batch, item, session

from sensorline.kibana.bundle import bundle
from sensorline.kibana.charts import Chart, columns_of
from sensorline.kibana.columns import Column
from sensorline.kibana.fields import RECORDS, fields_of
from sensorline.kibana.maps import GEO_FIELD, Map
from telemetry.anomaly import Severity
from telemetry.batch import Series
from telemetry.ports import Store
from tests.real.elastic_world import *  # noqa: F403 - its fixtures
from tests.real.elastic_world import Ask, settle

pytestmark = pytest.mark.real


@pytest.fixture
async def filled(bench: Bench) -> Store:
    """A store with a little of everything, written as readings, sessions, anomalies and windows are."""
    store = await bench.open()
    t = [T0, T0 + SECOND, T0 + 2 * SECOND]
    xyz = {axis: [0.1, 0.2, 0.3] for axis in "xyz"}
    places = {"latitude": [48.0, 48.1, 48.2], "longitude": [11.0, 11.1, 11.2], "speed": [1.0, 2.0, 3.0]}
    series = (
        Series.of("acceleration", t, xyz),
        Series.of("gyroscope", t, xyz),
        Series.of("location", t, places),
        Series.of("battery", t, {"level": [0.9, 0.8, 0.7]}),
        Series.of("barometer", t, {"pressure": [1013.0, 1012.5, 1012.0]}),
        Series.of("brightness", t, {"level": [0.1, 0.1, 0.1]}),
    )
    await store.write([item(batch("d1", "s1", 0, *series))])
    await store.put_sessions([session()])
    found = [anomaly(T0 + k, severity=severity) for k, severity in enumerate(Severity)]
    await store.put_anomalies(found)
    await store.put_windows([windows(2, x_rms=0.5)])
    await settle(store)
    return store


async def test_every_chart_has_something_to_show(filled: Store, ask: Ask, prefix: str) -> None:
    charts = [p.shown for b in bundle(prefix).boards for row in b.rows for p in row if not isinstance(p.shown, Map)]
    assert len(charts) > 25
    empty = [problem for chart in charts for problem in await _asked(chart, ask)]
    assert not empty


async def _asked(chart: Chart, ask: Ask) -> list[str]:
    """What it has nothing to show of; an error of Elasticsearch fails the test."""
    columns = list(columns_of(chart))
    body = {"size": 0, "query": _kql(chart.where), "aggs": _nested(columns), "track_total_hits": True}
    answer = await ask("POST", f"/{chart.view.title}/_search", body)
    assert answer["_shards"]["failed"] == 0, answer["_shards"]
    rows = list(_rows(answer["aggregations"], columns))
    numbers = [column.key for column in columns if not column.is_bucket]
    lacking = [key for key in numbers if all(row.get(key) is None for row in rows)]
    return [f"{chart.key}: no document"] * (not answer["hits"]["total"]["value"]) + [
        f"{chart.key}.{k}" for k in lacking
    ]


async def test_elasticsearch_maps_the_fields_as_kibana_is_told(filled: Store, ask: Ask, prefix: str) -> None:
    """What Kibana itself asks when it opens a data view."""
    for view in bundle(prefix).views:
        answer = await ask("GET", f"/{view.title}/_field_caps?fields=*&filters=-metadata")
        for field in fields_of(view.index).values():
            (caps,) = answer["fields"][field.name].values()
            assert (caps["type"], caps["aggregatable"]) == (field.type, field.has_values), field.name
            if field.is_indexed:
                assert caps["searchable"], field.name


async def test_a_field_that_controls_offer_has_values(filled: Store, ask: Ask, prefix: str) -> None:
    for board in bundle(prefix).boards:
        for control in board.controls:
            body = {"size": 0, "aggs": {"values": {"terms": {"field": control.field, "order": {"_key": "asc"}}}}}
            answer = await ask("POST", f"/{control.view.title}/_search", body)
            assert answer["aggregations"]["values"]["buckets"], (board.id, control.field)


async def test_the_positions_in_a_tile_are_found_with_their_device(filled: Store, ask: Ask, prefix: str) -> None:
    """The search behind a vector tile; the tile itself is drawn by a module that this server has not."""
    view = bundle(prefix).views.readings

    async def devices(top: float, left: float, bottom: float, right: float) -> set[str]:
        corners = {"top_left": {"lat": top, "lon": left}, "bottom_right": {"lat": bottom, "lon": right}}
        query = {"bool": {"filter": [{"geo_bounding_box": {GEO_FIELD: corners}}]}}
        body = {"size": 10_000, "query": query, "docvalue_fields": ["device", GEO_FIELD], "_source": False}
        body["aggs"] = {"cells": {"geotile_grid": {"field": GEO_FIELD, "precision": 14}}}
        answer = await ask("POST", f"/{view.title}/_search", body)
        assert bool(answer["aggregations"]["cells"]["buckets"]) == bool(answer["hits"]["hits"])
        return {hit["fields"]["device"][0] for hit in answer["hits"]["hits"]}

    assert await devices(49.0, 10.0, 47.0, 12.0) == {"d1"}
    assert await devices(-47.0, 10.0, -49.0, 12.0) == set()


async def test_the_latest_position_of_each_device_is_found(filled: Store, ask: Ask, prefix: str) -> None:
    view = bundle(prefix).views.readings
    top = {"size": 1, "sort": [{"@timestamp": {"order": "desc"}}], "fields": ["location", "speed", "@timestamp"]}
    body = {
        "size": 0,
        "query": {"bool": {"filter": [{"exists": {"field": GEO_FIELD}}]}},
        "aggs": {"devices": {"terms": {"field": "device"}, "aggs": {"latest": {"top_hits": top}}}},
    }
    answer = await ask("POST", f"/{view.title}/_search", body)
    (bucket,) = answer["aggregations"]["devices"]["buckets"]
    (hit,) = bucket["latest"]["hits"]["hits"]
    assert hit["fields"]["speed"] == [3.0]


# --- as Kibana asks ---------------------------------------------------------------------------------------------


def _nested(columns: list[Column]) -> dict[str, Any]:
    """Buckets inside buckets in the order of the columns, the numbers innermost; and what a bucket is ordered by."""
    numbers = [column for column in columns if not column.is_bucket]
    inner = {column.key: _number(column) for column in numbers}
    for bucket in reversed([column for column in columns if column.is_bucket]):
        ordering = {bucket.by: inner[bucket.by]} if bucket.by in inner else {}
        ordering |= {c.key: _number(c) for c in numbers if c.key == bucket.by}
        inner = {bucket.key: _bucket(bucket, columns) | {"aggs": ordering | inner}}
    return inner


def _bucket(column: Column, columns: list[Column]) -> dict[str, Any]:
    if column.operation == "date_histogram":
        return {"date_histogram": {"field": column.field, "fixed_interval": "1s", "min_doc_count": 1}}
    order = {"_key": "asc"}
    if column.by == RECORDS:
        order = {"_count": "desc"}
    elif column.by:
        (by,) = [c for c in columns if c.key == column.by]
        order = {"_count" if by.operation == "count" else by.key: "desc"}
    return {"terms": {"field": column.field, "size": column.size, "order": order}}


def _number(column: Column) -> dict[str, Any]:
    made = _unfiltered(column)
    return {"filter": _kql(column.where), "aggs": {"of": made}} if column.where else made


def _unfiltered(column: Column) -> dict[str, Any]:
    if column.operation == "count":
        return {"filter": {"match_all": {}}}
    if column.operation == "last_value":
        # Of a field with several values Kibana asks so; else by top_metrics, a module that this server has not.
        top = {"size": 1, "sort": [{column.sort_by: "desc"}], "docvalue_fields": [column.field], "_source": False}
        return {"top_hits": top}
    kind = {"average": "avg", "unique_count": "cardinality"}.get(column.operation, column.operation)
    return {kind: {"field": column.field}}


def _kql(query: str) -> dict[str, Any]:
    """Of `name: value` joined by `and`, which is all that is used."""
    parts = (part.split(": ") for part in query.split(" and ")) if query else ()
    asked = [{"exists": {"field": n}} if value == "*" else {"term": {n: json.loads(value)}} for n, value in parts]
    return {"bool": {"filter": asked}}


def _rows(answer: Mapping[str, Any], columns: list[Column]) -> Iterator[dict[str, Any]]:
    buckets = [column for column in columns if column.is_bucket]
    if buckets:
        rest = [column for column in columns if column is not buckets[0]]
        for bucket in answer[buckets[0].key]["buckets"]:
            for row in _rows(bucket, rest):
                yield {buckets[0].key: bucket["key"], **row}
        return
    yield {column.key: _value(answer[column.key], column) for column in columns}


def _value(answer: Mapping[str, Any], column: Column) -> Any:
    if column.where:
        answer = answer["of"]
    if column.operation == "count":
        return answer["doc_count"]
    if column.operation == "last_value":
        hits = answer["hits"]["hits"]
        return hits[0]["fields"][column.field][0] if hits and column.field in hits[0].get("fields", {}) else None
    return answer["value"]
