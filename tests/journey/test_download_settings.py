"""Settings from an operator to a running agent and its word back: a real gateway over a socket, a real agent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from edge.agent import Agent
from edge.settings import parse
from telemetry.remote_settings import Changes
from tests.gateway.gateway_world import World, bearer, gateway, served

WITHIN_S = 20.0


@asynccontextmanager
async def agent(world: World, url: str, folder: Path) -> AsyncIterator[Agent]:
    """A device `pi` with two sources of this machine, the second polled rarely."""
    token = world.tokens.get("pi") or await world.device("pi")
    (folder / "edge.token").write_text(token)
    (folder / "edge.token").chmod(0o600)
    document = {
        "device": "pi",
        "adapters": {"http": {"url": url}},
        "batch": {"period_s": 0.1},
        "spool": {"commit_period_s": 0.05},
        "clock": {"unsynchronised_wait_s": 0},
        "sources": {"quick": {"type": "system", "every_s": 0.1}, "slow": {"type": "system", "every_s": 3600}},
    }
    made, stop = Agent(parse(document, folder=folder)), asyncio.Event()
    ready = asyncio.Event()
    running = asyncio.create_task(made.run(stop, on_ready=ready.set))
    try:
        await asyncio.wait_for(ready.wait(), 10)
        yield made
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)


async def reported(client: httpx.AsyncClient, who: dict[str, str], version: int) -> dict[str, Any]:
    """What the device says once it speaks of that version."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            shown = (await client.get("/v1/devices/pi/settings", headers=who)).json()
            said: dict[str, Any] = shown.get("reported", {})
            if version in (said.get("in_force"), said.get("failed")):
                return said
            await asyncio.sleep(0.05)


async def test_an_agent_takes_settings_up_reports_and_keeps_them_over_a_restart(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("telemetry.device_settings.REPORT_PERIOD_S", 0.2)
    async with gateway(limits={"requests_per_s": 1000.0}) as world, served(world) as server, world.client as client:
        url = f"http://127.0.0.1:{server.port}"
        who = bearer(await world.services.enrolment.add_operator("boss", "operator"))
        async with agent(world, url, tmp_path) as pi:
            assert (await reported(client, who, 0))["in_force"] == 0
            wanted = {"batch_period_s": 0.2, "sources": {"slow": {"every_s": 0.5}}}
            await client.put("/v1/devices/pi/settings", json=wanted, headers=who)
            assert (await reported(client, who, 1))["in_force"] == 1
            status = pi.status()
            assert (status["settings"], status["batch_period_s"]) == ("1", 0.2)
            before = status["sources"]["slow"]["readings"]
            async with asyncio.timeout(WITHIN_S):
                while pi.status()["sources"]["slow"]["readings"] < before + 2:  # every hour, it would never
                    await asyncio.sleep(0.05)
            bad = {"sources": {"camera": {"enabled": True}}}
            await client.put("/v1/devices/pi/settings", json=bad, headers=who)
            said = await reported(client, who, 2)
            assert (said["in_force"], said["failed"]) == (1, 2)
            assert "camera" in said["reason"]
        async with agent(world, url, tmp_path) as pi:
            assert pi.status()["settings"].startswith("1 failed=2 ")
            await world.services.device_settings.change("pi", Changes())
            assert (await reported(client, who, 3))["in_force"] == 3
            assert pi.status()["batch_period_s"] == 0.1
