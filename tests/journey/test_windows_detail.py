"""With the detail `windows` nothing but windows is kept: they come by the API, and every batch is accounted for."""

import asyncio
import math
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.fleet import FleetConfig, run
from simulator.verify import verify
from tests.simulator.running_station import station

WAIT_S = 60.0


@pytest.mark.parametrize("engine", ["memory", "embedded"])
async def test_windows_are_what_is_left_of_readings(tmp_path: Path, engine: str) -> None:
    consumers = ("index", "ledger", "windows")
    async with station(tmp_path / "data", engine=engine, detail="windows", consumers=consumers) as running:
        headers = {"authorization": f"Bearer {running.key}"}
        async with httpx.AsyncClient(base_url=running.url, headers=headers) as client:
            await run(FleetConfig(running.url, tmp_path / "ledger", devices=1, seconds=4, speed=0, key=running.key))
            report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=20)
            assert report.is_clean
            assert report.summarised == report.sent > 1_000
            asked = {"device": "sim-0000", "sensor": "acceleration", "from": 0, "to": 2**63 - 1}
            columns = await windows(client, asked, at_least=3)
            assert all(95 <= n <= 105 for n in columns["count"][1:3]), "whole seconds of 100 Hz, with its jitter"
            assert 8 < math.hypot(*(columns[f"{axis}_rms"][1] for axis in "xyz")) < 12, "gravity, whichever way"
            assert (await client.get("/v1/readings", params=asked)).json()["rows"] == 0
            stats = (await client.get("/v1/stats")).json()
            assert (stats["readings"], stats["batches"]) == (0, report.batches)


async def windows(client: httpx.AsyncClient, asked: dict[str, Any], *, at_least: int) -> dict[str, list[Any]]:
    """Once there are so many; the last one waits for a reading behind it."""
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = await client.get("/v1/windows", params=asked)
            assert answer.status_code == 200, answer.text
            if answer.json()["rows"] >= at_least:
                columns: dict[str, list[Any]] = answer.json()["columns"]
                return columns
            await asyncio.sleep(0.1)
