"""What was found, as a person and a machine read it on the command line."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from sensorline.cli import app
from sensorline.commands import _times
from telemetry.anomaly import Severity
from tests.gateway.found import SECOND, anomaly, windows
from tests.gateway.gateway_world import T0
from tests.simulator.running_station import Running, station

HOUR = 3_600 * SECOND
Say = Callable[..., Any]


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.chdir(tmp_path)
    async with station(tmp_path / "data") as made:
        await made.services.enrolment.enrol("pi")
        yield made


@pytest.fixture
def say(running: Running) -> Say:
    """A command, run; its lines, decoded with `--json`."""

    async def run(*words: str, code: int = 0, plain: bool = False) -> Any:
        station_options = ["--url", running.url, "--key", running.key]
        line = [*words, *station_options, *([] if plain else ["--json"])]
        done = await asyncio.to_thread(CliRunner().invoke, app, line)
        assert done.exit_code == code, done.output
        return done.output if plain or code else [json.loads(text) for text in done.output.splitlines()]

    return run


async def test_a_list_for_machines_and_its_filters(running: Running, say: Say) -> None:
    now = time.time_ns() - T0
    put = [
        anomaly("pi", 0, severity=Severity.INFO, is_open=False),
        anomaly("pi", now - 3 * HOUR, kind="stuck", is_open=False),
        anomaly("car", now - HOUR // 2),
    ]
    await running.engine.store.put_anomalies(put)
    a, b, c = (one.id for one in put)

    async def ids(*words: str) -> list[str]:
        return [one["id"] for one in await say("anomalies", *words)]

    assert await ids() == [c, b, a]
    assert await ids("--device", "pi") == [b, a]
    assert await ids("--since", "1h") == [c]
    assert await ids("--since", "4h") == [c, b]
    assert await ids("--since", "2023-11-14T22:13:23Z") == [c, b]
    assert await ids("--since", str(T0)) == [c, b, a]
    assert await ids("--kind", "stuck") == [b]
    assert await ids("--severity", "info") == [a]
    assert await ids("--open") == [c]
    assert await ids("--limit", "2") == [c, b]
    assert "samples" not in (await say("anomalies", "--limit", "1"))[0]


async def test_a_long_list_takes_several_calls(running: Running, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensorline.api.PAGE_MAX", 4)
    await running.engine.store.put_anomalies([anomaly("pi", k) for k in range(11)])
    assert [one["start_ns"] - T0 for one in await say("anomalies")] == list(range(10, -1, -1))
    assert [one["start_ns"] - T0 for one in await say("anomalies", "--limit", "6")] == list(range(10, 4, -1))


async def test_a_list_for_a_person(running: Running, say: Say) -> None:
    assert await say("anomalies", plain=True) == "No anomalies.\n"
    await running.engine.store.put_anomalies([anomaly("pi"), anomaly("pi", HOUR, is_open=False)])
    first, second = (await say("anomalies", plain=True)).splitlines()[1:]
    assert first.startswith("2023-11-14 23:13:20Z  2023-11-14 23:13:21Z  critical  pi")
    assert second.startswith("2023-11-14 22:13:20Z  open")
    assert "fall: impact 3.9x its usual for this device at 22:13:20" in second
    assert second.rstrip().endswith(anomaly("pi").id)


async def test_one_whole(running: Running, say: Say) -> None:
    await running.engine.store.put_anomalies([anomaly("pi")])
    (shown,) = await say("anomalies", "show", anomaly("pi").id)
    assert shown["samples"]["columns"]["ax"] == [0.5, None]
    told = await say("anomalies", "show", anomaly("pi").id, plain=True)
    assert "critical, pi, motion, score 3.25 by motion" in told
    assert "  impact 3.9x its usual" in told
    assert "2 samples around it" in told
    assert "no anomaly" in await say("anomalies", "show", "0" * 32, code=1)


async def test_what_people_said_of_it_stands_beside_it(running: Running, say: Say) -> None:
    await running.engine.store.put_anomalies([anomaly("pi")])
    path, headers = f"/v1/anomalies/{anomaly('pi').id}/label", {"authorization": f"Bearer {running.key}"}
    async with httpx.AsyncClient(base_url=running.url, headers=headers) as client:
        label = {"acknowledged": True, "verdict": "false", "note": "on the sofa"}
        assert (await client.put(path, json=label)).status_code == 200
    (listed,) = await say("anomalies")
    assert (listed["label"]["verdict"], listed["label"]["note"]) == ("false", "on the sofa")
    assert "seen, false, on the sofa" in await say("anomalies", plain=True)
    assert "says: seen, false, on the sofa" in await say("anomalies", "show", anomaly("pi").id, plain=True)


async def test_windows_for_machines_and_for_a_person(running: Running, say: Say) -> None:
    since = ("--since", str(T0))
    asked = ("windows", "--device", "pi", "--sensor", "acceleration")
    assert await say(*asked, plain=True) == "No windows.\n"
    half = windows("pi", 1, width_ns=SECOND // 2, features={"x_rms": np.array([7.5])})
    await running.engine.store.put_windows([windows("pi"), half])
    rows = await say(*asked, *since)
    assert rows[0] == {"t": T0, "end": T0 + SECOND, "session": "s", "count": 100, "x_rms": 0.0, "y_min": None}
    assert [row["x_rms"] for row in rows] == [0.0, 0.25, 0.5]
    assert (await say(*asked, *since, "--width", "0.5"))[0]["x_rms"] == 7.5
    assert await say(*asked, *since, "--kind", "session") == []
    assert len(await say(*asked, *since, "--to", str(T0 + SECOND))) == 1
    assert list((await say(*asked, *since, "--features", "y_min"))[0]) == ["t", "end", "session", "count", "y_min"]
    told = (await say(*asked, *since, plain=True)).splitlines()
    assert told[0].split() == ["from", "readings", "x_rms", "y_min"]
    assert told[2].split() == ["2023-11-14", "22:13:21Z", "100", "0.25", "0.5"]
    assert "only the first 2" in await say(*asked, *since, "--limit", "2", plain=True)


@pytest.mark.parametrize("words", [("anomalies", "--since", "soon"), ("anomalies", "--severity", "bad"), ("windows",)])
async def test_what_is_not_understood_ends_with_2(say: Say, words: tuple[str, ...]) -> None:
    await say(*words, code=2)


def test_so_long_ago() -> None:
    now = time.time_ns()
    for text, seconds in (("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800)):
        assert abs(int(_times.since(text) or 0) - (now - seconds * SECOND)) < 10 * SECOND
    assert _times.since(None) is None
