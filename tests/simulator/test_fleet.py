"""A fleet against a real gateway and real consumers: what it says, what it wrote down, what it does when refused."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from simulator import ledger as ledgers
from simulator.fleet import FleetConfig, Progress, run
from simulator.ledger import End
from simulator.verify import verify
from telemetry.errors import Misconfigured, Unauthorised
from tests.simulator.running_station import Running, station


def config(running: Running, tmp_path: Path, **changes: object) -> FleetConfig:
    base = FleetConfig(running.url, tmp_path / "ledger", devices=4, seconds=5, speed=0, key=running.key, drain_s=20)
    return replace(base, **changes)  # type: ignore[arg-type]


async def test_everything_is_sent_written_down_and_found_again(tmp_path: Path) -> None:
    looks: list[Progress] = []
    async with station(tmp_path / "data", engine="embedded") as running:
        result = await run(config(running, tmp_path), on_progress=looks.append, progress_every_s=0.02)
        report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=20)
    tally = result.tally
    assert tally.sent == tally.generated == 4 * (5 * 601 + 1)
    assert (tally.unsent, tally.set_aside, tally.rejected, tally.alarm) == (0, 0, 0, "")
    assert looks[-1].sent == tally.sent
    assert looks[-1].pending == 0
    assert result.to_dict()["devices"] == 4

    handed = ledgers.read(tmp_path / "ledger")
    assert len(handed) == 20
    assert {h.end for h in handed.values()} == {End.ACKNOWLEDGED}
    assert report.is_clean
    assert (report.sent, report.stored, report.unchecked) == (tally.sent, tally.sent, 0)


async def test_real_time_is_a_message_a_second(tmp_path: Path) -> None:
    async with station(tmp_path / "data") as running:
        result = await run(config(running, tmp_path, seconds=3, speed=2.0))
    assert 1.0 < result.wall_s < 4.0
    assert result.tally.batches == 12


async def test_until_it_is_stopped(tmp_path: Path) -> None:
    stop = asyncio.Event()

    def look(progress: Progress) -> None:
        if progress.sent > 3000:
            stop.set()

    async with station(tmp_path / "data") as running:
        result = await run(config(running, tmp_path, seconds=None, speed=1.0), on_progress=look, stop=stop)
    assert 3000 < result.tally.sent == result.tally.generated


async def test_a_dead_gateway_leaves_all_of_it_unsent_and_bounded(tmp_path: Path) -> None:
    async with station(tmp_path / "data") as running:
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                f"{running.url}/v1/devices",
                json={"device": "one"},
                headers={"authorization": f"Bearer {running.key}"},
            )
        tokens = {"one": answer.json()["token"]}
    dead = config(running, tmp_path, devices=1, tokens=tokens, seconds=50, speed=100, drain_s=0.2, backlog_max=3)
    result = await run(dead)
    handed = ledgers.read(tmp_path / "ledger")
    assert {h.end for h in handed.values()} == {End.UNSENT}
    assert len(handed) <= 5, "one in flight, three waiting, one that waits for room"
    assert result.tally.unsent == result.tally.generated == sum(h.readings for h in handed.values())
    assert result.tally.retries > 0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_gateway_that_went_away_and_came_back_gets_everything(tmp_path: Path) -> None:
    data = tmp_path / "data"
    seen: list[Progress] = []
    async with station(data, engine="embedded") as running:
        port = int(running.url.rpartition(":")[2])
        stop = asyncio.Event()  # it goes on until it has met the outage, however slow the machine
        asked = config(running, tmp_path, devices=3, seconds=None, speed=1.0)
        fleet = asyncio.create_task(run(asked, on_progress=seen.append, progress_every_s=0.02, stop=stop))
        await until(lambda: bool(seen) and seen[-1].sent > 0)
    await until(lambda: seen[-1].retries > 0)
    async with station(data, engine="embedded", port=port) as running:
        stop.set()
        result = await fleet
        report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=20)
    assert result.tally.retries > 0
    assert report.is_clean
    assert report.stored == report.generated == result.tally.sent


async def test_a_revoked_token_holds_the_lane_and_a_refused_batch_is_set_aside(tmp_path: Path) -> None:
    async with station(tmp_path / "data", readings_max=100) as running:
        refused = await run(config(running, tmp_path, devices=2))
        wrong = {"sim-0000": "nonsense", "sim-0001": "nonsense"}
        held = await run(
            config(running, tmp_path, ledger=tmp_path / "held", devices=2, tokens=wrong, drain_s=0.1, seconds=1)
        )
        report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=5)
    assert refused.tally.set_aside == refused.tally.generated > 0
    assert {h.end for h in ledgers.read(tmp_path / "ledger").values()} == {End.SET_ASIDE}
    assert "413" in refused.tally.alarm or "499" in refused.tally.alarm
    assert held.tally.unsent == held.tally.generated > 0
    assert "token" in held.tally.alarm
    assert report.is_clean
    assert report.set_aside == refused.tally.set_aside
    assert report.stored == 0


async def test_devices_that_exist_are_rotated_and_a_wrong_key_is_plain(tmp_path: Path) -> None:
    async with station(tmp_path / "data") as running:
        await run(config(running, tmp_path, devices=2, seconds=1))
        again = await run(config(running, tmp_path, devices=2, seconds=1, dialect="native"))
        with pytest.raises(Unauthorised):
            await run(config(running, tmp_path, key="wrong"))
    assert again.tally.sent > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"dialect": "morse"},
        {"behaviours": ("swim",)},
        {"behaviours": ()},
        {"devices": 0},
        {"speed": -1},
        {"seconds": None, "speed": 0},
        {"key": None},
        {"tokens": {"a": "b"}},
        {"url": "localhost:80"},
    ],
)
async def test_a_wrong_configuration_says_so(tmp_path: Path, changes: dict[str, object]) -> None:
    base = FleetConfig("http://127.0.0.1:1", tmp_path / "ledger", key="k", tokens={str(n): "t" for n in range(20)})
    with pytest.raises(Misconfigured):
        await run(replace(base, **{"tokens": None, **changes} if "key" in changes else changes))  # type: ignore[arg-type]
