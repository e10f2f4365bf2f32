"""A gateway at a real broker, a log that can have a bad day, and a plain MQTT client that knows nothing of ours."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.listeners.mqtt import Listener
from telemetry import mqtt
from telemetry.clock import SystemClock
from telemetry.errors import LogUnavailable
from telemetry.logs import memory as memory_log
from telemetry.ports import BATCHES, Entry, Log, Position, Record, Topic
from tests.gateway.gateway_world import World, eventually, gateway, stored

WAIT_S = 10.0


class MoodyLog(memory_log.MemoryLog):
    """In memory; batches are refused while `fails` is over 0, and wait while `flowing` is not set."""

    def __init__(self) -> None:
        super().__init__(memory_log.Config(), clock=SystemClock())
        self.fails = 0
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.at_once = 0
        self.at_once_most = 0

    async def append(self, topic: Topic, records: Sequence[Record]) -> list[Position]:
        if topic != BATCHES:
            return await super().append(topic, records)
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        try:
            await self.flowing.wait()
            if self.fails > 0:
                self.fails -= 1
                raise LogUnavailable("the log is away", retry_after_s=0.25)
            return await super().append(topic, records)
        finally:
            self.at_once -= 1


@contextlib.asynccontextmanager
async def listening(url: str, *, log: MoodyLog | None = None, **settings: Any) -> AsyncIterator[tuple[World, Listener]]:
    """A gateway subscribed at the broker; `settings` are those of `gateway.mqtt`, `gateway` a dict of the gateway's."""
    own = settings.pop("gateway", {})
    async with gateway(log=log, mqtt={"url": url, **settings}, **own) as world:
        listener = Listener(world.services)
        await listener.start()
        try:
            await eventually(lambda: world.services.mqtt.state == "connected", within_s=WAIT_S)
            yield world, listener
        finally:
            await listener.stop()


async def in_log(log: Log, batches: int) -> list[Entry]:
    """What is in the log, once it is so many."""
    async with asyncio.timeout(WAIT_S):
        while len(entries := await stored(log)) < batches:
            await asyncio.sleep(0.01)
    return entries


class Client:
    """A plain MQTT 5 client: what came, by topic, and what the broker said to what it published."""

    def __init__(self) -> None:
        self.came: list[tuple[str, bytes]] = []
        self.acked: list[int] = []
        self._subscribed = False
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = lambda _c, _u, m: self.came.append((m.topic, m.payload))
        self._client.on_publish = lambda _c, _u, mid, _r, _p: self.acked.append(mid)
        self._client.on_subscribe = self._on_subscribe

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed = True

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, properties: Any = None) -> None:
        self._client.publish(topic, payload, qos=qos, properties=properties)

    def receipts(self, payload: bytes) -> list[dict[str, Any]]:
        """Every receipt of this payload."""
        found = [orjson.loads(body) for topic, body in self.came if topic.endswith("/receipts")]
        return [receipt for receipt in found if receipt["payload"] == mqtt.digest(payload)]

    async def ask(self, device: str, payload: bytes) -> dict[str, Any]:
        """Publish a batch; its receipt."""
        before = len(self.receipts(payload))
        self.publish(mqtt.batches_topic(device), payload)
        await eventually(lambda: len(self.receipts(payload)) > before, within_s=WAIT_S)
        return self.receipts(payload)[-1]


@contextlib.asynccontextmanager
async def client(port: int, *topics: str) -> AsyncIterator[Client]:
    """Connected, and subscribed to these topics or to every receipt."""
    made = Client()
    made._client.connect("127.0.0.1", port)
    made._client.loop_start()
    try:
        for topic in topics or ("telemetry/+/receipts",):
            made._client.subscribe(topic, 1)
        await eventually(lambda: made._subscribed, within_s=WAIT_S)
        yield made
    finally:
        made._client.disconnect()
        await asyncio.to_thread(made._client.loop_stop)
