"""The MQTT listener at a real Mosquitto: receipts only for what is in the log, poison, bounds, a log and a broker that
go away, two gateways that share."""

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from telemetry import metrics, mqtt
from telemetry.errors import Misconfigured
from tests.faults.mosquitto import Mosquitto, mosquitto
from tests.gateway.gateway_world import batch, eventually, message, stored
from tests.gateway.mqtt_world import MoodyLog, client, in_log, listening


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One for the tests that do not harm it."""
    with mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


def dropped(reason: str) -> float:
    return metrics.REGISTRY.get_sample_value("sensorline_mqtt_dropped_total", {"reason": reason}) or 0.0


# --- receipts


@pytest.mark.parametrize("pack", [bytes, zstandard.compress, gzip.compress], ids=["plain", "zstd", "gzip"])
async def test_a_batch_is_stored_once_and_receipted_each_time(broker: Mosquitto, pack: Any) -> None:
    async with listening(broker.url) as (world, _), client(broker.port) as sender:
        await world.device("pi")
        body = pack(batch("pi", 3))
        first, second = await sender.ask("pi", body), await sender.ask("pi", body)
        assert first["status"] == "stored" and first["http"] == 200
        assert (first["device"], first["session"], first["seq"], first["readings"]) == ("pi", "s", 3, 2)
        assert not first["duplicate"] and second["duplicate"]
        assert len(await stored(world.log)) == 1


POISON = {
    "no JSON": (b"\x00\xff garbage", 400, "malformed"),
    "a torn frame": (zstandard.compress(b"x" * 500)[:-4], 400, "malformed"),
    "nothing": (b"", 400, "malformed"),
    "a wrong shape": (b'{"v":1,"device":"pi","session":"s","seq":0,"series":[],"more":1}', 422, "invalid"),
    "another device's": (batch("other"), 403, "forbidden"),
    "a bomb": (zstandard.compress(b"0" * 64 * 2**20), 413, "too_large"),
    "too large": (b" " * (256 * 1024 + 1), 413, "too_large"),
}


@pytest.mark.parametrize("name", POISON)
async def test_poison_is_receipted_as_rejected_and_does_not_come_again(broker: Mosquitto, name: str) -> None:
    payload, http, code = POISON[name]
    async with client(broker.port) as sender:
        async with listening(broker.url, in_flight_max=1) as (world, listener):
            await world.device("pi")
            receipt = await sender.ask("pi", payload)
            assert (receipt["status"], receipt["http"], receipt["code"]) == ("rejected", http, code)
            # with one place in flight, this one is only delivered if the broker holds the poison for acknowledged
            assert (await sender.ask("pi", batch("pi", 9)))["status"] == "stored"
            await eventually(lambda: listener.in_hand == 0)
            assert [e.headers["seq"] for e in await stored(world.log)] == ["9"]
        assert len(sender.receipts(payload)) == 1


async def test_same_identity_with_other_content_is_a_conflict(broker: Mosquitto) -> None:
    async with listening(broker.url) as (world, _), client(broker.port) as sender:
        await world.device("pi")
        await sender.ask("pi", batch("pi", 0, x=1.0))
        receipt = await sender.ask("pi", batch("pi", 0, x=2.0))
        assert (receipt["status"], receipt["http"], receipt["code"]) == ("rejected", 409, "conflict")


async def test_a_device_that_may_no_longer_send_is_held_not_emptied(broker: Mosquitto) -> None:
    async with listening(broker.url) as (world, _), client(broker.port) as sender:
        assert (await sender.ask("nobody", batch("nobody")))["http"] == 401
        await world.device("pi")
        assert (await sender.ask("pi", batch("pi", 0)))["http"] == 200
        await world.services.enrolment.revoke("pi")
        assert (await sender.ask("pi", batch("pi", 1)))["http"] == 401
        await world.services.enrolment.rotate("pi", overlap_s=0)
        assert (await sender.ask("pi", batch("pi", 2)))["http"] == 200
        await world.services.enrolment.delete("pi")
        assert (await sender.ask("pi", batch("pi", 3)))["http"] == 401


async def test_a_log_that_is_away_is_a_retry_and_the_same_message_is_stored_later(broker: Mosquitto) -> None:
    log = MoodyLog()
    async with listening(broker.url, log=log) as (world, _), client(broker.port) as sender:
        await world.device("pi")
        log.fails = 1
        receipt = await sender.ask("pi", batch("pi"))
        assert (receipt["status"], receipt["http"], receipt["code"]) == ("retry", 503, "log_unavailable")
        assert receipt["retry_after_s"] == 0.25
        assert (await sender.ask("pi", batch("pi")))["duplicate"] is False
        assert len(await stored(log)) == 1


async def test_the_receipt_and_the_acknowledgement_wait_for_the_log(broker: Mosquitto) -> None:
    log = MoodyLog()
    async with listening(broker.url, log=log, in_flight_max=1) as (world, _), client(broker.port) as sender:
        await world.device("pi")
        log.flowing.clear()
        for seq in range(3):
            sender.publish(mqtt.batches_topic("pi"), batch("pi", seq))
        await eventually(lambda: log.at_once == 1)
        await eventually(lambda: len(sender.acked) == 3)  # the broker's word, which is worth nothing
        assert sender.came == []
        log.flowing.set()
        await eventually(lambda: len(sender.came) == 3)
        assert log.at_once_most == 1, "the broker sent a second before the first was acknowledged"


async def test_at_most_in_flight_max_messages_are_in_hand(broker: Mosquitto) -> None:
    log = MoodyLog()
    async with listening(broker.url, log=log, in_flight_max=5) as (world, listener), client(broker.port) as sender:
        await world.device("pi")
        log.flowing.clear()
        for seq in range(40):
            sender.publish(mqtt.batches_topic("pi"), batch("pi", seq))
        await eventually(lambda: len(sender.acked) == 40)
        await eventually(lambda: log.at_once == 5)
        log.flowing.set()
        await eventually(lambda: len(sender.came) == 40)
        await eventually(lambda: listener.in_hand == 0)
        assert log.at_once_most == 5
        assert len(await stored(log)) == 40


async def test_what_finds_no_room_is_dropped_and_never_stops_the_rest(broker: Mosquitto) -> None:
    log = MoodyLog()
    tight = {"in_flight_max": 5, "waiting_max": 1}  # Mosquitto 2.0.11 sends more than it was told, others may too
    async with listening(broker.url, log=log, **tight) as (world, listener), client(broker.port) as sender:
        await world.device("pi")
        before = dropped("overflow")
        log.flowing.clear()
        for seq in range(40):
            sender.publish(mqtt.batches_topic("pi"), batch("pi", seq))
        await eventually(lambda: len(sender.acked) == 40)
        log.flowing.set()
        await eventually(lambda: len(sender.came) + dropped("overflow") - before == 40)  # none is on its way any more
        await eventually(lambda: log.at_once == 0 and listener.in_hand == 0)
        for seq in range(40):  # as an edge does that heard no receipt
            assert (await sender.ask("pi", batch("pi", seq)))["status"] == "stored"
        assert len(await stored(log)) == 40


async def test_who_sends_too_much_is_told_to_wait(broker: Mosquitto) -> None:
    limits = {"requests_per_s": 1.0, "requests_burst": 1}
    async with listening(broker.url, gateway={"limits": limits}) as (world, _), client(broker.port) as sender:
        await world.device("pi")
        await sender.ask("pi", batch("pi", 0))
        receipt = await sender.ask("pi", batch("pi", 1))
        assert (receipt["status"], receipt["http"], receipt["code"]) == ("retry", 429, "rate_limited")
        assert 0 < receipt["retry_after_s"] <= 1


async def test_what_travels_beside_a_batch_reaches_the_log(broker: Mosquitto) -> None:
    async with listening(broker.url) as (world, _), client(broker.port) as sender:
        await world.device("pi")
        beside = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        beside.UserProperty = [("sensorline-sent", "1700000000000000001"), ("sensorline-sent", "2"), ("other", "x")]
        sender.publish(mqtt.batches_topic("pi"), batch("pi"), properties=beside)
        await eventually(lambda: len(sender.came) == 1)
        assert "1700000000000000001" in (await stored(world.log))[0].headers.values()


async def test_http_and_mqtt_at_once_store_once_and_one_is_a_duplicate(broker: Mosquitto) -> None:
    async with listening(broker.url) as (world, _), client(broker.port) as sender:
        token = await world.device("pi")
        body = batch("pi", 7)
        over_mqtt, over_http = await asyncio.gather(sender.ask("pi", body), world.post("/v1/batches", body, token))
        assert over_http.status_code == over_mqtt["http"] == 200
        entries = await stored(world.log)
        hashes = {(e.headers["session"], e.headers["seq"], e.headers["hash"]) for e in entries}
        assert len(hashes) == 1
        assert (await sender.ask("pi", body))["duplicate"]


# --- phones


async def test_a_phones_message_is_stored_without_a_receipt(broker: Mosquitto) -> None:
    async with listening(broker.url) as (world, listener), client(broker.port, "#") as phone:
        await world.device("phone")
        for seq, qos in enumerate((0, 1)):
            phone.publish(mqtt.sensor_logger_topic("phone"), message("app-1", seq), qos=qos)
        await in_log(world.log, 2)
        await eventually(lambda: len(phone.came) == 2 and listener.in_hand == 0)
        assert {topic for topic, _ in phone.came} == {"sensor-logger/phone"}


async def test_another_phone_on_the_same_topic_is_refused_until_the_token_is_rotated(broker: Mosquitto) -> None:
    async with listening(broker.url) as (world, _), client(broker.port) as phone:
        await world.device("phone")
        before = dropped("forbidden")

        def send(source: str, seq: int) -> None:
            phone.publish(mqtt.sensor_logger_topic("phone"), message(source, seq))

        def pins() -> frozenset[str]:
            holder = world.services.registry.holder_of("phone", 0)
            return frozenset() if holder is None else holder.also_pinned

        send("app-1", 0)
        await in_log(world.log, 1)
        send("app-2", 1)
        await eventually(lambda: dropped("forbidden") == before + 1)
        await world.services.enrolment.rotate("phone", overlap_s=60)
        send("app-1", 2)  # the old phone, while its token still holds: it does not take the new token's place
        await in_log(world.log, 2)
        assert pins() == {"app-1"}
        send("app-2", 3)
        entries = await in_log(world.log, 3)
        assert pins() == {"app-1", "app-2"}
        assert [e.headers["seq"] for e in entries] == ["0", "2", "3"]


async def test_a_phones_message_outlives_a_log_that_is_away_for_a_moment(broker: Mosquitto) -> None:
    log = MoodyLog()
    async with listening(broker.url, log=log) as (world, _), client(broker.port) as phone:
        await world.device("phone")
        log.fails = 2
        phone.publish(mqtt.sensor_logger_topic("phone"), message("app-1"), qos=0)
        await in_log(log, 1)
        assert log.fails == 0


async def test_a_phones_message_that_cannot_be_stored_is_counted_and_not_redelivered(broker: Mosquitto) -> None:
    log = MoodyLog()
    async with (
        listening(broker.url, log=log, phone_wait_s=0.5, in_flight_max=1) as (world, _),
        client(broker.port) as phone,
    ):
        await world.device("phone")
        counts = {reason: dropped(reason) for reason in ("log_unavailable", "malformed")}
        log.fails = 1000
        phone.publish(mqtt.sensor_logger_topic("phone"), message("app-1", 0))
        await eventually(lambda: dropped("log_unavailable") == counts["log_unavailable"] + 1)
        log.fails = 0
        phone.publish(mqtt.sensor_logger_topic("phone"), b"garbage")
        await eventually(lambda: dropped("malformed") == counts["malformed"] + 1)
        phone.publish(mqtt.sensor_logger_topic("phone"), message("app-1", 1))
        await in_log(log, 1)
        await phone.ask("phone", batch("phone", 5))
        assert [e.headers["seq"] for e in await stored(log)] == ["1", "5"]


async def test_more_than_there_is_room_for_is_dropped_and_counted_at_qos_0(broker: Mosquitto) -> None:
    log = MoodyLog()
    async with listening(broker.url, log=log, waiting_max=3) as (world, listener), client(broker.port) as phone:
        await world.device("phone")
        before = dropped("overflow")
        log.flowing.clear()
        for seq in range(10):
            phone.publish(mqtt.sensor_logger_topic("phone"), message("app-1", seq), qos=0)
        await eventually(lambda: dropped("overflow") == before + 7)
        assert listener.in_hand == 3
        log.flowing.set()
        await eventually(lambda: listener.in_hand == 0)
        assert len(await stored(log)) == 3


async def test_a_topic_with_no_device_name_is_counted_and_acknowledged(broker: Mosquitto) -> None:
    async with listening(broker.url, in_flight_max=1) as (world, _), client(broker.port) as sender:
        await world.device("pi")
        before = dropped("bad_topic")
        sender.publish("telemetry/no name!/batches", batch("pi"))
        await eventually(lambda: dropped("bad_topic") == before + 1)
        assert (await sender.ask("pi", batch("pi")))["status"] == "stored"


# --- broker and gateways come and go


async def test_two_gateways_share_and_the_survivor_gets_all(broker: Mosquitto) -> None:
    log = MoodyLog()
    async with (
        listening(broker.url, log=log) as (one, first),
        listening(broker.url, log=log) as (_, second),
        client(broker.port) as sender,
    ):
        await one.device("pi")
        for seq in range(20):
            assert (await sender.ask("pi", batch("pi", seq)))["status"] == "stored"
        assert len(await stored(log)) == 20, "a message went to both"
        assert second._link is not None
        second._link.cut()  # as when its process is killed
        second._running.cancel()  # type: ignore[union-attr]
        for seq in range(20, 40):
            assert (await sender.ask("pi", batch("pi", seq)))["status"] == "stored"
        assert len(await stored(log)) == 40
        await eventually(lambda: first.in_hand == 0)  # the receipt goes out a moment before


async def test_a_broker_that_is_away_is_found_again_and_takes_nothing_down(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as own:
        async with listening(own.url) as (world, _):
            token = await world.device("pi")
            own.kill()
            await eventually(lambda: world.services.mqtt.state == "disconnected")
            async with world.client as http:
                ready = await http.get("/readyz")
                assert (ready.status_code, ready.json()["mqtt"]) == (200, "disconnected")
                assert "sensorline_mqtt_connected 0.0" in (await http.get("/metrics")).text
            assert (await world.post("/v1/batches", batch("pi", 0), token)).status_code == 200
            own.start()
            await eventually(lambda: world.services.mqtt.state == "connected", within_s=15)
            async with client(own.port) as sender:
                assert (await sender.ask("pi", batch("pi", 1)))["status"] == "stored"


async def test_the_gateway_starts_without_its_broker(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as own:
        own.stop()
        from gateway.listeners.mqtt import Listener
        from tests.gateway.gateway_world import gateway

        async with gateway(mqtt={"url": own.url}) as world:
            listener = Listener(world.services)
            await listener.start()
            await eventually(lambda: "refused" in world.services.mqtt.reason.lower())
            own.start()
            await eventually(lambda: world.services.mqtt.state == "connected", within_s=15)
            await listener.stop()


async def test_a_stop_finishes_what_is_in_hand_and_takes_no_more(broker: Mosquitto) -> None:
    log = MoodyLog()
    async with listening(broker.url, log=log) as (world, listener), client(broker.port) as sender:
        await world.device("pi")
        log.flowing.clear()
        body = batch("pi", 0)
        sender.publish(mqtt.batches_topic("pi"), body)
        await eventually(lambda: log.at_once == 1)
        stopping = asyncio.create_task(listener.stop())
        await asyncio.sleep(0.1)  # it must still be waiting
        assert not stopping.done()
        log.flowing.set()
        await asyncio.wait_for(stopping, 5)
        await eventually(lambda: len(sender.receipts(body)) == 1)
        assert sender.receipts(body)[0]["status"] == "stored"
        sender.publish(mqtt.batches_topic("pi"), batch("pi", 1))
        await eventually(lambda: len(sender.acked) == 2)
        assert len(await stored(log)) == 1


async def test_a_stop_has_an_end_when_the_log_has_none(broker: Mosquitto) -> None:
    log = MoodyLog()
    wait = {"stop_wait_s": 0.3}
    async with listening(broker.url, log=log, gateway=wait) as (world, listener), client(broker.port) as sender:
        await world.device("pi")
        log.flowing.clear()
        sender.publish(mqtt.batches_topic("pi"), batch("pi", 0))
        await eventually(lambda: log.at_once == 1)
        await asyncio.wait_for(listener.stop(), 5)
        assert sender.came == [] and listener.in_hand == 0


async def test_the_password_comes_from_its_file_and_a_missing_one_is_named(tmp_path: Path) -> None:
    from gateway.listeners.mqtt import Listener
    from tests.gateway.gateway_world import gateway

    settings = {"url": "mqtt://127.0.0.1", "username": "gateway", "password_file": str(tmp_path / "absent")}
    async with gateway(mqtt=settings) as world:
        with pytest.raises(Misconfigured, match=r"gateway\.mqtt\.password_file"):
            Listener(world.services)
