"""One connection to an MQTT broker, in asyncio's terms; whoever speaks MQTT here speaks it through this.

A link is opened, used, and ends; it never comes back: who wants another opens another.  So nothing waits inside the
library while the broker is away, and each attempt reads the password and the authority file anew.  The library's
thread does the network, and hands everything that it learns to the event loop; what it may hand over at once is
bounded by `Room`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from telemetry import mqtt_client
from telemetry.mqtt_connection import (
    FAILURE,
    LOGIN_REASONS,
    NOT_AUTHORISED,
    UNSUPPORTED_VERSION,
    V5,
    V311,
    Arrived,
    LinkLost,
    Login,
    LoginRefused,
    Options,
    Refused,
    Room,
    Unanswered,
)

__all__ = [
    "FAILURE",
    "NOT_AUTHORISED",
    "UNSUPPORTED_VERSION",
    "V5",
    "V311",
    "Arrived",
    "Link",
    "LinkLost",
    "Login",
    "LoginRefused",
    "Options",
    "Refused",
    "Room",
    "Unanswered",
    "open_link",
]

logger = logging.getLogger(__name__)

CLOSE_WAIT_S = 2.0


OnMessage = Callable[[Arrived], None]
OnOverflow = Callable[[int], None]


class Link:
    """An open connection with a clean start.  Made by `open_link`."""

    def __init__(self, options: Options, room: Room, on_message: OnMessage, on_overflow: OnOverflow) -> None:
        self.options = options
        self.packet_bytes_max: int | None = None  # what the broker takes, once it has said so
        self._room = room
        self._on_message = on_message
        self._on_overflow = on_overflow
        self._loop = asyncio.get_running_loop()
        self._client = mqtt_client.made(options)
        self._connack: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[str] = self._loop.create_future()
        self._waiting: dict[int, asyncio.Future[int]] = {}  # PUBACK, SUBACK and UNSUBACK by packet id

    @property
    def is_open(self) -> bool:
        """True until it has ended."""
        return not self._closed.done()

    async def ended(self) -> str:
        """Wait until it has ended; why."""
        return await asyncio.shield(self._closed)

    async def subscribe(self, filters: Iterable[str], *, qos: int = 1) -> None:
        """Raises `Refused` when the broker refuses one of them, and `LinkLost`."""
        if self.options.version == V5:
            wanted: Any = [(text, SubscribeOptions(qos=qos)) for text in filters]
        else:
            wanted = [(text, qos) for text in filters]
        reason = await self._answer(*self._client.subscribe(wanted))
        if reason >= FAILURE:
            raise Refused(f"the broker refuses the subscription to {', '.join(filters)} (0x{reason:02x})", reason)

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """Raises `LinkLost`."""
        await self._answer(*self._client.unsubscribe(list(filters)))

    def publish(
        self, topic: str, payload: bytes, *, said: Mapping[str, str] | None = None, expires_s: float | None = None
    ) -> asyncio.Future[int]:
        """Publish with QoS 1, not retained; the future is the PUBACK's reason code.  Raises `LinkLost`."""
        properties = None
        if self.options.version == V5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if said:
                properties.UserProperty = list(said.items())
            if expires_s is not None:
                properties.MessageExpiryInterval = max(1, round(expires_s))
        info = self._client.publish(topic, payload, qos=1, properties=properties)
        return self._wait_for(info.rc, info.mid)

    def ack(self, message: Arrived) -> None:
        """Tell the broker that it need not send this again."""
        if message.qos and self.is_open:
            self._client.ack(message.mid, message.qos)

    def done(self, message: Arrived) -> None:
        """Another may take its place."""
        self._room.give(message.qos)

    async def close(self, wait_s: float = CLOSE_WAIT_S) -> None:
        """Say goodbye, or cut the line when nobody hears it; the library's thread has ended then."""
        if self.is_open and wait_s > 0:
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.ended()
        self.cut()
        self._end("closed")
        try:
            async with asyncio.timeout(CLOSE_WAIT_S):
                await asyncio.to_thread(self._join)
        except TimeoutError:
            logger.warning("the thread of the connection to %s has not ended yet", self.options.address)

    # --- in the event loop

    async def _answer(self, error: MQTTErrorCode, mid: int | None) -> int:
        answer = self._wait_for(error, mid)
        try:
            async with asyncio.timeout(self.options.wait_s):
                return await answer
        except TimeoutError as e:
            raise LinkLost(f"the broker did not answer within {self.options.wait_s:g} s") from e

    def _wait_for(self, error: MQTTErrorCode, mid: int | None) -> "asyncio.Future[int]":
        if error != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None or not self.is_open:
            raise LinkLost(f"the connection has ended: {paho.error_string(error)}")
        answer: asyncio.Future[int] = self._loop.create_future()
        self._waiting[mid] = answer  # the answer comes through the event loop, so it cannot have been before this
        answer.add_done_callback(lambda _: self._waiting.pop(mid, None))
        return answer

    def _answered(self, mid: int, reason: int) -> None:
        answer = self._waiting.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result(reason)

    def _connected(self, reason: int, text: str, packet_bytes_max: int | None) -> None:
        self.packet_bytes_max = packet_bytes_max
        if self._connack.done():
            return
        if reason >= FAILURE:
            kind = LoginRefused if reason in LOGIN_REASONS else Refused
            self._connack.set_exception(kind(f"the broker refuses the connection: {text}", reason))
        else:
            self._connack.set_result(None)

    def _end(self, why: str) -> None:
        if not self._closed.done():
            self._closed.set_result(why)
        if not self._connack.done():
            self._connack.set_exception(Unanswered(why))
            self._connack.exception()  # seen: whoever opened it may have gone already
        for answer in list(self._waiting.values()):
            if not answer.done():
                answer.set_exception(LinkLost(why))
                answer.exception()  # seen: whoever published may have gone already

    def cut(self) -> None:
        """End it now, whatever it waits for; nothing that was published is sent any more."""
        mqtt_client.cut(self._client)

    # --- in other threads

    def _connect(self) -> None:
        mqtt_client.connect(self._client, self.options)

    def _start(self) -> None:
        client = self._client
        client.on_connect = self._heard_connack
        client.on_disconnect = self._heard_end
        client.on_publish = lambda _c, _u, mid, reason, _p: self._hand(self._answered, mid, _value(reason))
        client.on_subscribe = lambda _c, _u, mid, reasons, _p: self._hand(
            self._answered, mid, max(map(_value, reasons))
        )
        client.on_unsubscribe = lambda _c, _u, mid, _reasons, _p: self._hand(self._answered, mid, 0)
        client.on_message = self._heard_message
        client.loop_start()

    def _join(self) -> None:
        with contextlib.suppress(AttributeError):  # the library forgets its thread when that ends at this moment
            self._client.loop_stop()
        client = self._client  # without its callbacks it is in no cycle: its sockets go when this link goes
        client.on_connect = client.on_disconnect = client.on_message = None
        client.on_publish = client.on_subscribe = client.on_unsubscribe = None
        # its sockets go now, also while a cancelled task's traceback keeps this link; a new one has none, and says no
        self._client = mqtt_client.made(self.options)

    def _hand(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed: there is nobody to tell
            self._loop.call_soon_threadsafe(call, *arguments)

    def _heard_connack(
        self, _client: Any, _user: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._hand(self._connected, _value(reason), str(reason), getattr(properties, "MaximumPacketSize", None))

    def _heard_end(self, _client: Any, _user: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        who = "the broker ended the connection" if flags.is_disconnect_packet_from_server else "the connection ended"
        self._hand(self._end, f"{who}: {reason}")

    def _heard_message(self, _client: Any, _user: Any, message: paho.MQTTMessage) -> None:
        if not self._room.take(message.qos):
            # acknowledged all the same: else the broker would count it as in flight for ever, and in the end stop
            self._client.ack(message.mid, message.qos)
            self._on_overflow(message.qos)
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        said = _said(message.properties)
        arrived = Arrived(topic, bytes(message.payload), message.qos, message.mid, said, message.retain)
        self._hand(self._on_message, arrived)


async def open_link(
    options: Options, on_message: OnMessage, *, room: Room, on_overflow: OnOverflow = lambda _qos: None
) -> Link:
    """Connect.  `on_message` is called in the event loop, `on_overflow` (for what found no room) in another thread.

    Raises `Refused` (the login, the protocol's version) and `LinkLost`.
    """
    link = Link(options, room, on_message, on_overflow)
    connecting = asyncio.create_task(asyncio.to_thread(link._connect))
    try:
        async with asyncio.timeout(2 * options.wait_s):  # several addresses of one name may each take `wait_s`
            await asyncio.shield(connecting)
        link._start()
        async with asyncio.timeout(options.wait_s):
            await link._connack
    except BaseException as e:
        connecting.add_done_callback(_forget)
        await link.close(0.0)
        if isinstance(e, TimeoutError):  # an OSError too, with nothing in its text
            raise LinkLost(f"{options.address} did not answer within {options.wait_s:g} s") from e
        if isinstance(e, OSError | ValueError):  # no such host, refused, a certificate, a WebSocket's handshake
            raise LinkLost(f"{options.address}: {type(e).__name__}: {e}") from e
        raise
    return link


def _value(reason: Any) -> int:
    return int(reason.value)


def _said(properties: Properties | None) -> dict[str, str]:
    said: dict[str, str] = {}
    for name, value in getattr(properties, "UserProperty", ()):
        said.setdefault(name, value)
    return said


def _forget(task: "asyncio.Task[None]") -> None:
    """Its outcome interests nobody any more."""
    if not task.cancelled():
        task.exception()
