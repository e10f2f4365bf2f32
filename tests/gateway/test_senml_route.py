"""POST /v1/senml from the first byte to the store."""

import gzip
import random
from typing import Any

import cbor2
import httpx
import orjson
import pytest

from telemetry.dialects.senml_cbor import LABELS
from telemetry.ports import BATCHES
from tests.gateway.gateway_world import World, bearer, gateway
from tests.gateway.read_world import reading_gateway, settle

PATH = "/v1/senml"
T0 = 1_700_000_000
TYPE, CBOR = "application/senml+json", "application/senml+cbor"
BASE = "urn:dev:mac:0024befffe804ff1:"


async def post(world: World, pack: Any, content_type: str = TYPE) -> httpx.Response:
    async with world.client as client:
        headers = bearer(world.tokens["node"]) | {"content-type": content_type}
        return await client.post(PATH, content=orjson.dumps(pack), headers=headers)


def pack(k: int) -> list[dict[str, Any]]:
    """A minute's measurements."""
    return [
        {"bn": BASE, "bt": T0 + 60 * k, "n": "temperature", "u": "K", "v": 290 + k},
        {"n": "humidity", "u": "%RH", "v": 40 + k},
        {"n": "acceleration/x", "u": "m/s2", "v": k, "t": 1},
        {"n": "acceleration/y", "u": "m/s2", "v": 2, "t": 1},
        {"n": "co2", "u": "/", "v": 4e-4},
    ]


@pytest.mark.parametrize("store", ["memory", "duckdb"])
async def test_any_order_and_any_repetition_is_stored_once_with_nothing_missing(store: str) -> None:
    shuffled = random.Random(5)
    async with reading_gateway(store=store) as (world, person):
        await world.device("node")
        many = [*range(20), *shuffled.choices(range(20), k=40)]
        shuffled.shuffle(many)
        first: set[int] = set()
        for k in many:
            answer = await post(world, pack(k))
            assert answer.status_code == 200
            assert answer.json()["duplicate"] == (k in first)
            assert answer.json()["readings"] == 4
            first.add(k)
        world.services.intake._memory._hashes.clear()
        for k in range(20):
            assert (await post(world, pack(k))).json()["status"] == "stored"
        await settle(world)
        await settle(world)
        (session,) = (await person.get("/v1/completeness", device="node")).json()["sessions"]
        assert session["session"] == "senml-2023-11-14-urn_dev_mac_0024befffe804ff1"
        assert (session["numbered"], session["missing_batches"], session["missing"]) == (False, 0, [])
        assert (session["received_batches"], session["duplicate_batches"]) == (20, 20)
        span = {"device": "node", "from_": T0 * 10**9, "to": (T0 + 3600) * 10**9}
        columns = (await person.get("/v1/readings", sensor="temperature", **span)).json()["columns"]
        assert columns["t"] == [(T0 + 60 * k) * 10**9 for k in range(20)]
        assert columns["celsius"] == pytest.approx([16.85 + k for k in range(20)], rel=1e-5)
        moved = (await person.get("/v1/readings", sensor="acceleration", **span)).json()["columns"]
        assert (moved["x"], moved["y"]) == ([float(k) for k in range(20)], [2.0] * 20)
        own = (await person.get("/v1/readings", sensor="co2", **span)).json()["columns"]
        assert own["extra"] == [{"unit": "/", "value": 4e-4}] * 20


async def test_times_relative_to_now_are_of_when_the_pack_came() -> None:
    async with reading_gateway() as (world, person):
        await world.device("node")
        before_ns = world.services.clock.now_ns()
        for _ in range(2):
            receipt = (
                await post(world, [{"n": "temperature", "u": "Cel", "v": 21}, {"n": "light", "t": -5, "v": 9}])
            ).json()
            assert (receipt["readings"], receipt["duplicate"]) == (2, False), "the same bytes are another measurement"
        await settle(world)
        span = {"device": "node", "from_": before_ns - 10**9, "to": before_ns + 60 * 10**9}
        columns = (await person.get("/v1/readings", sensor="temperature", **span)).json()["columns"]
        assert columns["celsius"] == [21.0, 21.0]


async def test_in_cbor_it_is_the_same_batch() -> None:
    labels = {name: label for label, name in LABELS.items()}
    async with reading_gateway() as (world, person):
        await world.device("node")
        for k in range(3):
            body = cbor2.dumps([{labels[name]: value for name, value in record.items()} for record in pack(k)])
            receipts = []
            for content, content_type in ((orjson.dumps(pack(k)), TYPE), (body, CBOR), (gzip.compress(body), CBOR)):
                more = {"content-encoding": "gzip"} if content.startswith(b"\x1f\x8b") else {}
                headers = bearer(world.tokens["node"]) | {"content-type": content_type} | more
                async with world.client as client:
                    receipts.append((await client.post(PATH, content=content, headers=headers)).json())
            assert [r["duplicate"] for r in receipts] == [False, True, True]
            assert len({(r["session"], r["seq"], r["readings"]) for r in receipts}) == 1
        await settle(world)
        span = {"device": "node", "from_": T0 * 10**9, "to": (T0 + 3600) * 10**9}
        columns = (await person.get("/v1/readings", sensor="temperature", **span)).json()["columns"]
        assert columns["celsius"] == pytest.approx([16.85, 17.85, 18.85], rel=1e-5)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "path"),
    [
        (b"[]", CBOR, 400, None),
        (b"\x81\xa0", TYPE, 400, None),
        (b"\x81\xa0", CBOR, 422, "$[0].n"),
        (b"\x81\xa3\x00\x61a\x02\x01\x62x_\x01", CBOR, 422, "$[0].x_"),
        (b"\x9b" + b"\xff" * 8, CBOR, 413, None),
        (b"\x80", "application/sensml+cbor", 415, None),
    ],
)
async def test_what_is_wrong_in_cbor_is_told(body: bytes, content_type: str, status: int, path: str | None) -> None:
    async with gateway() as world:
        await world.device("node")
        async with world.client as client:
            headers = bearer(world.tokens["node"]) | {"content-type": content_type}
            answer = await client.post(PATH, content=body, headers=headers)
        assert answer.status_code == status
        assert path is None or answer.json()["path"] == path
        assert sum((await world.log.ends(BATCHES)).values()) == 0


@pytest.mark.parametrize("content_type", [TYPE, "Application/SenML+JSON; charset=utf-8", "application/json"])
async def test_content_types_that_are_spoken(content_type: str) -> None:
    async with gateway() as world:
        await world.device("node")
        assert (await post(world, pack(0), content_type)).status_code == 200


@pytest.mark.parametrize("content_type", ["application/sensml+cbor", "application/senml+xml", "text/plain", ""])
async def test_others_are_refused_with_the_mend(content_type: str) -> None:
    async with gateway() as world:
        await world.device("node")
        answer = await post(world, pack(0), content_type)
        assert answer.status_code == 415
        assert "send application/senml+json or application/senml+cbor or application/json" in answer.json()["detail"]


async def test_a_wrong_record_refuses_the_pack_with_its_path() -> None:
    async with gateway() as world:
        await world.device("node")
        answer = await post(world, [*pack(0), {"n": "temperature", "u": "lx", "v": 3}])
        assert (answer.status_code, answer.json()["path"]) == (422, "$[5].u")
        assert sum((await world.log.ends(BATCHES)).values()) == 0
