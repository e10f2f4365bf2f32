"""SOURCE: somebody else's topic with JSON messages, at any MQTT broker.

    [sources.kitchen]
    type = "mqtt_topic"
    url = "mqtt://broker.example"
    topic = "zigbee2mqtt/+/climate"    # may have wildcards
    username = "reader"
    password = "${file:mqtt.password}"
    map = {sensor = "temperature", fields = {celsius = "temperature"}}

Each message is a row, or, with `rows` (JMESPath), holds several.  Beside its own fields a row has `topic`, the whole
topic, and `matched`, the list of what the wildcards stood for (`matched[0]` in JMESPath).  A message that is a bare
value is the row `{"value": ...}`.

Delivery: QoS 1 as far as this process: a message is acknowledged once its reading is taken.  Messages are lost while
the source is away (a clean session: no queue at the broker), and those in the last moments before a crash.  Messages
that come faster than they are taken are dropped beyond `queue_messages_max`, and retained ones (old news) are passed
over; both are counted.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import Field, field_validator

from edge.cleaning.cells import is_unicode
from edge.cleaning.clean import Cleaned, Cleaner, Maps
from edge.cleaning.rows import expression
from edge.sources import TEXT_CHARS_MAX, Bad, Context, Options, Outlet, SourceFailed, driver
from edge.sources._blocking import in_thread
from edge.sources._secrets import expanded
from telemetry import mqtt
from telemetry.batch import TIME_NS_MAX
from telemetry.errors import Misconfigured
from telemetry.outcome import Reason

if TYPE_CHECKING:
    from telemetry import mqtt_link

TAKEN_AT_ONCE_MAX = 500
CHECK_WAIT_S = 3.0


class Config(Options):
    """Of one subscription."""

    url: str = Field(description="mqtt://, mqtts://, ws:// or wss://")
    topic: str = Field(min_length=1, max_length=1000)
    username: str | None = None
    password: str = Field("", repr=False, description="may hold ${file:name}")
    cafile: Path | None = Field(None, description="authority of a broker with a certificate of its own")
    client_id: str | None = Field(None, max_length=128, description="None: a new one each time")
    protocol: Literal["5", "3.1.1"] = "3.1.1"
    qos: Literal[0, 1] = 1
    rows: str | None = None
    retained: bool = Field(default=False, description="take retained messages too")
    queue_messages_max: int = Field(1_000, ge=1, le=100_000)
    payload_bytes_max: int = Field(256 * 1024, gt=0, le=8 * 2**20)
    connect_wait_s: float = Field(10.0, gt=0, le=60)
    map: Maps

    @field_validator("topic")
    @classmethod
    def _is_filter(cls, topic: str) -> str:
        parts = topic.split("/")
        if "#" in parts[:-1] or any(len(part) > 1 and set(part) & {"+", "#"} for part in parts) or "\0" in topic:
            raise ValueError("+ stands for one whole level, # for all levels at the end (MQTT 5, 4.7.1)")
        return topic


def open(config: Config, context: Context) -> "MqttTopic":  # noqa: A001 - the port's word
    """Connects when it is run.  Raises `Misconfigured`: units, JMESPath, the URL, a missing library."""
    driver("paho.mqtt.client", "mqtt")
    path = f"sources.{context.name}"
    cleaner = Cleaner.of(config.map, f"{path}.map").prepare_rows(f"{path}.map")
    rows = expression(config.rows, f"{path}.rows") if config.rows else None
    return MqttTopic(config, context, cleaner, rows, mqtt.parse_url(config.url))


class MqttTopic:
    """One subscription."""

    def __init__(
        self,
        config: Config,
        context: Context,
        cleaner: Cleaner,
        rows: Callable[[Any], Any] | None,
        address: mqtt.Address,
    ) -> None:
        self._config = config
        self._context = context
        self._cleaner = cleaner
        self._rows = rows
        self._address = address
        self._queue: deque[tuple[int, mqtt_link.Arrived]] = deque()  # arrived when; bounded by the link's room
        self._woken = asyncio.Event()

    async def run(self, outlet: Outlet) -> None:
        """Until the connection ends, and then `SourceFailed`."""
        link = await self._subscribed(outlet.lost)
        ended = asyncio.create_task(link.ended())
        ended.add_done_callback(lambda _: self._woken.set())
        try:
            while self._queue or not ended.done():
                self._woken.clear()
                if not self._queue:
                    await self._woken.wait()
                await self._hand_over(link, outlet)
            raise SourceFailed(f"{self._address}: {ended.result()}")
        finally:
            ended.cancel()
            if self._queue:
                outlet.lost(len(self._queue), "stopped")
            self._queue.clear()
            await link.close()

    async def check(self) -> str:
        """Subscribe, and wait a moment for a message."""
        link = await self._subscribed(lambda _readings, _reason: None)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_WAIT_S):
                    await self._woken.wait()
            if not self._queue:
                return f"connected and subscribed to {self._config.topic}; no message within {CHECK_WAIT_S:g} s"
            cleaned = await in_thread(self._cleaned, [self._queue[0]])
        finally:
            self._queue.clear()
            await link.close()
        found = ", ".join(f"{len(s)} of {s.sensor}" for s in cleaned.series) or "no good readings"
        first = f", the first bad row: {cleaned.bad[0].detail or cleaned.bad[0].reason}" if cleaned.bad else ""
        return f"a message with {found}{first}"

    async def _subscribed(self, lost: Callable[[int, str], None]) -> "mqtt_link.Link":
        from telemetry import mqtt_link  # noqa: PLC0415 - with its library

        config = self._config
        loop = asyncio.get_running_loop()
        room = mqtt_link.Room({0: config.queue_messages_max, 1: config.queue_messages_max})

        def overflowed(_qos: int) -> None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody counts any more
                loop.call_soon_threadsafe(lost, 1, "queue_full")

        options = await in_thread(self._options)
        try:
            link = await mqtt_link.open_link(options, self._arrived, room=room, on_overflow=overflowed)
        except mqtt_link.LinkLost as e:
            raise SourceFailed(e.message) from e
        try:
            await link.subscribe([config.topic], qos=config.qos)
        except BaseException as e:
            await link.close(0.0)
            if isinstance(e, mqtt_link.LinkLost):
                raise SourceFailed(e.message) from e
            raise
        return link

    def _arrived(self, message: "mqtt_link.Arrived") -> None:
        """A method that knows no link: one that did would be in a cycle with it, and keep its sockets."""
        at_ns = self._context.stamp.now_ns() if self._cleaner.is_stamped else 0
        self._queue.append((at_ns, message))
        self._woken.set()

    def _options(self) -> "mqtt_link.Options":
        from telemetry import mqtt_link  # noqa: PLC0415 - with its library

        config, folder = self._config, self._context.folder
        cafile = None if config.cafile is None else folder / config.cafile
        path = f"sources.{self._context.name}"
        if cafile is not None and not cafile.is_file():
            raise Misconfigured(f"{path}.cafile: there is no {cafile}", path=f"{path}.cafile")
        password = expanded(config.password, folder, f"{path}.password")
        return mqtt_link.Options(
            self._address,
            config.client_id or f"sl-{secrets.token_hex(8)}",
            None if config.username is None else mqtt_link.Login(config.username, password),
            cafile,
            mqtt_link.V5 if config.protocol == "5" else mqtt_link.V311,
            wait_s=config.connect_wait_s,
            manual_ack=True,
        )

    async def _hand_over(self, link: "mqtt_link.Link", outlet: Outlet) -> None:
        taken = [self._queue.popleft() for _ in range(min(len(self._queue), TAKEN_AT_ONCE_MAX))]
        if not taken:
            return
        news = [one for one in taken if self._config.retained or not one[1].is_retained]
        if len(news) < len(taken):
            outlet.lost(len(taken) - len(news), "retained")
        try:
            cleaned = await in_thread(self._cleaned, news)
        except asyncio.CancelledError:
            outlet.lost(len(news), "stopped")
            raise
        if cleaned.bad:
            outlet.set_aside(cleaned.bad)
        if cleaned.series:
            await outlet.put(cleaned.series)
        for _, message in taken:
            link.ack(message)
            link.done(message)

    def _cleaned(self, messages: "Sequence[tuple[int, mqtt_link.Arrived]]") -> Cleaned:
        """Lines are the messages' numbers in this handful, which tell nobody anything: 0."""
        rows: list[Any] = []
        arrived: list[int] = []
        bad: list[Bad] = []
        for at_ns, message in messages:
            found = self._rows_of(message)
            if isinstance(found, Bad):
                bad.append(found)
            else:
                rows += found
                arrived += [min(at_ns, TIME_NS_MAX)] * len(found)
        cleaned = self._cleaner.rows(rows, [0] * len(rows), arrived_ns=arrived)
        return Cleaned(cleaned.series, cleaned.rows, (*bad, *cleaned.bad))

    def _rows_of(self, message: "mqtt_link.Arrived") -> list[Any] | Bad:
        text = f"{message.topic} {message.payload[:TEXT_CHARS_MAX].decode('utf-8', 'backslashreplace')}"
        if len(message.payload) > self._config.payload_bytes_max:
            return _bad(Reason.UNDECODABLE, text, f"{len(message.payload)} bytes in one message")
        try:
            document = orjson.loads(message.payload)
        except orjson.JSONDecodeError as e:
            return _bad(Reason.UNDECODABLE, text, str(e))
        rows = self._rows(document) if self._rows is not None else document
        if rows is None:
            return _bad(Reason.NOT_AN_OBJECT, text, f"there is no {self._config.rows or 'value'} in the message")
        beside = {"topic": message.topic, "matched": matched(self._config.topic, message.topic)}
        listed = rows if self._rows is not None and isinstance(rows, list) else [rows]
        return [{**beside, **(row if isinstance(row, dict) else {"value": row})} for row in listed]


def matched(pattern: str, topic: str) -> list[str]:
    """What each wildcard stood for, the tail of a `#` as one text."""
    if not is_unicode(topic):
        return []
    levels = topic.split("/")
    found = []
    for k, part in enumerate(pattern.split("/")):
        if part == "+" and k < len(levels):
            found.append(levels[k])
        elif part == "#":
            found.append("/".join(levels[k:]))
    return found


def _bad(reason: Reason, text: str, detail: str) -> Bad:
    return Bad(0, str(reason), text[:TEXT_CHARS_MAX], detail)
