"""The load file runs: every kind of user gets answers from a real station, and none fails."""

import asyncio
import os
import sys
from pathlib import Path

import orjson

from edge.transports.http import new_client
from simulator.api import Api
from tests.simulator.running_station import station

LOCUSTFILE = Path(__file__).parents[2] / "load" / "locustfile.py"
RUN_S = 6


async def test_every_user_is_answered_and_nothing_fails(tmp_path: Path) -> None:
    async with station(tmp_path / "data", engine="embedded") as running, new_client(connections_max=1) as client:
        ran = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--json", "-H", running.url),
            *("-u", "7", "-r", "7", "-t", f"{RUN_S}s", "--stop-timeout", "5", "--exit-code-on-error", "1"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"SENSORLINE_KEY": running.key},
            cwd=tmp_path,
        )
        out, err = await asyncio.wait_for(ran.communicate(), 60)
        stats = await Api(client, running.url, running.key).get("/v1/stats")
    assert ran.returncode == 0, err.decode()[-2000:]
    requests = {(r["method"], r["name"]): r for r in orjson.loads(out)}
    for name in ("/v1/batches", "/v1/sensor-logger"):
        assert requests["POST", name]["num_requests"] >= 3, "three devices of a kind, a message a second each"
    assert requests["GET", "/v1/devices"]["num_requests"] >= 1
    assert requests["GET", "/v1/readings"]["num_requests"] >= 1
    assert sum(r["num_failures"] for r in requests.values()) == 0
    assert stats["readings"] > 3_000


async def test_without_key_or_tokens_nothing_is_sent(tmp_path: Path) -> None:
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--json", "-H", "http://127.0.0.1:9"),
        *("-u", "2", "-r", "2", "-t", "1s"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if not k.startswith(("SENSORLINE_", "LOAD_"))},
        cwd=tmp_path,
    )
    out, _ = await asyncio.wait_for(ran.communicate(), 60)
    assert orjson.loads(out) == []
