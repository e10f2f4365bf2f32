"""Listener `mqtt`: a member of a shared subscription; the far end is `edge/transports/mqtt.py`.

A message is acknowledged to the broker, and its receipt published, only when the log has it or it was refused for
good: so nothing that came is lost, and nothing that is refused comes again.  A clean start and no session: what was
not acknowledged when the connection ended is the edge's to send again, to whichever gateway is there.

Bounded: `in_flight_max` messages of QoS 1 are worked on (the broker is told so as ReceiveMaximum, and Mosquitto 2.0.11
at times sends more), `waiting_max` more of each QoS wait; beyond that they are dropped and counted, and an edge hears
no receipt and sends again.  A broker that is away takes nothing else down: it is tried again for ever.
"""

import asyncio
import contextlib
import logging
import math
import secrets
from pathlib import Path
from random import Random

from gateway.listeners._mqtt_messages import Messages
from gateway.services import Services
from telemetry import metrics, mqtt
from telemetry.errors import Misconfigured, SensorlineError
from telemetry.mqtt_connection import Arrived, LinkLost, Login, Options, Room
from telemetry.mqtt_link import Link, open_link

logger = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
WAIT_S_MAX = 30.0
STEADY_S = 10.0  # a connection that lived so long was no failure: the waits begin anew
RECEIPT_WAIT_S = 5.0
PACKET_FACTOR = 2  # what is a little too large is received and refused with a receipt, the rest stays at the broker
CLOSE_WAIT_S = 1.0
WARN_EVERY_S = 60.0


class Listener:
    """Runs from `start` to `stop`."""

    def __init__(self, services: Services, *, random: Random | None = None) -> None:
        """Raises `Misconfigured` for a bad URL or a password that is not there."""
        self._settings = services.settings.gateway.mqtt
        self._services = services
        self._stop_wait_s = services.settings.gateway.stop_wait_s
        self._random = random or Random()
        self._address = mqtt.parse_url(self._settings.url)
        self._filters = mqtt.shared(self._settings.group)
        self._messages = Messages(services, self._random)
        self._room = Room({0: self._settings.waiting_max, 1: self._settings.in_flight_max + self._settings.waiting_max})
        self._at_work = asyncio.Semaphore(self._settings.in_flight_max)
        self._link: Link | None = None
        self._warn_again_s = -math.inf
        self._serving: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        self._login()
        if self._settings.username and not self._address.is_tls and not self._address.is_loopback:
            logger.warning("the gateway's password travels to %s in the clear", self._address)

    @property
    def in_hand(self) -> int:
        """Messages that are being worked on."""
        return len(self._serving)

    async def start(self) -> None:
        """Begin to connect; does not wait for the broker."""
        self._services.mqtt.state = "disconnected"
        self._running = asyncio.create_task(self._run(), name="mqtt listener")

    async def stop(self) -> None:
        """Take no more, finish what is in hand, say goodbye; within the gateway's deadline."""
        link = self._link
        if link is not None and link.is_open:
            with contextlib.suppress(LinkLost, TimeoutError):  # a broker that does not hear us must not keep us here
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await link.unsubscribe(self._filters)
        if self._serving:
            _, late = await asyncio.wait(set(self._serving), timeout=max(0.1, self._stop_wait_s - CLOSE_WAIT_S))
            for task in late:
                task.cancel()
            if late:
                logger.warning("%d MQTT messages were not finished in %g s", len(late), self._stop_wait_s)
                metrics.mqtt_dropped.labels("stopped").inc(len(late))
                await asyncio.wait(late)
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        if link is not None:
            await link.close(CLOSE_WAIT_S)
        self._is("disconnected", "stopped")

    # --- the connection

    async def _run(self) -> None:
        """Connect, and connect again, for ever."""
        clock = self._services.clock
        step_s = FIRST_WAIT_S
        while True:
            began_s = clock.monotonic_s()
            try:
                self._link = await self._open()
                self._is("connected")
                why = await self._link.ended()
                await self._link.close(0.0)
            except SensorlineError as e:
                why = e.message
            self._is("disconnected", why)
            step_s = FIRST_WAIT_S if clock.monotonic_s() - began_s > STEADY_S else min(2 * step_s, WAIT_S_MAX)
            await clock.sleep(self._random.uniform(step_s / 2, step_s))

    async def _open(self) -> Link:
        settings = self._settings
        options = Options(
            self._address,
            client_id=f"sl-gateway-{secrets.token_hex(8)}",
            login=await asyncio.to_thread(self._login),
            cafile=Path(settings.cafile) if settings.cafile else None,
            keepalive_s=settings.keepalive_s,
            wait_s=settings.connect_wait_s,
            receive_max=settings.in_flight_max,
            packet_bytes_max=PACKET_FACTOR * settings.message_bytes_max,
            manual_ack=True,
        )
        link = await open_link(options, self._arrived, room=self._room, on_overflow=self._overflowed)
        try:
            self._link = link  # messages may come before the subscription is confirmed
            await link.subscribe(self._filters)
        except BaseException:
            await link.close(0.0)
            raise
        return link

    def _login(self) -> Login | None:
        """The account, its password read anew for each connection, so that it can be changed."""
        if not self._settings.username:
            return None
        file = Path(self._settings.password_file)
        try:
            return Login(self._settings.username, file.read_text().strip())
        except (OSError, UnicodeDecodeError) as e:
            path = "gateway.mqtt.password_file"
            raise Misconfigured(f"setting {path}: {type(e).__name__} at {file}", path=path) from e

    def _is(self, state: str, why: str = "") -> None:
        now = self._services.mqtt
        if state == "connected":
            now.state, now.reason = "connected", ""
            logger.info("subscribed at %s as one of %s", self._address, self._settings.group)
        else:
            if now.state == "connected" or now.reason != why:
                logger.warning("no connection to the broker at %s: %s", self._address, why)
            now.state, now.reason = "disconnected", why
        metrics.mqtt_connected.set(state == "connected")

    # --- messages

    def _arrived(self, message: Arrived) -> None:
        assert self._link is not None  # noqa: S101 - nothing comes before the subscription
        task = asyncio.create_task(self._serve(self._link, message))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, link: Link, message: Arrived) -> None:
        try:
            if message.qos:
                async with self._at_work:
                    await self._work(link, message)
                    link.ack(message)
            else:
                await self._work(link, message)
        finally:
            link.done(message)

    async def _work(self, link: Link, message: Arrived) -> None:
        match mqtt.parse_topic(message.topic):
            case (mqtt.Kind.BATCHES, device):
                await self._answer(link, device, await self._messages.batch(device, message))
            case (_, device):
                await self._messages.phone(device, message)
            case None:
                metrics.mqtt_dropped.labels("bad_topic").inc()

    async def _answer(self, link: Link, device: str, receipt: bytes) -> None:
        """Publish the receipt and wait until the broker has it, so that a slow broker slows us and is not buried."""
        try:
            async with asyncio.timeout(RECEIPT_WAIT_S):
                await link.publish(mqtt.receipts_topic(device), receipt)
        except (LinkLost, TimeoutError):  # the edge hears nothing, sends again, and is told that it was a duplicate
            metrics.mqtt_receipts_lost.inc()

    def _overflowed(self, _qos: int) -> None:
        """Called in the library's thread."""
        metrics.mqtt_dropped.labels("overflow").inc()
        now_s = self._services.clock.monotonic_s()
        if now_s > self._warn_again_s:
            self._warn_again_s = now_s + WARN_EVERY_S
            logger.warning("no room for more MQTT messages: some are dropped, as sensorline_mqtt_dropped counts")
