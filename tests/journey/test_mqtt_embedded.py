"""The station at a real Mosquitto: killed with -9 around the log's append, both transports at once, a frozen broker."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.transports.mqtt import Config, MqttTransport
from simulator.speak import Spoken
from telemetry import mqtt
from tests.faults.mosquitto import Mosquitto, mosquitto
from tests.journey import faults
from tests.journey.faults import Person, person, post
from tests.journey.processes import Process, free_port

pytestmark = [pytest.mark.crash]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def station(tmp_path: Path, broker: Mosquitto) -> Iterator[Process]:
    port = free_port()
    process = Process(
        ["up", "--data-dir", str(tmp_path / "data"), "--port", str(port), "--set", f"gateway.mqtt.url={broker.url}"],
        f"http://127.0.0.1:{port}/readyz",
        tmp_path / "up.log",
    )
    try:
        yield process
    finally:
        if process.popen and process.popen.poll() is None:
            process.popen.kill()


def operator_of(station: Process, tmp_path: Path) -> "faults.AbstractAsyncContextManager[Person]":
    key = (tmp_path / "data" / "operator.key").read_text().strip()
    return person(station.ready_url.removesuffix("/readyz"), key)


def transport(broker: Mosquitto, token: str) -> MqttTransport:
    """A Pi's, which loses patience soon."""
    config = Config(url=broker.url, deadline_s=2.0)
    return MqttTransport(config, mqtt.parse_url(broker.url), device="pi", token=lambda: token)


async def deliver(way: MqttTransport, spoken: Spoken) -> None:
    """Send until it is stored."""
    async with asyncio.timeout(60):
        while (await way.send(spoken.body)).status != 200:
            await asyncio.sleep(0.05)


async def test_a_gateway_killed_between_append_and_receipt_stores_the_batch_once(
    station: Process, broker: Mosquitto, tmp_path: Path
) -> None:
    await asyncio.to_thread(station.start, {"gateway.after_append": 2})
    async with operator_of(station, tmp_path) as operator:
        token = await operator.enrol("pi")
    batches = faults.batches("pi", 8)
    way = transport(broker, token)
    rest = iter(batches)
    await deliver(way, next(rest))
    sending = asyncio.create_task(deliver(way, next(rest)))  # is sent again, to the next process
    await asyncio.to_thread(station.wait_killed, 30)
    assert not sending.done(), "acknowledged by a gateway that died before it could have said so"
    await asyncio.to_thread(station.start)
    await sending
    for spoken in rest:
        await deliver(way, spoken)
    await way.close()
    async with operator_of(station, tmp_path) as operator:
        await operator.caught_up()
        assert await operator.hashes("pi") == faults.expected(batches)
        assert (await operator.ask("GET", "/v1/stats"))["readings"] == sum(s.expected.readings for s in batches)


async def test_both_transports_at_once_store_each_batch_once_and_a_frozen_broker_does_not_delay_the_end(
    station: Process, broker: Mosquitto, tmp_path: Path
) -> None:
    await asyncio.to_thread(station.start)
    async with operator_of(station, tmp_path) as operator:
        token = await operator.enrol("pi")
        batches = faults.batches("pi", 30)
        way = transport(broker, token)
        await deliver(way, batches[0])
        for spoken in batches[1:]:
            answer, _ = await asyncio.gather(post(operator.client, spoken, token), deliver(way, spoken))
            assert answer.status_code == 200
        await way.close()
        await operator.caught_up()
        assert await operator.hashes("pi") == faults.expected(batches)
        assert (await operator.ask("GET", "/v1/stats"))["readings"] == sum(s.expected.readings for s in batches)
        broker.pause()
        assert (await operator.client.get("/readyz")).status_code == 200
    assert await asyncio.to_thread(station.stop) < 10
    broker.resume()
