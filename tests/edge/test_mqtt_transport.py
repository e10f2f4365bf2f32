"""The mqtt transport against a real Mosquitto and the real listener: TLS, WebSocket, 3.1.1, logins, lost brokers."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from edge.transports import Answer
from edge.transports import mqtt as transport_mqtt
from edge.transports.mqtt import Config, MqttTransport
from gateway import mqtt_control
from telemetry import adapters, credentials, mqtt, mqtt_accounts
from telemetry.beside import Beside
from telemetry.clock import SystemClock
from telemetry.errors import Misconfigured
from telemetry.mqtt_accounts import Command
from telemetry.settings import Mqtt
from tests.faults.mosquitto import Mosquitto, mosquitto
from tests.gateway.gateway_world import batch, eventually, stored
from tests.gateway.mqtt_world import MoodyLog, client, in_log, listening

TOKEN = "sl_of_a_test"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One for the tests that do not harm it."""
    with mosquitto(tmp_path_factory.mktemp("broker"), tls=True, websocket=True) as running:
        yield running


@contextlib.asynccontextmanager
async def opened(
    url: str, *, device: str = "pi", token: Callable[[], str] = lambda: TOKEN, **options: Any
) -> AsyncIterator[MqttTransport]:
    config = Config(url=url, **options)
    made = transport_mqtt.open(config, device=device, token=token, clock=SystemClock(), folder=Path("/"))
    try:
        yield made
    finally:
        async with asyncio.timeout(10):
            await made.close()


async def until_answered(transport: MqttTransport, body: bytes) -> Answer:
    """Send until somebody answers, as the agent does."""
    async with asyncio.timeout(30):
        while (answer := await transport.send(body)).status is None:
            await asyncio.sleep(0.05)
    return answer


@contextlib.asynccontextmanager
async def old_broker(target_port: int, answer: bytes) -> AsyncIterator[tuple[int, list[int]]]:
    """In front of a broker: whoever speaks MQTT 5 is given `answer` and hung up on; 3.1.1 passes.  Versions asked."""
    asked: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connect = await reader.read(4096)
        level = connect[connect.index(b"\x00\x04MQTT") + 6]
        asked.append(level)
        if level == 5:
            writer.write(answer)
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target_port)
        far_writer.write(connect)
        with contextlib.suppress(OSError):
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


# --- the way there


@pytest.mark.parametrize("way", ["url", "tls_url", "websocket_url", "secure_websocket_url"])
async def test_a_batch_is_answered_by_its_receipt(broker: Mosquitto, way: str) -> None:
    cafile = {"cafile": broker.cafile} if way in ("tls_url", "secure_websocket_url") else {}
    gateway_cafile = {name: str(path) for name, path in cafile.items()}
    async with listening(getattr(broker, way), **gateway_cafile) as (world, _):
        await world.device("pi")
        async with opened(getattr(broker, way), **cafile) as transport:
            first, again = [await transport.send(batch("pi", 1)) for _ in range(2)]
        assert (first.status, again.status) == (200, 200)
        said = orjson.loads(first.body)
        assert (said["status"], said["device"], said["session"], said["seq"]) == ("stored", "pi", "s", 1)
        assert not said["duplicate"] and orjson.loads(again.body)["duplicate"]
        assert len(await stored(world.log)) == 1


async def test_a_broker_with_another_authoritys_certificate_hears_no_password(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with mosquitto(tmp_path, tls=True) as other:
        async with opened(broker.tls_url, cafile=other.cafile) as transport:
            answer = await transport.send(batch("pi"))
    assert answer.status is None
    assert "CERTIFICATE_VERIFY_FAILED" in answer.detail
    assert TOKEN not in broker.log


async def test_what_travels_beside_goes_as_user_properties(broker: Mosquitto) -> None:
    async with listening(broker.url) as (world, _), opened(broker.url) as transport:
        await world.device("pi")
        headers = Beside(sent_ns=1_700_000_000_000_000_001, synchronised=True).to_headers()
        assert (await transport.send(batch("pi"), headers)).status == 200
        assert "1700000000000000001" in (await stored(world.log))[0].headers.values()


@pytest.mark.parametrize("answer", [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00", b""], ids=["3.1.1", "5", "none"])
async def test_a_broker_that_does_not_know_mqtt_5_is_spoken_to_in_3_1_1(broker: Mosquitto, answer: bytes) -> None:
    async with listening(broker.url) as (world, _), old_broker(broker.port, answer) as (port, asked):
        await world.device("pi")
        async with opened(f"mqtt://127.0.0.1:{port}") as transport:
            got = await transport.send(batch("pi"), Beside(sent_ns=5).to_headers())
            assert got.status == 200, got
            assert asked == [5, 4]
            transport._link.cut()  # type: ignore[union-attr]
            assert (await until_answered(transport, batch("pi", 1))).status == 200
            # one that said no is believed; one that only hung up may have had another reason
            assert asked == ([5, 4, 5, 4] if not answer else [5, 4, 4])


async def test_mqtt_5_alone_may_be_asked_for(broker: Mosquitto) -> None:
    async with (
        old_broker(broker.port, b"\x20\x02\x00\x01") as (port, asked),
        opened(f"mqtt://127.0.0.1:{port}", protocol="5") as transport,
    ):
        answer = await transport.send(batch("pi"))
        assert answer.status is None and "rotocol version" in answer.detail
        assert asked == [5]


# --- answers


async def test_refusals_and_waits_carry_what_http_would_have_said(broker: Mosquitto) -> None:
    log = MoodyLog()
    async with listening(broker.url, log=log) as (world, _), opened(broker.url) as transport:
        await world.device("pi")
        poison = await transport.send(b'{"v":1}')
        assert (poison.status, poison.code) == (422, "invalid")
        other = await transport.send(batch("other"))
        assert (other.status, other.code) == (403, "forbidden")
        log.fails = 1
        away = await transport.send(batch("pi"))
        assert (away.status, away.code, away.retry_after_s) == (503, "log_unavailable", 0.25)


async def test_two_lanes_at_once_get_their_own_receipts(broker: Mosquitto) -> None:
    async with listening(broker.url) as (world, _), opened(broker.url) as transport:
        await world.device("pi")
        sent = [(session, seq) for session in ("live", "backlog") for seq in range(10)]
        answers = await asyncio.gather(*(transport.send(batch("pi", q, session=s)) for s, q in sent))
        said = [orjson.loads(a.body) for a in answers]
        assert [(d["session"], d["seq"]) for d in said] == sent
        assert len(await stored(world.log)) == 20


async def test_a_payload_that_nobody_would_take_is_not_published(broker: Mosquitto) -> None:
    async with client(broker.port, "telemetry/#") as listener, opened(broker.url, encoding="identity") as transport:
        answer = await transport.send(b"0" * (mqtt.PAYLOAD_BYTES_MAX + 1))
        assert (answer.status, answer.code) == (413, "too_large")
        assert listener.came == []


async def test_without_a_gateway_there_is_silence_until_the_deadline_and_the_connection_stays(
    broker: Mosquitto,
) -> None:
    async with opened(broker.url, deadline_s=0.5) as transport:
        began_s = time.monotonic()
        answer = await transport.send(batch("pi"))
        assert answer == Answer(None, detail="no receipt within 0.5 s")
        assert 0.4 < time.monotonic() - began_s < 2
        link = transport._link
        async with listening(broker.url) as (world, _):
            await world.device("pi")
            assert (await transport.send(batch("pi"))).status == 200
            assert transport._link is link


async def test_a_puback_frees_nothing_and_a_strangers_words_are_no_receipt(broker: Mosquitto) -> None:
    async with client(broker.port, "telemetry/#") as stranger, opened(broker.url, deadline_s=1.0) as transport:
        sending = asyncio.create_task(transport.send(batch("pi")))
        await eventually(lambda: len(stranger.came) == 1)
        (_, payload) = stranger.came[0]
        other = mqtt.stored(mqtt.digest(payload + b"x"), {"status": "stored"})
        for words in (b"ok", b"{}", b"[1]", b'{"v":1,"http":200}', other):
            stranger.publish(mqtt.receipts_topic("pi"), words)
        assert (await sending).status is None


# --- logins


async def command(broker: Mosquitto, *commands: Command) -> None:
    """Manage accounts with the gateway's own commands; each must succeed."""
    password = broker.folder / "admin-password"
    password.write_text(broker.admin_password)
    settings = Mqtt(url=broker.url, admin_username=broker.admin, admin_password_file=str(password))
    async with mqtt_control.visit(settings) as control:
        answers = await control.ask(commands)
    assert [answer.get("error") for answer in answers] == [None] * len(commands)


def account(token: str) -> Command:
    return mqtt_accounts.create_client("pi", credentials.public_id(credentials.digest(token)), token)


async def test_a_refused_login_holds_and_a_rotated_token_is_picked_up(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("gateway's\n")
    with mosquitto(tmp_path, dynsec=True) as own:
        gateway_role = {"command": "createRole", "rolename": "gateway", "acls": mqtt_accounts.gateway_acls()}
        client = {"command": "createClient", "username": "gateway", "password": "gateway's"}
        await command(
            own,
            mqtt_accounts.deny_by_default(),
            gateway_role,
            client | {"roles": [{"rolename": "gateway"}]},
            mqtt_accounts.create_role("pi"),
            account("first"),
            account("second"),
        )
        token = "wrong"
        login = {"username": "gateway", "password_file": str(password)}
        async with listening(own.url, **login) as (world, _), opened(own.url, token=lambda: token) as transport:
            await world.device("pi")
            refused = await transport.send(batch("pi", 0))
            assert (refused.status, refused.code) == (401, "unauthorised")
            token = "first"
            assert (await transport.send(batch("pi", 0))).status == 200
            await command(own, mqtt_accounts.delete_client(mqtt.username("pi", "first")))  # the broker disconnects it
            await eventually(lambda: not transport._link.is_open)  # type: ignore[union-attr]
            assert (await transport.send(batch("pi", 1))).status == 401
            token = "second"
            assert (await transport.send(batch("pi", 1))).status == 200
            assert len(await stored(world.log)) == 2


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_an_account_without_its_rights_holds(tmp_path: Path, protocol: str) -> None:
    with mosquitto(tmp_path, dynsec=True) as own:
        await command(own, mqtt_accounts.deny_by_default(), account(TOKEN) | {"roles": []})
        async with opened(own.url, protocol=protocol) as transport:
            answer = await transport.send(batch("pi"))
            assert (answer.status, answer.code) == (403, "forbidden")


# --- brokers that go away


@pytest.mark.crash
@pytest.mark.parametrize("persistence", [True, False], ids=["persistence", "no persistence"])
async def test_a_killed_broker_costs_nothing_and_stores_nothing_twice(tmp_path: Path, persistence: bool) -> None:
    log = MoodyLog()
    with mosquitto(tmp_path, persistence=persistence) as own:
        async with listening(own.url, log=log) as (world, _), opened(own.url, deadline_s=2.0) as transport:
            await world.device("pi")

            async def deliver(seqs: Sequence[int]) -> None:
                for seq in seqs:
                    assert (await until_answered(transport, batch("pi", seq))).status == 200

            await deliver(range(5))
            log.flowing.clear()
            sending = asyncio.create_task(deliver(range(5, 30)))
            await eventually(lambda: log.at_once == 1)
            own.kill()  # while the gateway works on one, whose receipt now has no way back
            log.flowing.set()
            await eventually(lambda: world.services.mqtt.state == "disconnected")
            own.start()
            await asyncio.wait_for(sending, 30)
            seqs = [e.headers["seq"] for e in await stored(log)]
            assert seqs == [str(seq) for seq in range(30)]


async def test_a_frozen_broker_is_silence_at_the_deadline_and_nothing_is_sent_later(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as own:
        async with (
            listening(own.url) as (world, _),
            opened(own.url, deadline_s=0.5, connect_wait_s=0.5) as transport,
            client(own.port, "telemetry/+/batches") as witness,
        ):
            await world.device("pi")
            assert (await transport.send(batch("pi", 0))).status == 200
            own.pause()
            began_s = time.monotonic()
            answers = [await transport.send(batch("pi", seq)) for seq in (1, 2)]  # the second has to connect first
            assert [a.status for a in answers] == [None, None]
            assert time.monotonic() - began_s < 6
            own.resume()
            assert (await until_answered(transport, batch("pi", 3))).status == 200
            await eventually(lambda: len(witness.came) >= 2)
            sent = [mqtt.digest(payload) for _, payload in witness.came]
            assert len(sent) == len(set(sent)), "what was given up was sent again by the library"
            await in_log(world.log, 2)


async def test_a_broker_that_is_not_there_is_silence_at_once(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as own:
        own.stop()
        async with opened(own.url) as transport:
            began_s = time.monotonic()
            answer = await transport.send(batch("pi"))
            assert answer.status is None and "refused" in answer.detail
            assert time.monotonic() - began_s < 2


async def test_connections_leave_no_thread_and_no_handle_behind(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as own:
        async with listening(own.url) as (world, _), opened(own.url) as transport:
            await world.device("pi")
            assert (await transport.send(batch("pi", 0))).status == 200
            threads, handles = _threads(), _handles()
            for seq in range(1, 11):
                transport._link.cut()  # type: ignore[union-attr]
                assert (await until_answered(transport, batch("pi", seq))).status == 200
            await eventually(lambda: _threads() <= threads)
            assert _handles() <= handles + 2


async def test_a_frozen_broker_does_not_delay_the_end(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as own:
        async with listening(own.url) as (world, _):
            await world.device("pi")
            transport = MqttTransport(Config(url=own.url), mqtt.parse_url(own.url), device="pi", token=lambda: TOKEN)
            assert (await transport.send(batch("pi", 0))).status == 200
            own.pause()
            began_s = time.monotonic()
            await transport.close()
            assert time.monotonic() - began_s < 5
            assert _threads() == 1, "only the gateway's is left"
            own.resume()


def _threads() -> int:
    return sum(thread.name.startswith("paho-mqtt") for thread in threading.enumerate())


def _handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


# --- settings


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"url": "http://127.0.0.1"}, "mqtt://"),
        ({"url": "mqtt://user:secret@127.0.0.1"}, "settings of their own"),
        ({"url": "mqtt://127.0.0.1:99999"}, "no URL"),
        ({"url": "mqtt://127.0.0.1/path"}, "path"),
        ({"url": "mqtt://broker.example"}, "in the clear"),
        ({"url": "mqtts://broker.example", "cafile": "absent.pem"}, "absent.pem"),
    ],
)
def test_what_can_never_work_is_named(options: dict[str, str], wrong: str) -> None:
    module = adapters.load("edge.transports", "mqtt")
    config = adapters.configure(module, "mqtt", options)
    with pytest.raises(Misconfigured, match=wrong) as raised:
        module.open(config, device="pi", token=lambda: TOKEN, clock=SystemClock(), folder=Path("/nowhere"))
    assert "secret" not in raised.value.message
