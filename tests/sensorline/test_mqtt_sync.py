"""Accounts at a real Mosquitto: what a token may do, when it begins, overlaps and ends; sync mends the rest."""

import asyncio
import json
import logging
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from gateway import mqtt_accounts as live
from sensorline import mqtt_sync
from sensorline.mqtt_sync import Done, SyncFailed
from telemetry import metrics, mqtt
from telemetry import mqtt_accounts as accounts
from telemetry.errors import SensorlineError
from tests.sensorline.broker_world import connected, device, gets_in, world

REVOKED_WITHIN_S = 1.0


async def test_a_device_may_publish_as_itself_and_read_its_own_receipts_and_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        own, other = await w.pen.enrol("a.b"), await w.pen.enrol("c")
        await w.synced()
        async with device(w.broker.url, own) as one, device(w.broker.url, other) as two:
            for topic in ("telemetry/a.b/batches", "sensor-logger/a.b"):
                assert await one.may_publish(topic), topic
                assert not await two.may_publish(topic), topic
            for topic in ("telemetry/a.b/receipts", "telemetry/c/receipts", "telemetry/a/batches", "x", "$SYS/x"):
                assert not await one.may_publish(topic), topic
            assert await one.may_subscribe("telemetry/a.b/receipts")
            foreign = ["telemetry/a.b/receipts", "telemetry/+/receipts", "telemetry/#", "#", "+/+/+", "$SYS/#"]
            foreign += ["$share/g/telemetry/a.b/receipts", "telemetry/a.b/batches", "$CONTROL/#", "telemetry/c/#"]
            for topics in foreign:
                assert not await two.may_subscribe(topics), topics
            async with w.control() as admin:
                await admin.ask([{"command": "createRole", "rolename": "r", "acls": accounts.gateway_acls()}])
                gateway = {"username": "g", "password": "g", "roles": [{"rolename": "r"}]}
                await admin.ask([{"command": "createClient", **gateway}])
            async with connected(w.broker.url, "g", "g") as g:
                for topics in mqtt.shared("gateways"):
                    assert await g.may_subscribe(topics), topics
                assert not await g.may_subscribe("$share/gateways/#")
                assert await one.may_publish("telemetry/a.b/batches")
                async with asyncio.timeout(5):
                    while not g.came:
                        await asyncio.sleep(0.01)
                    assert await g.may_publish("telemetry/a.b/receipts")
                    while not one.came:
                        await asyncio.sleep(0.01)
            assert [m.topic for m in one.came] == ["telemetry/a.b/receipts"]
            assert two.came == []


async def test_a_token_gets_in_at_once_and_is_put_out_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        issued = await w.pen.enrol("pi")
        async with device(w.broker.url, issued) as client:
            began_s = time.monotonic()
            await w.pen.revoke("pi")
            async with asyncio.timeout(5):
                await client.link.ended()
            took_s = time.monotonic() - began_s
        print(f"revoked and disconnected in {took_s * 1000:.0f} ms")
        assert took_s < REVOKED_WITHIN_S
        assert not await gets_in(w.broker.url, issued)
        deleted = await w.pen.redeem((await w.pen.offer("pi")).code)
        async with device(w.broker.url, deleted) as client:
            await w.pen.delete("pi")
            async with asyncio.timeout(5):
                await client.link.ended()


async def test_a_rotation_overlaps_and_then_the_old_token_ends(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        old = await w.pen.enrol("pi")
        new = await w.pen.rotate("pi", overlap_s=1.0)
        async with device(w.broker.url, old) as first, device(w.broker.url, new) as second:
            ended = asyncio.create_task(first.link.ended())
            async with asyncio.timeout(10):
                while not ended.done():
                    await w.synced()
                    await asyncio.wait({ended}, timeout=0.1)
            assert await second.may_publish("telemetry/pi/batches")
        assert not await gets_in(w.broker.url, old)
        at_once = await w.pen.rotate("pi", overlap_s=0)
        assert not await gets_in(w.broker.url, new)
        assert await gets_in(w.broker.url, at_once)


async def test_an_account_of_which_only_the_verifier_is_left(tmp_path: Path) -> None:
    """The gateway cannot tell the broker; the account comes through the file, once the broker is started again."""
    async with world(tmp_path, tells=False) as w:
        issued = await w.pen.enrol("pi")
        assert not await gets_in(w.broker.url, issued)
        assert (await w.synced()).waiting == 1  # nothing to write to
        done = await w.synced(file=w.file)
        assert (done.waiting, done.file_written, done.restarted) == (1, True, False)
        assert stat.S_IMODE(w.file.stat().st_mode) == 0o600
        assert await w.synced(file=w.file) == Done(waiting=1)  # written already
        assert not await gets_in(w.broker.url, issued)
        w.broker.stop()
        w.broker.start()
        assert await gets_in(w.broker.url, issued)
        wrong = issued._replace(token=issued.token[:-1] + ("A" if issued.token[-1] != "A" else "B"))
        with pytest.raises(SensorlineError):
            async with connected(w.broker.url, f"pi.{issued.token_id}", wrong.token):
                pass
        assert (await w.synced(file=w.file)).is_nothing
        async with device(w.broker.url, issued) as client:
            assert await client.may_publish("telemetry/pi/batches")
            assert await client.may_subscribe("telemetry/pi/receipts")


async def test_what_waits_in_the_file_and_is_revoked_does_not_come_with_the_next_start(tmp_path: Path) -> None:
    async with world(tmp_path, tells=False) as w:
        bad, good = await w.pen.enrol("pi"), await w.pen.rotate("pi", overlap_s=60)
        assert (await w.synced(file=w.file)).waiting == 2
        await w.pen.revoke("pi", token_id=bad.token_id)
        assert await w.synced(file=w.file) == Done(waiting=1, file_written=True)  # the broker itself had nothing to do
        w.broker.stop()
        w.broker.start()
        assert await gets_in(w.broker.url, good)
        assert not await gets_in(w.broker.url, bad)


async def test_the_restart_command_loads_them_and_is_not_run_again_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, tells=False) as w:
        runs: list[Any] = []

        def restart(command: Any) -> None:
            runs.append(command)
            w.broker.stop()
            w.broker.start()

        monkeypatch.setattr(mqtt_sync, "_run", restart)
        issued = await w.pen.enrol("pi")
        done = await w.synced(file=w.file, restart="restart it")
        assert (done.loaded, done.waiting, done.restarted, runs) == (1, 0, True, [["restart", "it"]])
        assert await gets_in(w.broker.url, issued)
        assert (await w.synced(file=w.file, restart="restart it")).is_nothing
        await w.pen.enrol("other")
        wrong_file = tmp_path / "another.json"
        wrong_file.write_text(w.file.read_text())
        sync = w.sync(file=wrong_file, restart="restart it")
        with pytest.raises(SyncFailed, match="plugin_opt_config_file"):
            await sync.once()
        assert (await sync.once()).waiting == 1
        assert len(runs) == 2


async def test_a_second_sync_changes_nothing_and_others_accounts_stay(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        async with w.control() as admin:
            await admin.ask(
                [
                    {"command": "createRole", "rolename": "devices"},
                    {"command": "createClient", "username": "bridge", "password": "b", "roles": []},
                    {"command": "createClient", "username": "pi.0123456789ab", "password": "b", "roles": []},
                ]
            )
        others = {"admin", "bridge", "pi.0123456789ab"}
        issued = await w.pen.enrol("pi")
        assert (await w.synced(file=w.file)).roles == 1  # everything is denied by default from now on
        assert (await w.synced(file=w.file)).is_nothing
        assert await w.usernames() == others | {f"pi.{issued.token_id}"}
        async with w.control() as admin:  # somebody meddles
            await admin.ask([{"command": "addRoleACL", "rolename": "device.pi", "acltype": "publishClientSend",
                              "topic": "#", "allow": True},
                             {"command": "disableClient", "username": f"pi.{issued.token_id}"}])  # fmt: skip
        assert await w.synced(file=w.file) == Done(changed=1, roles=1)
        assert (await w.synced(file=w.file)).is_nothing
        async with device(w.broker.url, issued) as client:
            assert not await client.may_publish("telemetry/other/batches")
        await w.pen.delete("pi")
        assert (await w.synced(file=w.file)).roles == 1  # the device's; its account went at the deletion
        assert await w.usernames() == others
        async with w.control() as admin:
            assert {role["rolename"] for role in await admin.roles()} == {"admin", "devices"}
        assert {c["username"] for c in json.loads(w.file.read_text())["clients"]} == others


async def test_a_broker_that_is_away_fails_no_enrolment_and_sync_mends_a_missed_revocation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:
        issued = await w.pen.enrol("pi")
        failures = metrics.mqtt_accounts_failed.labels("ended")._value
        before = failures.get()
        monkeypatch.setattr(live, "WAIT_S", 0.3)
        w.broker.pause()
        began_s = time.monotonic()
        assert await w.pen.revoke("pi") == 1
        assert time.monotonic() - began_s < 5
        assert failures.get() == before + 1
        w.broker.stop()
        missed = await w.pen.enrol("other")
        w.broker.start()
        assert await gets_in(w.broker.url, issued)
        async with device(w.broker.url, issued) as client:
            done = await w.synced(file=w.file)
            async with asyncio.timeout(5):
                await client.link.ended()
        assert (done.deleted, done.waiting) == (1, 1)
        assert not await gets_in(w.broker.url, issued)
        w.broker.stop()
        w.broker.start()
        assert await gets_in(w.broker.url, missed)


async def test_no_token_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with world(tmp_path) as w:
        first = await w.pen.enrol("pi")
        second = await w.pen.rotate("pi", overlap_s=60)
        await w.synced(file=w.file)
        async with device(w.broker.url, second):
            pass
        w.broker.stop()
        third = await w.pen.rotate("pi", overlap_s=60)
        with pytest.raises(SensorlineError) as away:
            await w.synced()
        for token in (first.token, second.token, third.token, w.broker.admin_password):
            for text in (caplog.text, w.broker.log, w.file.read_text(), away.value.message):
                assert token not in text


async def test_an_administrator_who_is_not_let_in_is_said_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.admin_password.write_text("wrong")
        with pytest.raises(SensorlineError, match="refuses"):
            await w.synced()
