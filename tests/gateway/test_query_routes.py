"""What was sent is found again by asking: the same values, in order, few enough to draw, none of a deleted device."""

import asyncio

import numpy as np
import orjson
import pyarrow as pa
import pytest

from telemetry import wire
from telemetry.beside import Beside
from telemetry.clock import ManualClock
from telemetry.errors import StoreUnavailable
from telemetry.ports import DEVICES, Record, Span
from tests.gateway.gateway_world import T0, World, batch, gateway
from tests.gateway.read_world import Person, reading_gateway, settle

SECOND = 10**9
STORES = ("memory", "duckdb")
SPAN = {"from_": T0, "to": T0 + 3600 * SECOND}


async def fill(world: World, device: str = "pi", n: int = 5, **more: object) -> None:
    """n readings of `device` in the store, x = 0.1, 1.1, ... as float32."""
    token = world.tokens.get(device) or await world.device(device)
    series = {
        "sensor": "acceleration",
        "t0": T0,
        "dt": [k * 10_000_000 for k in range(n)],
        "values": {"x": [k + 0.1 for k in range(n)], "y": [None] + [-k * 1e-7 for k in range(1, n)]},
        **more,
    }
    body = {"v": 1, "device": device, "session": "s", "seq": 0, "series": [series]}
    assert (await world.post("/v1/batches", orjson.dumps(body), token)).status_code == 200
    await settle(world)


@pytest.mark.parametrize("store", STORES)
async def test_raw_readings_are_what_was_sent(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await fill(world, extra=[{"note": "a=1"}, None, None, None, {"b": [1, None]}])
        answer = await viewer.get("/v1/readings", device="pi", sensor="acceleration", **SPAN)
        assert answer.status_code == 200
        found = answer.json()
        columns = found.pop("columns")
        assert found == {
            "device": "pi",
            "sensor": "acceleration",
            "from_ns": T0,
            "to_ns": T0 + 3600 * SECOND,
            "units": {"x": "m/s2", "y": "m/s2"},
            "rows": 5,
            "truncated": False,
        }
        assert columns["t"] == [T0 + k * 10_000_000 for k in range(5)]
        assert columns["x"] == [0.1, 1.1, 2.1, 3.1, 4.1]  # the shortest text of the float32
        assert columns["y"][0] is None
        assert columns["extra"] == [{"note": "a=1"}, None, None, None, {"b": [1, None]}]
        assert columns["session"] == ["s"] * 5
        assert columns["seq"] == [0] * 5
        assert columns["i"] == list(range(5))


@pytest.mark.parametrize("store", STORES)
async def test_a_limit_cuts_and_says_so(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await fill(world, n=5)
        cut = (await viewer.get("/v1/readings", device="pi", sensor="acceleration", limit=3, **SPAN)).json()
        assert (cut["rows"], len(cut["columns"]["t"]), cut["truncated"]) == (3, 3, True)
        whole = (await viewer.get("/v1/readings", device="pi", sensor="acceleration", limit=5, **SPAN)).json()
        assert (whole["rows"], whole["truncated"]) == (5, False)


@pytest.mark.parametrize("store", STORES)
async def test_the_end_of_a_span_is_excluded_and_iso_times_are_understood(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await fill(world, n=5)
        ask = {"device": "pi", "sensor": "acceleration"}
        exact = (await viewer.get("/v1/readings", **ask, from_=T0 + 10_000_000, to=T0 + 30_000_000)).json()
        assert exact["columns"]["x"] == [1.1, 2.1]
        iso = (
            await viewer.get("/v1/readings", **ask, from_="2023-11-14T22:13:20.01Z", to="2023-11-14T23:13:20.03+01:00")
        ).json()
        assert (iso["from_ns"], iso["to_ns"]) == (T0 + 10_000_000, T0 + 30_000_000)
        assert iso["columns"] == exact["columns"]


@pytest.mark.parametrize("store", STORES)
async def test_an_envelope_is_computed_by_the_store(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await fill(world, n=1000)
        ask = {"device": "pi", "sensor": "acceleration", "from_": T0, "to": T0 + 10 * SECOND}
        found = (await viewer.get("/v1/readings", **ask, points=10)).json()
        columns = found["columns"]
        assert columns["count"] == [100] * 10
        assert columns["x_min"][0] == pytest.approx(0.1)
        assert columns["x_max"][-1] == pytest.approx(999.1)
        assert columns["x_mean"][0] == pytest.approx(49.6)
        assert found["units"] == {"x": "m/s2", "y": "m/s2"}
        span = Span("pi", "acceleration", T0, T0 + 10 * SECOND)
        direct = await world.services.store.envelope(span, points=10)
        assert columns["x_mean"] == direct["x_mean"].to_pylist()


@pytest.mark.parametrize("method", ["minmax", "lttb"])
async def test_points_can_be_real_readings(method: str) -> None:
    async with reading_gateway() as (world, viewer):
        await fill(world, n=1000)
        found = (
            await viewer.get("/v1/readings", device="pi", sensor="acceleration", points=20, method=method, **SPAN)
        ).json()
        assert 5 <= found["rows"] <= 20
        sent = {np.float32(k + 0.1) for k in range(1000)}
        assert {np.float32(x) for x in found["columns"]["x"]} <= sent


@pytest.mark.parametrize("method", ["minmax", "lttb"])
async def test_a_span_with_too_many_rows_for_it_is_refused_with_the_mend(method: str) -> None:
    async with reading_gateway(limits={"raw_rows_max": 999}) as (world, viewer):
        await fill(world, n=1000)
        ask = {"device": "pi", "sensor": "acceleration", "points": 20, "method": method}
        refused = await viewer.get("/v1/readings", **ask, **SPAN)
        assert refused.status_code == 422
        assert "method=envelope" in refused.json()["detail"]
        assert (await viewer.get("/v1/readings", **ask, from_=T0, to=T0 + SECOND)).status_code == 200


@pytest.mark.parametrize("store", STORES)
async def test_text_and_truth_values(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        token = await world.device("pi")
        values = {"level": [0.5, None], "state": ["full", None], "low_power": [None, True]}
        series = {"sensor": "battery", "t0": T0, "dt": [0, 1], "values": values}
        body = {"v": 1, "device": "pi", "session": "s", "seq": 0, "series": [series]}
        await world.post("/v1/batches", orjson.dumps(body), token)
        await settle(world)
        found = (await viewer.get("/v1/readings", device="pi", sensor="battery", **SPAN)).json()
        assert {name: found["columns"][name] for name in values} == values
        assert found["units"] == {"level": "1"}


@pytest.mark.parametrize("store", STORES)
async def test_nothing_in_a_span_is_an_answer(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await fill(world)
        for more in ({}, {"points": 10}, {"points": 10, "method": "lttb"}):
            found = await viewer.get("/v1/readings", device="pi", sensor="acceleration", from_=1, to=2, **more)
            assert found.status_code == 200
            assert (found.json()["rows"], found.json()["columns"]["t"]) == (0, [])


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"points": 0}, "query.points"),
        ({"points": 10_001}, "query.points"),
        ({"limit": 0}, "query.limit"),
        ({"limit": 100_001}, "query.limit"),
        ({"method": "average"}, "query.method"),
        ({"device": "a/b"}, "query.device"),
        ({"device": ".."}, "query.device"),
        ({"device": "a" * 65}, "query.device"),
        ({"sensor": "*"}, "query.sensor"),
        ({"sensor": "a\n"}, "query.sensor"),
        ({"from_": "yesterday"}, "query.from"),
        ({"from_": "2024-13-01"}, "query.from"),
        ({"to": ""}, "query.to"),
        ({"points": 3, "method": "minmax"}, "points"),
    ],
)
async def test_a_wrong_question_is_refused_with_the_path(change: dict[str, object], path: str) -> None:
    async with reading_gateway() as (world, viewer):
        await fill(world, n=10)
        refused = await viewer.get("/v1/readings", **{"device": "pi", "sensor": "acceleration", **SPAN, **change})
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["path"] == path


@pytest.mark.parametrize("store", STORES)
async def test_devices_show_how_they_measure_and_what_is_stored(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await fill(world, n=5)
        await world.device("phone", platform="ios", standardised=True)
        await world.services.enrolment.revoke("phone")
        phone, pi = sorted((await viewer.get("/v1/devices")).json()["devices"], key=lambda d: d["device"] == "pi")
        assert (phone["device"], phone["platform"], phone["standardised"]) == ("phone", "ios", True)
        assert (phone["readings"], phone["sensors"], phone["first_ns"]) == (0, [], None)
        assert phone["tokens"][0]["revoked_ns"] is not None
        assert (pi["registered"], pi["readings"], pi["sensors"]) == (True, 5, ["acceleration"])
        assert (pi["first_ns"], pi["last_ns"]) == (T0, T0 + 40_000_000)
        assert world.tokens["pi"] not in (await viewer.get("/v1/devices")).text


async def test_more_devices_than_a_page_are_all_listed() -> None:
    async with reading_gateway() as (world, viewer):
        for k in range(1_005):
            claim = {"registered_ns": k, "platform": "", "standardised": False}
            await world.log.append(DEVICES, [Record(f"enrol/d{k}/x", orjson.dumps(claim))])
        await world.services.registry.sync(5.0)
        assert len((await viewer.get("/v1/devices")).json()["devices"]) == 1_005


@pytest.mark.parametrize("store", STORES)
async def test_completeness_and_claims(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        token = await world.device("pi")
        for seq in (0, 1, 4, 5, 9):
            await world.post("/v1/batches", batch("pi", seq), token)
        await settle(world)
        (session,) = (await viewer.get("/v1/completeness", device="pi")).json()["sessions"]
        assert (session["received_batches"], session["received_readings"]) == (5, 10)
        assert (session["missing_batches"], session["missing"]) == (5, [[2, 3], [6, 8]])
        assert (await viewer.get("/v1/completeness")).json()["sessions"] == [session]
        assert (await viewer.get("/v1/completeness", device="pi", session="other")).json()["sessions"] == []
        found = (await viewer.get("/v1/claims", device="pi")).json()["claims"]
        assert [(c["session"], c["seq"], c["readings"], c["expired"]) for c in found] == [
            ("s", seq, 2, 0) for seq in (0, 1, 4, 5, 9)
        ]
        sent = wire.decode(batch("pi", 4))
        assert found[2]["hash"] == wire.content_hash(wire.encode(sent))
        assert (await viewer.get("/v1/claims", device="pi", session="other")).json()["claims"] == []


def said_to_be(**clock: object) -> dict[str, object]:
    known = dict.fromkeys(("offset_s", "basis", "latest_offset_s", "synchronised", "correction_s"))
    return known | {"skewed": False} | clock


@pytest.mark.parametrize("store", STORES)
async def test_a_sessions_clock_is_told(store: str) -> None:
    clock = ManualClock(T0 + 3600 * SECOND)
    async with reading_gateway(store=store, clock=clock) as (world, viewer):
        token = await world.device("pi")
        beside = Beside(clock.now_ns() + 90 * SECOND, synchronised=False, correction_ns=-90 * SECOND)
        for headers in ({}, beside.to_headers()):
            await world.post("/v1/batches", batch("pi", len(headers)), token, **headers)
        phone = await world.device("phone")
        await world.post("/v1/batches", batch("phone", 0), phone)
        ahead = await world.device("ahead")
        future = batch("ahead", 0, n=1).replace(str(T0).encode(), str(clock.now_ns() + 60 * SECOND).encode())
        await world.post("/v1/batches", future, ahead)
        await settle(world)
        told = {s["device"]: s["clock"] for s in (await viewer.get("/v1/completeness")).json()["sessions"]}
        assert told["pi"] == said_to_be(
            offset_s=-90.0, basis="sent", latest_offset_s=-90.0, synchronised=False, correction_s=-90.0, skewed=True
        )
        assert told["phone"] == said_to_be(), "an hour late, which says nothing of its clock"
        assert told["ahead"] == said_to_be(offset_s=-60.0, basis="newest", latest_offset_s=-60.0, skewed=True)


QUERIES = {
    "/v1/readings": {"sensor": "acceleration", **SPAN},
    "/v1/completeness": {},
    "/v1/claims": {},
    "/v1/export": {"format": "csv"},
}


@pytest.mark.parametrize("path", QUERIES)
async def test_a_deleted_device_is_unreadable_at_once(path: str) -> None:
    async with reading_gateway() as (world, viewer):
        await fill(world)
        assert (await viewer.get(path, device="pi", **QUERIES[path])).status_code == 200
        await world.services.enrolment.delete("pi")  # its rows are still in the store
        gone = await viewer.get(path, device="pi", **QUERIES[path])
        assert gone.status_code == 404
        assert gone.json()["type"] == "urn:sensorline:error:not_found"
        assert (await viewer.get("/v1/devices")).json()["devices"] == []
        assert (await viewer.get("/v1/completeness")).json()["sessions"] == []


@pytest.mark.parametrize("path", QUERIES)
async def test_a_device_nobody_heard_of_is_not_found(path: str) -> None:
    async with reading_gateway() as (_, viewer):
        assert (await viewer.get(path, device="nobody", **QUERIES[path])).status_code == 404


@pytest.mark.parametrize("path", [*QUERIES, "/v1/devices", "/v1/deadletters"])
async def test_only_people_with_a_key_may_ask(path: str) -> None:
    async with reading_gateway() as (world, _):
        await fill(world)
        ask = QUERIES.get(path, {})
        nobody = await Person(world, None).get(path, device="pi", **ask)
        assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
        assert (await Person(world, "wrong").get(path, device="pi", **ask)).status_code == 401
        assert (await Person(world, world.tokens["pi"]).get(path, device="pi", **ask)).status_code == 403


async def test_a_store_that_does_not_answer_is_a_503_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading_gateway(query_wait_s=0.05) as (world, viewer):
        await fill(world)

        async def stuck(*_: object, **__: object) -> pa.Table:
            await asyncio.sleep(60)

        monkeypatch.setattr(world.services.store, "readings", stuck)
        late = await viewer.get("/v1/readings", device="pi", sensor="acceleration", **SPAN)
        assert late.status_code == 503
        assert late.headers["retry-after"] == "1"
        assert late.json()["type"] == "urn:sensorline:error:store_unavailable"


async def test_a_store_that_is_down_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading_gateway() as (world, viewer):
        await fill(world)

        async def down() -> None:
            raise StoreUnavailable("no connection", retry_after_s=3.2)

        monkeypatch.setattr(world.services.store, "counts", down)
        refused = await viewer.get("/v1/stats")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "4")


async def test_an_asker_is_refused_while_the_registry_is_stale() -> None:
    async with gateway(devices_stale_s=0.2) as world:
        key = await world.services.enrolment.add_operator("v", "viewer")
        await world.log.close()
        async with asyncio.timeout(5):
            while (answer := await Person(world, key).get("/v1/devices")).status_code == 200:
                await asyncio.sleep(0.05)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
