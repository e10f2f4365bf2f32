"""Setting a phone up: what is drawn is the address, and what keeps it from working is said."""

import re
from typing import Any

import httpx
import pytest

from gateway.routes.setup import ON_LOOPBACK, PLAIN_HTTP
from telemetry import set_up
from tests.gateway.gateway_world import World, bearer, gateway

CODE, TOKEN = "K7QM-2XPD", "sl_" + "x" * 43


async def asked(world: World, body: dict[str, Any], device: str = "phone") -> httpx.Response:
    key = await world.services.enrolment.add_operator("o", "operator")
    async with world.client as client:
        return await client.post(f"/v1/devices/{device}/setup", json=body, headers=bearer(key))


async def test_a_code_makes_the_pages_address_and_a_token_the_apps() -> None:
    async with gateway(public_url="https://sensors.example.org") as world:
        await world.device("phone")
        links = {link["app"]: link for link in (await asked(world, {"code": CODE, "token": TOKEN})).json()["links"]}
    assert links["phone"]["address"] == "https://sensors.example.org/phone#code=K7QM-2XPD"
    assert links["sensor_logger"]["address"] == set_up.sensor_logger_address("https://sensors.example.org", TOKEN)
    assert links["owntracks"]["address"] == set_up.owntracks_address("https://sensors.example.org", "phone", TOKEN)
    for link in links.values():
        assert link["note"] == ""
        assert re.match(r"<svg [^>]*viewBox", link["svg"])
        assert not re.search(r"<script|on\w+=|href", link["svg"])


@pytest.mark.parametrize(
    ("url", "note"),
    [
        ("http://127.0.0.1:8080", ON_LOOPBACK),
        ("http://192.0.2.1:8080", PLAIN_HTTP),
        ("https://192.0.2.1:8080", ""),
    ],
)
async def test_what_keeps_a_phone_out_is_said(url: str, note: str) -> None:
    async with gateway(public_url=url) as world:
        await world.device("phone")
        links = (await asked(world, {"code": CODE})).json()["links"]
    assert [link["note"] for link in links] == [note]


async def test_what_is_no_token_is_not_drawn() -> None:
    async with gateway() as world:
        assert (await asked(world, {"token": "x" * 65}, "phone")).status_code == 422


async def test_a_token_for_a_device_that_is_not_there_is_a_mistake() -> None:
    async with gateway() as world:
        assert (await asked(world, {"token": TOKEN}, "nobody")).status_code == 404
