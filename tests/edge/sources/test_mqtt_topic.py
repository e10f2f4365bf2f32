"""The source `mqtt_topic` at a real Mosquitto."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.sources import SourceFailed, mqtt_topic
from edge.sources.mqtt_topic import matched
from telemetry.batch import Series
from telemetry.errors import Misconfigured
from telemetry.outcome import Reason
from tests.edge.sources.harness import Kept, context, until
from tests.faults.mosquitto import Mosquitto, mosquitto

MAP = {"sensor": "temperature", "fields": {"celsius": "temperature"}}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("broker"), tls=True) as running:
        yield running


class Publisher:
    """Somebody else's device."""

    def __init__(self, broker: Mosquitto) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def say(self, topic: str, *payloads: Any, qos: int = 1, retain: bool = False) -> None:
        for payload in payloads:
            self._client.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def publisher(broker: Mosquitto) -> Iterator[Publisher]:
    one = Publisher(broker)
    yield one
    one.close()


class Running:
    """A source at work; it has subscribed when the first message of `ready/<topic>` comes through."""

    def __init__(self, broker: Mosquitto, kept: Kept | None = None, **options: Any) -> None:
        config = mqtt_topic.Config.model_validate({"url": broker.url, "topic": "home/#", "map": MAP, **options})
        self.source: Any = mqtt_topic.open(config, replace(context(), name="kitchen"))
        self.kept = kept or Kept()
        self.task = asyncio.create_task(self.source.run(self.kept))

    async def __aenter__(self) -> Kept:
        return self.kept

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def heard(publisher: Publisher, kept: Kept, topic: str = "home/a") -> None:
    """The subscription is there: say one reading until it comes."""
    async with asyncio.timeout(20):
        while not kept.puts:
            publisher.say(topic, b'{"temperature": 1}')
            await asyncio.sleep(0.02)
    kept.series.clear()
    kept.bad.clear()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_messages_become_readings_and_bad_ones_are_set_aside(
    broker: Mosquitto, publisher: Publisher, protocol: str
) -> None:
    async with Running(broker, protocol=protocol) as kept:
        await heard(publisher, kept)
        publisher.say("home/kitchen/t", b'{"temperature": 20.5}', b"{", b'{"temperature": "hot"}', b"[1]", b"", b"\xff")
        publisher.say("home/bath/t", b'{"temperature": "21.5"}')
        await until(lambda: 21.5 in kept.column("temperature", "celsius"))
        assert [v for v in kept.column("temperature", "celsius").tolist() if v != 1] == [20.5, 21.5]
        assert sorted(b.reason for b in kept.bad) == sorted(
            [Reason.UNDECODABLE] * 3 + [Reason.BAD_VALUES, Reason.BAD_VALUES]
        )
        assert any(b.text == "home/kitchen/t {" for b in kept.bad)


async def test_wildcards_bare_values_and_rows(broker: Mosquitto, publisher: Publisher) -> None:
    fields = {"beacon": "matched[0]", "rssi": "value", "text": "topic"}
    options = {"topic": "rooms/+/signal", "map": {"sensor": "bluetooth", "fields": fields}}
    async with Running(broker, **options) as kept:
        async with asyncio.timeout(20):
            while not kept.puts:
                publisher.say("rooms/kitchen/signal", b"-70.5")
                await asyncio.sleep(0.02)
        one = kept.series[0]
        assert one.values["beacon"][0] == "kitchen"
        assert one.values["text"][0] == "rooms/kitchen/signal"
        assert one.values["rssi"][0] == -70.5
    several = {"topic": "many", "rows": "all", "map": {**MAP, "time": "t", "time_unit": "ms"}}
    async with Running(broker, **several) as kept:
        async with asyncio.timeout(20):
            while not kept.puts:
                publisher.say("many", b'{"all":[{"t":1,"temperature":1},{"t":2,"temperature":2},{"t":3}]}')
                await asyncio.sleep(0.02)
        assert kept.series[0].t.tolist()[:2] == [10**6, 2 * 10**6]
        assert kept.bad[0].reason == Reason.BAD_VALUES


async def test_retained_messages_are_old_news(broker: Mosquitto, publisher: Publisher) -> None:
    publisher.say("old/a", b'{"temperature": 5}', retain=True)
    try:
        async with Running(broker, topic="old/#") as kept:
            await until(lambda: kept.losses["retained"] == 1)
            await heard(publisher, kept, "old/b")
            assert 5 not in kept.column("temperature", "celsius")
        async with Running(broker, topic="old/#", retained=True) as kept:
            await until(lambda: 5 in kept.column("temperature", "celsius"))
    finally:
        publisher.say("old/a", b"", retain=True)


class Blocked(Kept):
    """Takes the first, and then waits to be told."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def put(self, series: Sequence[Series], *, cursor: str | None = None) -> None:
        await super().put(series, cursor=cursor)
        await self.go_on.wait()


async def test_what_comes_too_fast_is_counted(broker: Mosquitto, publisher: Publisher) -> None:
    kept = Blocked()
    async with Running(broker, kept, topic="fast", queue_messages_max=10, qos=0):
        async with asyncio.timeout(20):
            while not kept.puts:
                publisher.say("fast", b'{"temperature": 1}', qos=0)
                await asyncio.sleep(0.02)
        before = kept.count("temperature")
        publisher.say("fast", *[b'{"temperature": 2}'] * 200, qos=0)
        await until(lambda: kept.losses["queue_full"] >= 190)
        kept.go_on.set()
        await until(lambda: kept.count("temperature") + kept.losses["queue_full"] >= 200 + before)
        await asyncio.sleep(0.05)
        taken = kept.count("temperature") - before
        assert taken + kept.losses["queue_full"] >= 200
        assert taken <= 10


async def test_a_broker_that_goes_is_a_failed_source(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as own:
        publisher = Publisher(own)
        running = Running(own)
        await heard(publisher, running.kept)
        own.kill()
        publisher.close()
        with pytest.raises(SourceFailed, match="connection"):
            await asyncio.wait_for(running.task, 20)
    with pytest.raises(SourceFailed, match="refused"):
        await Running(own).task


async def test_tls_and_a_login_that_is_refused(tmp_path: Path, broker: Mosquitto, publisher: Publisher) -> None:
    async with Running(broker, url=broker.tls_url, cafile=broker.cafile) as kept:
        await heard(publisher, kept)
    stranger = Running(broker, url=broker.tls_url)
    with pytest.raises(SourceFailed, match="CERTIFICATE_VERIFY_FAILED"):
        await stranger.task
    (tmp_path / "pw").write_text("sesame")
    with mosquitto(tmp_path, dynsec=True) as guarded:
        options = {"username": "nobody", "password": f"${{file:{tmp_path}/pw}}"}
        with pytest.raises(SourceFailed) as e:
            await Running(guarded, **options).task
        assert "sesame" not in str(e.value)


async def test_check_says_what_came(broker: Mosquitto, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_topic, "CHECK_WAIT_S", 0.2)
    running = Running(broker, topic="silence")
    running.task.cancel()
    assert "no message within" in await running.source.check()
    monkeypatch.setattr(mqtt_topic, "CHECK_WAIT_S", 20)
    checking = asyncio.create_task(running.source.check())
    while not checking.done():
        publisher.say("silence", b'{"temperature": 1}')
        await asyncio.sleep(0.02)
    assert checking.result() == "a message with 1 of temperature"


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [("a/+/c", "a/b/c", ["b"]), ("+/#", "a/b/c", ["a", "b/c"]), ("a/#", "a", [""]), ("a", "a", [])],
)
def test_what_wildcards_stood_for(pattern: str, topic: str, expected: list[str]) -> None:
    assert matched(pattern, topic) == expected


@pytest.mark.parametrize("topic", ["a/#/b", "a+", "#a", "", "a/b#"])
def test_a_wrong_topic_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        mqtt_topic.Config.model_validate({"url": "mqtt://a", "topic": topic, "map": MAP})
    with pytest.raises(Misconfigured):
        mqtt_topic.open(mqtt_topic.Config.model_validate({"url": "http://a", "topic": "a", "map": MAP}), context())
