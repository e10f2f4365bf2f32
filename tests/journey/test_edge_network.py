"""What lies between an edge and its gateway goes wrong: replies are lost behind the write, a captive portal answers in
the gateway's place, a gateway hangs while the agent must end, and a phone sends all twice.  Four zeros each time."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.spooled import Lane
from simulator.ledger import End, Ledger
from telemetry import mqtt
from tests.faults.mosquitto import Mosquitto, mosquitto
from tests.faults.tcp_proxy import TcpProxy, reset
from tests.gateway import mqtt_world
from tests.journey import faults
from tests.journey.edge_site import (
    Recording,
    Station,
    acknowledged,
    aside,
    assert_replayed_once,
    edge,
    four_zeros,
    readings,
    station,
    verified,
)
from tests.journey.faults import person, post
from tests.sensorline.program import invoke

pytestmark = [pytest.mark.timeout(180)]

LOST_REPLIES = 6
MESSAGES = 40
OVER_MQTT = f'sensorline_requests_total{{route="mqtt:sensor-logger",status="200"}} {MESSAGES}.0'
LOGIN_PAGE = b"<html><title>Welcome to our hotel</title>Please log in.</html>"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Station]:
    with station(tmp_path_factory.mktemp("site"), f"gateway.mqtt.url={broker.url}") as running_:
        yield running_


def duplicates(status: dict[str, Any]) -> int:
    """Batches of which a receipt said that they were there already."""
    return sum(status["lanes"][lane]["duplicates"] for lane in Lane)


async def test_replies_that_are_lost_behind_the_write_are_sent_twice_and_stored_once(
    running: Station, tmp_path: Path
) -> None:
    recording = Recording.write(tmp_path / "walk.csv", 3_000)
    async with TcpProxy(running.port).run() as proxy:
        proxy.drop_replies(LOST_REPLIES, faults.is_ingest)
        url = f"http://127.0.0.1:{proxy.port}"
        with edge(running, tmp_path, device="pi-lost", recording=recording, speed=20, url=url) as pi:
            await aside(pi.start)
            last = await aside(pi.delivered)
            await aside(four_zeros, running, pi)
            await aside(assert_replayed_once, running, pi.device, recording)
    assert proxy.dropped == LOST_REPLIES
    assert sum(lane["tries_failed"] for lane in last["lanes"].values()) >= LOST_REPLIES
    assert 0 < duplicates(last) <= LOST_REPLIES  # one may have lost its reply more than once


@asynccontextmanager
async def captive_portal() -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers 200 with a page to everything; its port, and the heads of what it was sent."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            length = f"content-length: {len(LOGIN_PAGE)}\r\n".encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n" + length)
            writer.write(b"\r\n" + LOGIN_PAGE)
            await writer.drain()
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            reset(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()


async def test_a_captive_portal_frees_nothing(running: Station, tmp_path: Path) -> None:
    recording = Recording.write(tmp_path / "walk.csv", 2_000)
    async with captive_portal() as (portal, seen), TcpProxy(portal).run() as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        with edge(running, tmp_path, device="pi-hotel", recording=recording, speed=20, url=url) as pi:
            await aside(pi.start)

            def is_waiting(status: dict[str, Any]) -> bool:
                return status["spool"]["readings"] >= len(recording) and len(seen) >= 4

            waiting = await aside(pi.until, is_waiting)
            assert "captive portal" in waiting["last_error"]["text"]
            assert acknowledged(waiting) == 0
            assert readings(pi.handed(), End.ACKNOWLEDGED) == 0
            proxy.target_port = running.port
            await aside(pi.delivered)
            await aside(four_zeros, running, pi)
            await aside(assert_replayed_once, running, pi.device, recording)
    assert all(head.startswith(b"POST /v1/batches ") for head in seen)


@pytest.mark.crash
def test_it_ends_in_time_while_the_gateway_hangs_and_all_is_found_later(running: Station, tmp_path: Path) -> None:
    recording = Recording.write(tmp_path / "walk.csv", 4_000)
    gateway = running.process.popen
    assert gateway is not None
    with edge(running, tmp_path, device="pi-hangs", recording=recording, speed=10) as pi:
        pi.settings["adapters"]["http"]["deadline_s"] = 30.0
        pi.start()
        pi.acknowledged(500)
        gateway.send_signal(signal.SIGSTOP)
        try:
            held = acknowledged(pi.until(lambda status: status["spool"]["batches"] > 5))
            began_s = time.monotonic()
            last = pi.stop()
            took_s = time.monotonic() - began_s
        finally:
            gateway.send_signal(signal.SIGCONT)
        print(f"ended {took_s:.2f} s after SIGTERM")
        assert took_s < 10
        assert acknowledged(last) <= held + 100
        assert readings(pi.handed(), End.UNSENT) == last["spool"]["readings"] > 0
        pi.start()
        pi.delivered()
        assert four_zeros(running, pi)["unsent"] == 0
        assert_replayed_once(running, pi.device, recording)


async def test_a_phone_that_sends_each_message_over_both_transports_is_stored_once(
    running: Station, broker: Mosquitto, tmp_path: Path
) -> None:
    """A phone over HTTP has an answer, over MQTT none: the ledger goes by the answer, the receipts by nothing."""
    sent = faults.messages("phone", MESSAGES)
    ledger_file = tmp_path / "phone.jsonl"
    (issued,) = await aside(invoke, tmp_path, "device", "add", "phone", "--no-qr", *running.where)
    async with (
        person(running.url, running.key) as operator,
        mqtt_world.client(broker.port) as published,
        Ledger(ledger_file) as ledger,
    ):
        for n, spoken in enumerate(sent):
            await ledger.hand_over(spoken.expected.id, spoken.content_hash, spoken.expected.readings)
            if n % 2:
                published.publish(mqtt.sensor_logger_topic("phone"), spoken.body)
            answer = await post(operator.client, spoken, issued["token"])
            assert answer.status_code == 200, answer.text
            ledger.end(spoken.expected.id, End.ACKNOWLEDGED)
            if not n % 2:
                published.publish(mqtt.sensor_logger_topic("phone"), spoken.body)
        async with asyncio.timeout(faults.WAIT_S):
            while OVER_MQTT not in (await operator.client.get("/metrics")).text:
                await asyncio.sleep(0.05)
    report = await aside(verified, running, ledger_file)
    assert report["stored"] == report["sent"] == sum(s.expected.readings for s in sent)
