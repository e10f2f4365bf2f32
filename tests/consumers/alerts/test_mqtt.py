"""An alert is published where its device's are, and a broker that refuses is tried again."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from consumers.alerting import Alert, Kind, alert
from consumers.alerts import open_channel
from telemetry.errors import Misconfigured, Retryable
from telemetry.mqtt import parse_url
from telemetry.mqtt_connection import Arrived, Options, Room
from telemetry.mqtt_link import open_link
from tests.consumers.alerts.receivers import SECRET, one, secret_file
from tests.faults.mosquitto import Mosquitto, mosquitto
from tests.gateway.gateway_world import eventually


@contextlib.asynccontextmanager
async def listening(broker: Mosquitto, topic: str) -> AsyncIterator[list[Arrived]]:
    got: list[Arrived] = []
    link = await open_link(
        Options(parse_url(broker.url), f"reader-{len(topic)}"), got.append, room=Room({0: 100, 1: 100})
    )
    try:
        await link.subscribe([topic])
        yield got
    finally:
        await link.close(0.0)


@pytest.mark.parametrize("version", [5, 3])
async def test_who_listens_to_a_device_hears_of_it_alone(tmp_path: Path, version: int) -> None:
    several: Alert = alert(Kind.MORE, "", (), more={"fall": 5})
    with mosquitto(tmp_path) as broker:
        channel = open_channel("mqtt", {"url": broker.url, "version": version})
        async with listening(broker, "sensorline/alerts/car-7") as car, listening(broker, "#") as everything:
            for told in (one("pi"), one("car-7"), several):
                await channel.send(told)
            await eventually(lambda: len(everything) == 3 and car)
        assert [orjson.loads(a.payload)["device"] for a in car] == ["car-7"]
        assert [a.topic for a in everything] == [
            "sensorline/alerts/pi",
            "sensorline/alerts/car-7",
            "sensorline/alerts",
        ]
        assert {a.qos for a in car} == {1}
        assert orjson.loads(car[0].payload)["key"] == one("car-7").key
        assert [a.said.get("idempotency-key") for a in car] == [one("car-7").key if version == 5 else None]


async def test_a_refused_login_is_tried_again_and_says_no_secret(tmp_path: Path) -> None:
    with mosquitto(tmp_path, dynsec=True) as broker:
        account = {"username": "me", "password_file": secret_file(tmp_path)}
        with pytest.raises(Retryable) as failed:
            await open_channel("mqtt", {"url": broker.url, **account}).send(one())
        assert SECRET not in failed.value.message
        (tmp_path / "admin").write_text(broker.admin_password)
        account = {"username": broker.admin, "password_file": str(tmp_path / "admin")}
        with pytest.raises(Retryable, match=r"0x87"):  # the account may log in, and not publish there
            await open_channel("mqtt", {"url": broker.url, **account}).send(one())


@pytest.mark.parametrize("changed", [{"version": 4}, {"url": "http://x"}, {"url": "mqtt://me:word@x"}])
def test_settings_that_cannot_hold_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(Misconfigured):
        open_channel("mqtt", {"url": "mqtt://localhost", **changed})
