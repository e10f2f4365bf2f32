"""Channels are listed and tested, and anomalies acknowledged and judged, on the command line."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from sensorline.cli import app
from sensorline.servers.ports import free_port
from tests.consumers.alerts.receivers import HOST, SECRET, mail_server, receiver, secret_file
from tests.gateway.found import anomaly
from tests.simulator.running_station import Running, station


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def said(*words: str, code: int = 0) -> str:
    done = await asyncio.to_thread(CliRunner().invoke, app, list(words))
    assert done.exit_code == code, done.output
    return done.output


def configured(folder: Path, webhook_port: int, mail_port: int) -> None:
    """As a person writes it."""
    (folder / "sensorline.toml").write_text(f"""
[alerts.channels.webhook]
url = "http://{HOST}:{webhook_port}/hook"
hosts = ["{HOST}"]
networks = ["{HOST}/32"]
secret_file = "{secret_file(folder)}"

[alerts.channels.night]
channel = "email"
host = "{HOST}"
port = {mail_port}
security = "none"
sender = "s@example.org"
recipients = ["r@example.org"]
""")


async def test_channels_are_listed_without_a_secret(tmp_path: Path) -> None:
    assert await said("alerts", "list") == "No channels: nobody is told. See alerts.channels.\n"
    configured(tmp_path, 8099, 25)
    listed = [json.loads(line) for line in (await said("alerts", "list", "--json")).splitlines()]
    assert listed == [
        {"channel": "webhook", "kind": "webhook", "target": f"http://{HOST}:8099"},
        {"channel": "night", "kind": "email", "target": "r@example.org"},
    ]
    assert SECRET not in await said("alerts", "list")


async def test_a_test_alert_goes_through_every_channel(tmp_path: Path) -> None:
    async with receiver() as far, mail_server() as post:
        configured(tmp_path, far.port, post.port)
        assert await said("alerts", "test") == "webhook: delivered\nnight: delivered\n"
        assert orjson.loads(far.got[0].body)["kind"] == "test"
        assert "Sensorline can tell you" in post.mails[0]["subject"]
        await said("alerts", "test", "night")
        assert (len(far.got), len(post.mails)) == (1, 2)


async def test_what_cannot_be_told_is_said(tmp_path: Path) -> None:
    assert "there is no channel" in await said("alerts", "test", code=1)
    async with mail_server() as post:
        configured(tmp_path, free_port(), post.port)
        told = (await said("alerts", "test", "--json", code=1)).splitlines()
        webhook, night = (json.loads(line) for line in told)
        assert webhook["delivered"] is False and "ConnectError" in webhook["error"]
        assert night == {"channel": "night", "delivered": True, "error": None}
        assert "there is no channel 'day'" in await said("alerts", "test", "day", code=1)


# --- labels


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with station(tmp_path / "data") as made:
        await made.services.enrolment.enrol("pi")
        await made.engine.store.put_anomalies([anomaly("pi"), anomaly("pi", 5)])
        yield made


async def labels(running: Running, *words: str, code: int = 0) -> Any:
    output = await said("anomalies", *words, "--url", running.url, "--key", running.key, "--json", code=code)
    return [json.loads(line) for line in output.splitlines()] if code == 0 else output


async def test_anomalies_are_acknowledged_and_judged(running: Running) -> None:
    one, other = anomaly("pi").id, anomaly("pi", 5).id
    (judged,) = await labels(running, "label", one, "--verdict", "false", "--note", "dropped")
    assert (judged["verdict"], judged["note"], judged["acknowledged"]) == ("false", "dropped", False)
    seen = await labels(running, "ack", one, other)
    assert [(s["id"], s["acknowledged"], s["verdict"], s["note"]) for s in seen] == [
        (one, True, "false", "dropped"),
        (other, True, None, ""),
    ]
    (shown,) = await labels(running, "show", one)
    assert shown["label"]["verdict"] == "false"
    (withdrawn,) = await labels(running, "label", one, "--no-ack", "--verdict", "none")
    assert (withdrawn["acknowledged"], withdrawn["verdict"], withdrawn["note"]) == (False, None, "dropped")


async def test_what_cannot_be_labelled_is_said(running: Running) -> None:
    assert "no anomaly" in await labels(running, "ack", "0" * 32, code=1)
    await labels(running, "label", anomaly("pi").id, code=2)
