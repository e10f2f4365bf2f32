"""`edge check` over MQTT: a real broker, a real listener behind it, and what is said when either is missing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensorline import edge_check, edge_file
from sensorline.edge_file import Plan
from sensorline.findings import Finding
from tests.faults.mosquitto import Mosquitto, mosquitto
from tests.gateway.gateway_world import stored
from tests.gateway.mqtt_world import listening


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


async def connection(folder: Path, url: str) -> Finding:
    """What the check says of the way there."""
    edge_file.write(Plan("pi", url), folder / "edge.toml")
    (folder / "edge.token").write_text("sl_of_a_test")
    (folder / "edge.token").chmod(0o600)
    async with asyncio.timeout(30):
        found = [f async for f in edge_check.examine(folder / "edge.toml")]
    return next(f for f in found if f.check == "connection")


async def test_the_probe_goes_to_the_gateway_and_back_and_stores_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    async with listening(broker.url) as (world, _):
        await world.device("pi")
        finding = await connection(tmp_path, broker.url)
        assert finding.level == "ok", finding
        assert await stored(world.log) == []


async def test_a_broker_without_a_gateway_behind_it_is_not_well(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_check, "ANSWER_WAIT_S", 2.0)
    finding = await connection(tmp_path, broker.url)
    assert (finding.level, "is the gateway running" in finding.mend) == ("error", True)
