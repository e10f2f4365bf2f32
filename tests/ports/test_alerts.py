"""What every channel promises: it tells, under a stable key; it fails in time, by name, and without a secret."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from consumers import alerts
from sensorline.servers.ports import free_port
from telemetry.errors import Misconfigured, Permanent, Retryable
from telemetry.mqtt import parse_url
from telemetry.mqtt_connection import Arrived, Options, Room
from telemetry.mqtt_link import open_link
from tests.consumers.alerts.receivers import HOST, SECRET, mail_server, one, receiver, secret_file
from tests.faults.mosquitto import mosquitto
from tests.gateway.gateway_world import eventually

WAIT_S = 1.5


@dataclass
class FarEnd:
    """A channel's settings, what the far end was told (key, text) so far, and a way to make it hang."""

    options: dict[str, Any]
    told: Callable[[], list[tuple[str, str]]]
    hang: Callable[[], None]
    elsewhere: dict[str, Any]  # settings that lead where nobody listens


Make = Callable[[Path], AbstractAsyncContextManager[FarEnd]]


@contextlib.asynccontextmanager
async def webhook(folder: Path) -> AsyncIterator[FarEnd]:
    base = {"hosts": [HOST], "networks": [f"{HOST}/32"], "secret_file": secret_file(folder), "wait_s": WAIT_S}
    async with receiver() as far:
        yield FarEnd(
            {"url": f"http://{HOST}:{far.port}/x", **base},
            lambda: [(g.headers["idempotency-key"], orjson.loads(g.body)["text"]) for g in far.got],
            lambda: setattr(far, "hang", True),
            {"url": f"http://{HOST}:{free_port()}/x", **base},
        )


@contextlib.asynccontextmanager
async def email(folder: Path) -> AsyncIterator[FarEnd]:
    base = {"host": HOST, "security": "none", "sender": "s@example.org", "recipients": ["r@example.org"]}
    base["wait_s"] = WAIT_S
    async with mail_server() as far:
        yield FarEnd(
            {"port": far.port, **base},
            lambda: [(m["message-id"].strip("<>").partition("@")[0], m.get_content()) for m in far.mails],
            lambda: setattr(far, "hang", True),
            {"port": free_port(), **base},
        )


@contextlib.asynccontextmanager
async def mqtt(folder: Path) -> AsyncIterator[FarEnd]:
    with mosquitto(folder) as broker:
        got: list[Arrived] = []
        link = await open_link(Options(parse_url(broker.url), "reader"), got.append, room=Room({0: 100, 1: 100}))
        await link.subscribe(["sensorline/alerts/#"])
        base = {"username": "somebody", "password_file": secret_file(folder), "wait_s": WAIT_S}
        try:
            yield FarEnd(
                {"url": broker.url, **base},
                lambda: [(a.said["idempotency-key"], orjson.loads(a.payload)["text"]) for a in got],
                broker.pause,
                {"url": f"mqtt://{HOST}:{free_port()}", **base},
            )
        finally:
            broker.resume()
            await link.close(0.0)


MAKE: dict[str, Make] = {"webhook": webhook, "email": email, "mqtt": mqtt}


@pytest.fixture(params=sorted(MAKE))
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def test_every_channel_is_held_to_this() -> None:
    assert alerts.names() == sorted(MAKE)


async def test_it_tells_whom_what_and_under_which_key(name: str, tmp_path: Path) -> None:
    async with MAKE[name](tmp_path) as far:
        channel, alert = alerts.open_channel(name, far.options), one("car-7")
        await channel.send(alert)
        await eventually(far.told)
        ((key, text),) = far.told()
        assert key == alert.key
        assert "fall 0" in text and "critical" in text and "car-7" in text


async def test_the_same_alert_has_the_same_key_and_another_has_another(name: str, tmp_path: Path) -> None:
    async with MAKE[name](tmp_path) as far:
        channel = alerts.open_channel(name, far.options)
        for alert in (one("a"), one("a"), one("b")):
            await channel.send(alert)
        await eventually(lambda: len(far.told()) == 3)
        first, again, other = (key for key, _ in far.told())
        assert first == again != other


async def test_nobody_there_is_tried_again(name: str, tmp_path: Path) -> None:
    async with MAKE[name](tmp_path) as far:
        with pytest.raises(Retryable):
            await alerts.open_channel(name, far.elsewhere).send(one())


async def test_a_far_end_that_hangs_is_left_in_time(name: str, tmp_path: Path) -> None:
    async with MAKE[name](tmp_path) as far:
        channel = alerts.open_channel(name, far.options)
        far.hang()
        began_s = time.monotonic()
        with pytest.raises(Retryable):
            await channel.send(one())
        assert time.monotonic() - began_s < 6 * WAIT_S


async def test_no_secret_is_in_what_it_says(name: str, tmp_path: Path) -> None:
    async with MAKE[name](tmp_path) as far:
        channel = alerts.open_channel(name, far.elsewhere)
        with pytest.raises((Retryable, Permanent)) as failed:
            await channel.send(one())
        assert SECRET not in f"{failed.value!r} {failed.value.message} {channel.target} {channel!r} {vars(channel)}"


async def test_it_is_opened_under_another_name(name: str, tmp_path: Path) -> None:
    async with MAKE[name](tmp_path) as far:
        assert alerts.open_channel("ops", {"channel": name, **far.options}).target
        with pytest.raises(Misconfigured, match="no adapter"):
            alerts.open_channel("ops", far.options)


async def test_a_setting_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    async with MAKE[name](tmp_path) as far:
        with pytest.raises(Misconfigured, match=rf"alerts\.channels\.{name}\.colour"):
            alerts.open_channel(name, far.options | {"colour": "red"})


@pytest.mark.parametrize(("name", "setting"), [("webhook", "secret_file"), ("mqtt", "password_file")])
async def test_a_secret_that_is_not_there_is_said_at_once(name: str, setting: str, tmp_path: Path) -> None:
    async with MAKE[name](tmp_path) as far:
        with pytest.raises(Misconfigured, match="FileNotFoundError"):
            alerts.open_channel(name, far.options | {setting: str(tmp_path / "nowhere")})
