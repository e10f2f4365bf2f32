"""`mqtt init` makes a broker that the station, a device and `mqtt sync` work with, from nothing but its files."""

import asyncio
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sensorline import mqtt_init, mqtt_sync
from sensorline.mqtt_sync import SyncFailed
from sensorline.servers.ports import free_port
from telemetry.enrolment import Issued
from telemetry.errors import Misconfigured
from tests.faults.mosquitto import programs
from tests.gateway.gateway_world import World
from tests.gateway.running import running as gateway_running
from tests.sensorline.broker_world import device, gets_in
from tests.sensorline.program import invoke, running, up


@contextmanager
def started(configuration: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The broker of a configuration as it was written (as root it would give up its rights, and the test's folder)."""
    text = configuration.read_text()
    if os.geteuid() == 0 and not text.startswith("user root"):
        configuration.write_text(f"user root\n{text}")
    process = subprocess.Popen([str(programs()), "-c", str(configuration)], stderr=subprocess.DEVNULL)
    ends_s = time.monotonic() + 10
    while not _answers(text):
        assert process.poll() is None
        assert time.monotonic() < ends_s
        time.sleep(0.02)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def _answers(configuration: str) -> bool:
    (port,) = re.findall(r"^listener (\d+) 127", configuration, re.M)
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def test_files_are_private_and_nothing_is_overwritten(tmp_path: Path) -> None:
    plugin = tmp_path / mqtt_init.PLUGIN
    made = mqtt_init.init(tmp_path / "m", plugin=plugin)
    secrets = {(made.folder / f"{name}.password").read_text().strip() for name in ("gateway", "admin")}
    assert len(secrets) == 2
    assert all(len(secret) > 40 for secret in secrets)
    for file in made.folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        if not file.name.endswith(".password"):
            assert not any(secret in file.read_text() for secret in secrets), file
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    text = made.configuration.read_text()
    assert "listener 1883 127.0.0.1" in text
    assert "allow_anonymous false" in text
    with pytest.raises(Misconfigured, match="already"):
        mqtt_init.init(tmp_path / "m", plugin=plugin)
    again = mqtt_init.init(tmp_path / "n", plugin=plugin)
    assert (again.folder / "admin.password").read_text().strip() not in secrets


def test_a_station_a_device_and_sync_at_the_broker_that_init_made(tmp_path: Path) -> None:
    programs()
    port = free_port()
    (made,) = invoke(tmp_path, "mqtt", "init", "--port", str(port), "--folder", "broker")
    sets = [f"gateway.mqtt.{n}={made[n]}" for n in made if n not in ("configuration", "file")]
    options = [word for text in sets for word in ("--set", text)]
    with started(Path(made["configuration"])), up(tmp_path, "data", *options) as station:
        asking = ["--url", station.url, "--data-dir", "data"]
        (code,) = invoke(tmp_path, "device", "code", "a.b", *asking)
        invoke(tmp_path, "edge", "enroll", station.url, code["code"])
        token = (tmp_path / "edge.token").read_text().strip()
        (listed,) = invoke(tmp_path, "device", "list", *asking)
        issued = Issued("a.b", token, listed["tokens"][0]["id"])
        sync = ["mqtt", "sync", "--file", made["file"], *asking, *options]
        (done,) = invoke(tmp_path, *sync)
        assert not any(done.values()), done
        put_out = asyncio.run(_use_and_revoke(made["url"], issued, tmp_path, asking))
        assert put_out
        (done,) = invoke(tmp_path, *sync)
        assert (done["deleted"], done["roles"]) == (0, 1)
        assert token not in station.log.read_text()


async def _use_and_revoke(url: str, issued: Issued, folder: Path, asking: list[Any]) -> bool:
    async with device(url, issued) as client:
        assert await client.may_subscribe("telemetry/a.b/receipts")
        assert await client.may_publish("telemetry/a.b/batches")
        assert not await client.may_publish("telemetry/other/batches")
        async with asyncio.timeout(10):
            while not client.came:  # the gateway reads it and says that it is no batch
                await asyncio.sleep(0.01)
        assert [m.topic for m in client.came] == ["telemetry/a.b/receipts"]
        await asyncio.to_thread(invoke, folder, "device", "revoke", "a.b", *asking)
        async with asyncio.timeout(5):
            await client.link.ended()
    return not await gets_in(url, issued)


async def _with_admin(world: World) -> None:
    world.admin = await world.services.enrolment.add_operator("boss", "admin")


def test_watch_ends_what_was_revoked_while_nobody_told_the_broker(tmp_path: Path) -> None:
    """A gateway that does not manage the broker; `mqtt sync --watch` beside it does."""
    programs()
    (made,) = invoke(tmp_path, "mqtt", "init", "--port", str(free_port()), "--folder", "broker")
    options = [w for n in made if n not in ("configuration", "file") for w in ("--set", f"gateway.mqtt.{n}={made[n]}")]
    configuration = Path(made["configuration"])
    with gateway_running(_with_admin) as station:
        asking = ["--url", station.url, "--key", station.world.admin]
        issued = station.run(station.world.services.enrolment.enrol("pi"))
        with started(configuration):
            (done,) = invoke(tmp_path, "mqtt", "sync", "--file", made["file"], *asking, *options)
            assert (done["waiting"], done["file_written"]) == (1, True)
        with started(configuration):
            with running(tmp_path, "mqtt", "sync", "--watch", "--every-s", "0.5", *asking, *options) as watching:
                took_s = asyncio.run(_until_put_out(made["url"], issued, tmp_path, asking))
                assert watching.ready["deleted"] == 1
            print(f"put out {took_s:.2f} s after the revocation")
            assert took_s < 5
            assert issued.token not in watching.log.read_text()


async def _until_put_out(url: str, issued: Issued, folder: Path, asking: list[Any]) -> float:
    async with device(url, issued) as client:
        await asyncio.to_thread(invoke, folder, "device", "revoke", "pi", *asking)
        began_s = time.monotonic()
        async with asyncio.timeout(20):
            await client.link.ended()
        return time.monotonic() - began_s


def test_a_restart_command_that_fails_says_so() -> None:
    with pytest.raises(SyncFailed, match="broken"):
        mqtt_sync._run([sys.executable, "-c", "import sys; sys.exit('broken')"])
    with pytest.raises(SyncFailed):
        mqtt_sync._run(["/no/such/program"])
