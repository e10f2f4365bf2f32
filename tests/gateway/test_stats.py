"""Counts are open to this machine and to nobody else without a key; probes and metrics say what is."""

import asyncio

import pytest

from tests.gateway.gateway_world import batch, gateway
from tests.gateway.read_world import Person, reading_gateway, settle


async def test_counts_of_what_can_be_queried() -> None:
    async with gateway(lag={"index": 3, "ledger": 0}) as world:
        token = await world.device("pi")
        await world.post("/v1/batches", batch("pi", n=5), token)
        here = Person(world, None)
        assert (await here.get("/v1/stats")).json()["readings"] == 0  # acknowledged, not yet to be queried
        await settle(world)
        await settle(world)
        assert (await here.get("/v1/stats")).json() == {
            "readings": 5,
            "batches": 1,
            "devices": 1,
            "lag": {"index": 3, "ledger": 0},
        }


@pytest.mark.parametrize("path", ["/v1/stats", "/metrics"])
async def test_without_a_key_only_this_machine_may_see_counts(path: str) -> None:
    async with reading_gateway() as (world, viewer):
        for address in ("127.0.0.1", "127.8.9.1", "::1"):
            assert (await Person(world, None, address).get(path)).status_code == 200
        for address in ("10.0.0.7", "192.0.2.1", "2001:db8::1", "127.0.0.1.example", "", "testclient"):
            assert (await Person(world, None, address).get(path)).status_code == 401
        proxied = await Person(world, None).ask("GET", path, headers={"x-forwarded-for": "127.0.0.1"})
        assert proxied.status_code == 401
        claimed = await Person(world, None, "10.0.0.7").ask("GET", path, headers={"host": "127.0.0.1"})
        assert claimed.status_code == 401
        assert (await Person(world, "wrong").get(path)).status_code == 401
        assert (await viewer.get(path)).status_code == 200
        key = await world.services.enrolment.add_operator("far", "viewer")
        assert (await Person(world, key, "10.0.0.7").get(path)).status_code == 200


async def test_a_live_process_says_so_even_when_the_log_is_gone() -> None:
    async with gateway() as world:
        far = Person(world, None, "10.0.0.7")
        assert (await far.get("/readyz")).json()["status"] == "ready"
        await world.log.close()
        assert (await far.get("/healthz")).json() == {"status": "ok"}
        refused = await far.get("/readyz")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"


async def test_a_stuck_log_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway() as world:

        async def stuck(_: object) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr("gateway.routes.health.PROBE_WAIT_S", 0.05)
        monkeypatch.setattr(world.services.log, "ends", stuck)
        assert (await Person(world, None).get("/readyz")).status_code == 503


async def test_metrics_are_prometheus_text() -> None:
    async with gateway() as world:
        answer = await Person(world, None).get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "sensorline_devices_age_seconds" in answer.text
