"""JSONTestSuite at both ingest routes: what is no JSON, or no message of ours, is a 4xx and never a fault of ours."""

import pytest

from telemetry.ports import BATCHES
from tests.gateway.gateway_world import World, bearer, gateway
from tests.gateway.hostile import documents, needs_suite

UNLIMITED = {"requests_per_s": 1e6, "requests_burst": 1_000_000}
ROUTES = ("/v1/batches", "/v1/sensor-logger", "/v1/owntracks", "/v1/senml")

NATIVE_EXTRA = (
    b'{"v":1,"device":"pi","session":"s","seq":%d,"series":[{"sensor":"light","t0":1700000000000000000,"dt":[0],'
    b'"values":{"illuminance":[1]},"extra":[{"x":%b}]}]}'
)
NATIVE_VALUE = (
    b'{"v":1,"device":"pi","session":"s","seq":%d,"series":[{"sensor":"light","t0":1700000000000000000,"dt":[0],'
    b'"values":{"illuminance":[%b]}}]}'
)
PHONE_VALUE = (
    b'{"messageId":%d,"sessionId":"s","deviceId":"d","payload":[{"name":"network","time":1700000000000000000,'
    b'"values":{"x":%b}}]}'
)
PHONE_READING = (
    b'{"messageId":%d,"sessionId":"t","deviceId":"d","payload":['
    b'{"name":"light","time":1700000000000000000,"values":{"lux":1}},%b]}'
)

FIX_VALUE = b'{"_type":"location","tst":%d,"lat":1,"lon":2,"vel":%b}'
FIX_EXTRA = b'{"_type":"location","tst":%d,"lat":1,"lon":2,"x":%b}'

PACK_VALUE = b'[{"n":"light","t":%d,"v":%b}]'
PACK_RECORD = b'[{"n":"light","bt":1700000000,"t":%d,"v":1},%b]'


async def statuses(world: World, route: str, bodies: dict[str, bytes]) -> dict[str, int]:
    token = world.tokens.get("pi") or await world.device("pi")
    found = {}
    async with world.client as client:
        for name, body in bodies.items():
            found[name] = (await client.post(route, content=body, headers=bearer(token))).status_code
    return found


@needs_suite
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("prefix", ["n_", "y_", "i_"])
async def test_no_document_of_the_suite_is_a_message(route: str, prefix: str) -> None:
    bodies = documents(prefix)
    if route == "/v1/owntracks":  # the app sends an empty body when a friend is removed: there is nothing to refuse
        bodies = {name: body for name, body in bodies.items() if body}
    assert len(bodies) >= 30
    async with gateway(limits=UNLIMITED) as world:
        found = await statuses(world, route, bodies)
        assert {name: status for name, status in found.items() if not 400 <= status <= 499} == {}
        assert sum((await world.log.ends(BATCHES)).values()) == 0


@needs_suite
@pytest.mark.parametrize(
    ("route", "frame"),
    [
        ("/v1/batches", NATIVE_EXTRA),
        ("/v1/batches", NATIVE_VALUE),
        ("/v1/sensor-logger", PHONE_VALUE),
        ("/v1/sensor-logger", PHONE_READING),
        ("/v1/owntracks", FIX_VALUE),
        ("/v1/owntracks", FIX_EXTRA),
        ("/v1/senml", PACK_VALUE),
        ("/v1/senml", PACK_RECORD),
    ],
)
async def test_inside_a_message_no_document_is_a_fault_and_broken_ones_are_refused(route: str, frame: bytes) -> None:
    async with gateway(limits=UNLIMITED) as world:
        broken = {name: frame % (k, body) for k, (name, body) in enumerate(documents("n_").items())}
        found = await statuses(world, route, broken)
        assert {name: status for name, status in found.items() if not 400 <= status <= 499} == {}
        assert sum((await world.log.ends(BATCHES)).values()) == 0
        for prefix, first in (("y_", 1_000), ("i_", 2_000)):
            framed = {name: frame % (first + k, body) for k, (name, body) in enumerate(documents(prefix).items())}
            found = await statuses(world, route, framed)
            assert {name: status for name, status in found.items() if not (status == 200 or 400 <= status <= 499)} == {}
