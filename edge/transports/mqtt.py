"""Transport `mqtt`: publishes batches with QoS 1 and waits for the gateway's receipt; the far end is
`gateway/listeners/mqtt.py`.

Delivery: at most once a call.  The broker's PUBACK frees nothing: only the receipt says that the log has the batch.
A call without one may have been stored: send the same bytes again.

The connection is made when something is sent and there is none, so the caller's growing, jittered waits are also
those between connections; whatever was waiting when a connection ended is silence at once.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.transports import ANSWER_BYTES_MAX, Answer
from telemetry import compression, mqtt
from telemetry.clock import Clock
from telemetry.errors import Misconfigured
from telemetry.mqtt_connection import (
    FAILURE,
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
from telemetry.mqtt_link import Link, open_link

logger = logging.getLogger(__name__)

RECEIPTS_MAX = 64  # on their way from the library's thread; one is waited for a lane
HEADER_BYTES_MAX = 1024  # what an MQTT packet has around its payload: topic, properties
CLOSE_WAIT_S = 2.0


class Config(BaseModel):
    """Settings under [adapters.mqtt] of an edge's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="of the broker: mqtt://, mqtts://, ws:// or wss://, e.g. mqtts://station.example")
    cafile: Path | None = Field(None, description="authority of a broker with a certificate of its own")
    encoding: Literal["zstd", "gzip", "identity"] = "zstd"
    deadline_s: float = Field(30.0, gt=0, le=600, description="of one send, the receipt included")
    connect_wait_s: float = Field(10.0, gt=0, le=60, description="for the broker's answer to a connection")
    keepalive_s: int = Field(30, ge=5, le=3600)
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    payload_bytes_max: int = Field(mqtt.PAYLOAD_BYTES_MAX, gt=0, description="what the gateway takes, on the wire")
    plain_mqtt_anywhere: bool = Field(default=False, description="send the token without TLS beyond this machine")


def open(config: Config, *, device: str, token: Callable[[], str], clock: Clock, folder: Path) -> "MqttTransport":  # noqa: A001 - the port's word
    """The way to the gateway; connects when something is sent.  Raises `Misconfigured`."""
    address = mqtt.parse_url(config.url)
    if not address.is_tls and not config.plain_mqtt_anywhere and not address.is_loopback:
        raise Misconfigured(
            "setting adapters.mqtt.url: the token would travel in the clear: use mqtts:// or wss://, "
            "or set plain_mqtt_anywhere = true on a network of your own",
            path="adapters.mqtt.url",
        )
    cafile = None if config.cafile is None else folder / config.cafile
    if cafile is not None and not cafile.is_file():
        raise Misconfigured(f"setting adapters.mqtt.cafile: there is no {cafile}", path="adapters.mqtt.cafile")
    return MqttTransport(config, address, device=device, token=token, cafile=cafile)


class MqttTransport:
    """One device's place at the broker."""

    def __init__(
        self,
        config: Config,
        address: mqtt.Address,
        *,
        device: str,
        token: Callable[[], str],
        cafile: Path | None = None,
    ) -> None:
        self._config = config
        self._address = address
        self._device = device
        self._token = token
        self._cafile = cafile
        self._version = V311 if config.protocol == "3.1.1" else V5
        self._client_id = f"sl-{secrets.token_hex(8)}"  # a clone of this machine must not push it off the broker
        self._room = Room({0: RECEIPTS_MAX, 1: RECEIPTS_MAX})
        self._link: Link | None = None
        self._link_token = ""
        self._opening = asyncio.Lock()
        self._waiting: dict[str, set[asyncio.Future[mqtt.Said]]] = {}

    async def send(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Publish once and wait for the receipt; see `Transport.send`."""
        payload = compression.deflate(body, self._config.encoding)
        try:
            async with asyncio.timeout(self._config.deadline_s):
                link = await self._connected()
                if len(payload) > self._payload_bytes_max(link):
                    return Answer(413, code="too_large", detail=f"{len(payload)} bytes are too many for one message")
                return await self._receipt(link, payload, headers or {})
        except TimeoutError:
            return Answer(None, detail=f"no receipt within {self._config.deadline_s:g} s")
        except Refused as e:
            return _refusal(e)
        except LinkLost as e:
            return Answer(None, detail=e.message)

    async def close(self) -> None:
        """Let the connection go."""
        async with self._opening:
            link, self._link = self._link, None
            if link is not None:
                await link.close(CLOSE_WAIT_S)

    # --- the receipt

    async def _receipt(self, link: Link, payload: bytes, headers: Mapping[str, str]) -> Answer:
        digest = mqtt.digest(payload)
        receipt: asyncio.Future[mqtt.Said] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(digest, set()).add(receipt)
        ended = asyncio.create_task(link.ended())
        taken: asyncio.Future[int] | None = None
        try:
            expires_s = self._config.deadline_s  # later it would be stored all the same, but the next try is better
            taken = link.publish(mqtt.batches_topic(self._device), payload, said=headers, expires_s=expires_s)
            words: set[asyncio.Future[Any]] = {receipt, ended}
            await asyncio.wait({*words, taken}, return_when=asyncio.FIRST_COMPLETED)
            if not receipt.done() and not ended.done():
                _check_taken(taken.result())
                await asyncio.wait(words, return_when=asyncio.FIRST_COMPLETED)
            if receipt.done():
                said = receipt.result()
                return Answer(said.http, said.retry_after_s, said.code, said.detail, said.body)
            return Answer(None, detail=ended.result())
        finally:
            ended.cancel()
            if taken is not None and not taken.done() and not receipt.done():
                link.cut()  # not even the broker answers: nothing may stay in the library to be sent later
            self._forget(digest, receipt)

    def _heard(self, message: Arrived) -> None:
        """A receipt came, for one who waits or, late, for nobody: then the next try is told that it is stored."""
        self._room.give(message.qos)
        said = mqtt.read_receipt(message.payload) if len(message.payload) <= ANSWER_BYTES_MAX else None
        if said is None:
            logger.warning("what came to %s is no receipt", message.topic)
            return
        for receipt in self._waiting.get(said.payload, ()):
            if not receipt.done():
                receipt.set_result(said)

    def _forget(self, digest: str, receipt: "asyncio.Future[mqtt.Said]") -> None:
        waiting = self._waiting[digest]
        waiting.discard(receipt)
        if not waiting:
            del self._waiting[digest]

    # --- the connection

    async def _connected(self) -> Link:
        """The connection, made anew when it has ended or the token is another; raises `LinkLost`."""
        async with self._opening:
            token = self._token()
            link = self._link
            if link is not None and link.is_open and token == self._link_token:
                return link
            if link is not None:
                self._link = None
                await link.close(CLOSE_WAIT_S)
            self._link = await self._open(token)
            self._link_token = token
            return self._link

    async def _open(self, token: str) -> Link:
        try:
            return await self._subscribed(token, self._version)
        except (Refused, Unanswered) as e:
            if self._config.protocol != "auto" or self._version != V5:
                raise
            if isinstance(e, Refused) and e.reason != UNSUPPORTED_VERSION:
                raise
            link = await self._subscribed(token, V311)
            logger.info("%s does not speak MQTT 5 (%s): going on with 3.1.1", self._address, e.message)
            if isinstance(e, Refused):  # it said so; one that only hung up is asked again the next time
                self._version = V311
            return link

    async def _subscribed(self, token: str, version: int) -> Link:
        options = Options(
            self._address,
            self._client_id,
            Login(mqtt.username(self._device, token), token),
            self._cafile,
            version=version,
            keepalive_s=self._config.keepalive_s,
            wait_s=self._config.connect_wait_s,
        )
        link = await open_link(options, self._heard, room=self._room)
        try:
            await link.subscribe([mqtt.receipts_topic(self._device)])
        except BaseException:
            await link.close(0.0)
            raise
        return link

    def _payload_bytes_max(self, link: Link) -> int:
        broker_bytes_max = link.packet_bytes_max or 2**28
        return min(self._config.payload_bytes_max, broker_bytes_max - HEADER_BYTES_MAX)


def _check_taken(reason: int) -> None:
    if reason >= FAILURE:
        raise Refused(f"the broker does not take the batch (0x{reason:02x})", reason)


def _refusal(refused: Refused) -> Answer:
    """A login that is not right holds the lane, as over HTTP; all else may pass."""
    if isinstance(refused, LoginRefused):
        return Answer(401, code="unauthorised", detail=refused.message)
    if refused.reason in (NOT_AUTHORISED, FAILURE):  # 3.1.1 has but one word for every failed subscription
        return Answer(403, code="forbidden", detail=refused.message)
    return Answer(None, detail=refused.message)
