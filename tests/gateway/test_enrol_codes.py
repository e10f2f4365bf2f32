"""Enrolment by code over HTTP: who may ask, once, ten minutes, and guessing is bounded by address and in all."""

import asyncio
import json
import logging
import re
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from gateway import tries
from gateway.tries import Tries
from telemetry import codes
from telemetry.clock import ManualClock
from telemetry.errors import RateLimited
from telemetry.ports import Record, Topic
from telemetry.verifier import Verifier
from tests.gateway.gateway_world import World, batch, bearer, gateway

SHAPE = re.compile(rf"[{codes.ALPHABET}]{{4}}-[{codes.ALPHABET}]{{4}}")


async def offered(world: World, device: str = "pi") -> str:
    async with world.client as client:
        key = await world.services.enrolment.add_operator(f"op-{world.table.version}", "operator")
        answer = await client.post(f"/v1/devices/{device}/codes", headers=bearer(key))
    assert answer.status_code == 201
    assert answer.json()["device"] == device
    code: str = answer.json()["code"]
    assert SHAPE.fullmatch(code)
    return code


async def enroll(world: World, code: Any, address: str = "192.0.2.1") -> httpx.Response:
    transport = httpx.ASGITransport(world.app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.post("/v1/enroll", json={"code": code})


async def test_a_code_makes_a_device_once() -> None:
    async with gateway(public_url="https://station.example") as world:
        code = await offered(world)
        first = await enroll(world, code)
        assert (first.status_code, first.json()["device"], first.json()["url"]) == (
            200,
            "pi",
            "https://station.example",
        )
        assert (await world.post("/v1/batches", batch("pi"), first.json()["token"])).status_code == 200
        assert (await enroll(world, code)).status_code == 404


async def test_a_code_for_a_known_device_adds_a_token_and_the_old_one_lives_on() -> None:
    async with gateway() as world:
        old = await world.device("pi")
        new = (await enroll(world, await offered(world))).json()["token"]
        for seq, token in enumerate((old, new)):
            assert (await world.post("/v1/batches", batch("pi", seq), token)).status_code == 200


@pytest.mark.parametrize("typed", [str.lower, lambda c: c.replace("-", ""), lambda c: f" {c} ", "-".join])
async def test_case_and_dashes_do_not_matter(typed: Any) -> None:
    async with gateway() as world:
        assert (await enroll(world, typed(await offered(world)))).status_code == 200


def test_look_alikes_are_read_as_what_was_meant() -> None:
    assert codes.normalised("oOiI-lL01") == "00111101"


async def test_wrong_used_and_expired_are_answered_alike() -> None:
    clock = ManualClock()
    async with gateway(clock=clock) as world:
        used, old = await offered(world), await offered(world, "other")
        await enroll(world, used)
        await clock.advance(codes.LIFE_S - 1)
        assert world.services.enrolment._codes.device_of(old) == "other"
        await clock.advance(2)
        await world.services.registry.sync(5)
        bodies = {(await enroll(world, code)).content for code in ("0000-0000", "no code", used, old)}
        assert len(bodies) == 1
        assert json.loads(bodies.pop())["status"] == 404


async def test_the_sixth_wrong_try_waits_even_with_the_right_code() -> None:
    clock = ManualClock()
    async with gateway(clock=clock, devices_stale_s=1e9) as world:
        for _ in range(tries.ADDRESS_MAX):
            assert (await enroll(world, "0000-0000")).status_code == 404
        sixth = await enroll(world, await offered(world))
        assert (sixth.status_code, sixth.json()["type"]) == (429, "urn:sensorline:error:rate_limited")
        assert int(sixth.headers["retry-after"]) == tries.WINDOW_S
        assert (await enroll(world, await offered(world), "192.0.2.2")).status_code == 200
        await clock.advance(tries.WINDOW_S)
        assert (await enroll(world, await offered(world))).status_code == 200


async def test_tries_at_once_do_not_pass_together() -> None:
    async with gateway() as world:
        answers = await asyncio.gather(*(enroll(world, f"0000-000{n}") for n in range(8)))
        assert sorted(a.status_code for a in answers) == [404] * 5 + [429] * 3


async def test_right_codes_are_no_wrong_tries() -> None:
    async with gateway() as world:
        for n in range(tries.ADDRESS_MAX + 2):
            assert (await enroll(world, await offered(world, f"pi-{n}"))).status_code == 200


def test_many_addresses_cannot_guess_together_and_memory_is_bounded() -> None:
    counted = Tries()
    for n in range(tries.EVERYBODY_MAX):
        counted.begin(f"192.0.{n // 250}.{n % 250}", 0.0)
    with pytest.raises(RateLimited):
        counted.begin("198.51.100.1", 1.0)
    for n in range(5 * tries.ADDRESSES_MAX):
        counted.begin(f"2001:db8:{n:x}::1", 700.0 + n * 10)
    assert len(counted._by_address) == tries.ADDRESSES_MAX
    assert len(counted._everybody) <= tries.EVERYBODY_MAX


def test_an_ipv6_site_is_one_address() -> None:
    counted = Tries()
    for n in range(tries.ADDRESS_MAX):
        counted.begin(f"2001:db8::{n}", 0.0)
    with pytest.raises(RateLimited):
        counted.begin("2001:db8::ffff", 0.0)
    counted.begin("2001:db8:1::1", 0.0)
    for n in range(tries.ADDRESS_MAX):
        counted.begin("::ffff:192.0.2.9" if n % 2 else "192.0.2.9", 0.0)
    with pytest.raises(RateLimited):
        counted.begin("192.0.2.9", 0.0)


async def test_neither_code_nor_token_is_kept_or_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    async with gateway() as world:
        kept: list[Record] = []
        append = world.log.append

        async def watched(topic: Topic, records: Sequence[Record]) -> Any:
            kept.extend(records)
            return await append(topic, records)

        monkeypatch.setattr(world.log, "append", watched)
        code = await offered(world)
        token = (await enroll(world, code)).json()["token"]
        await enroll(world, code)
        assert any(r.key == f"code/{codes.digest(code)}" for r in kept)
        for secret in (code, code.replace("-", ""), token):
            assert secret not in str(kept)
            assert secret not in caplog.text
        trail = [(e["who"], e["what"], e["subject"]) for e in await world.services.audit.recent(10)]
        assert trail[0] == ("(enrolment code)", "device.enrol", "pi")
        assert trail[1][1:] == ("device.code", "pi")


async def test_the_accounts_of_the_broker_follow_the_tokens() -> None:
    async with gateway() as world, world.client as client:
        admin = bearer(await world.services.enrolment.add_operator("boss", "admin"))
        issued = await world.services.enrolment.enrol("a.b")
        second = await world.services.enrolment.rotate("a.b", overlap_s=3600)
        await world.services.enrolment.revoke("a.b", token_id=issued.token_id)
        answer = await client.get("/v1/mqtt/accounts", headers=admin)
        found = {a["username"]: a for a in answer.json()["accounts"]}
        assert {name: a["enabled"] for name, a in found.items()} == {
            f"a.b.{issued.token_id}": False,
            f"a.b.{second.token_id}": True,
        }
        assert second.token not in answer.text
        kept = Verifier(**found[f"a.b.{second.token_id}"]["verifier"])
        assert kept.fits(second.token)
        assert not kept.fits(issued.token)
        await world.services.enrolment.delete("a.b")
        assert (await client.get("/v1/mqtt/accounts", headers=admin)).json() == {"accounts": []}
