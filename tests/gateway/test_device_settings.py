"""Settings over the gateway's routes: set, handed down in a receipt, reported, shown; and whose a token is."""

from typing import Any

import orjson
import pytest

from telemetry.beside import SETTINGS
from tests.gateway.gateway_world import World, batch, bearer, gateway, message

WANTED = {"batch_period_s": 2.0, "sources": {"imu": {"enabled": True, "rate_hz": 50.0}}}


async def _admin(world: World) -> dict[str, str]:
    return bearer(await world.services.enrolment.add_operator("boss", "operator"))


async def _sends(world: World, seq: int, report: str | None) -> dict[str, Any]:
    headers = {} if report is None else {SETTINGS: report}
    answer = await world.post("/v1/batches", batch("pi", seq), world.tokens["pi"], **headers)
    assert answer.status_code == 200
    await world.services.registry.sync(5)
    said: dict[str, Any] = answer.json()
    return said


async def test_settings_reach_the_edge_once_it_reports_others() -> None:
    async with gateway() as world, world.client as client:
        await world.device("pi")
        who = await _admin(world)
        put = await client.put("/v1/devices/pi/settings", json=WANTED, headers=who)
        assert put.status_code == 200
        assert put.json()["wanted"] == {"version": 1, **WANTED}
        assert "reported" not in put.json()
        receipt = await _sends(world, 0, "0")
        assert receipt["settings"] == {"version": 1, **WANTED}
        assert receipt["status"] == "stored"
        assert (await _sends(world, 0, "0"))["settings"]["version"] == 1, "a duplicate's receipt carries them too"
        assert "settings" not in await _sends(world, 1, "1")
        assert "settings" not in await _sends(world, 2, None)
        shown = (await client.get("/v1/devices/pi/settings", headers=who)).json()
        assert shown["reported"]["in_force"] == 0, "rate-limited: the change of a moment ago waits"


async def test_a_failure_is_shown_and_not_handed_down_again() -> None:
    async with gateway() as world, world.client as client:
        await world.device("pi")
        who = await _admin(world)
        await client.put("/v1/devices/pi/settings", json=WANTED, headers=who)
        assert "settings" not in await _sends(world, 0, "0 failed=1 source imu: no answer at 0x68")
        shown = (await client.get("/v1/devices/pi/settings", headers=who)).json()
        assert shown["reported"].pop("at_ns") > 0
        assert shown["reported"] == {"in_force": 0, "failed": 1, "reason": "source imu: no answer at 0x68"}
        again = await client.put("/v1/devices/pi/settings", json={}, headers=who)
        assert again.json()["wanted"] == {"version": 2, "sources": {}}
        assert (await _sends(world, 1, "0 failed=1 source imu: no answer at 0x68"))["settings"] == {"version": 2}
        trail = await world.services.audit.recent(10)
        assert [(e["what"], e["details"]) for e in reversed(trail)] == [
            ("device.settings", WANTED),
            ("device.settings", {}),
        ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_period_s": "2"},
        {"version": 7},
        {"sources": {"a/b": {}}},
        {"sources": {"imu": {"token": "x"}}},
        {"sources": {f"s{n}": {} for n in range(65)}},
    ],
    ids=repr,
)
async def test_wrong_settings_are_refused_here_already(wrong: dict[str, Any]) -> None:
    async with gateway() as world, world.client as client:
        await world.device("pi")
        answer = await client.put("/v1/devices/pi/settings", content=orjson.dumps(wrong), headers=await _admin(world))
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert await world.services.audit.recent(10) == []


async def test_a_phone_is_handed_nothing() -> None:
    async with gateway() as world, world.client as client:
        token = await world.device("phone")
        await client.put("/v1/devices/phone/settings", json=WANTED, headers=await _admin(world))
        answer = await world.post("/v1/sensor-logger", message("app"), token)
        assert answer.status_code == 200
        assert "settings" not in answer.json()


async def test_a_token_may_ask_whose_it_is() -> None:
    async with gateway() as world, world.client as client:
        token = await world.device("pi")
        answer = await client.get("/v1/device", headers=bearer(token))
        assert answer.status_code == 200
        assert answer.json()["device"] == "pi"
        assert abs(answer.json()["now_ns"] - world.services.clock.now_ns()) < 10**10
        await world.services.enrolment.rotate("pi", overlap_s=60)
        assert (await client.get("/v1/device", headers=bearer(token))).json()["expires_ns"] > 0
        await world.services.enrolment.revoke("pi")
        assert (await client.get("/v1/device", headers=bearer(token))).status_code == 401


async def test_asking_is_limited_as_sending_is() -> None:
    async with gateway(limits={"requests_per_s": 1.0, "requests_burst": 2}) as world, world.client as client:
        headers = bearer(await world.device("pi"))
        statuses = [(await client.get("/v1/device", headers=headers)).status_code for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
