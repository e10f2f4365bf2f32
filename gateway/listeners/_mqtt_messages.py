"""What one MQTT message becomes: a batch a receipt, a phone's message a count; knows no connection.

A phone never sends again, so what may pass later is tried again here, for a bounded time, in the message's own place.
"""

import logging
from random import Random
from typing import Any

from gateway import receipts
from gateway.auth import check_fresh
from gateway.services import Services
from telemetry import beside, metrics, mqtt
from telemetry.beside import Beside
from telemetry.errors import RateLimited, SensorlineError, TooLarge, Unauthorised
from telemetry.mqtt_connection import Arrived
from telemetry.registry import Holder

logger = logging.getLogger(__name__)

BATCHES_ROUTE = "mqtt:batches"
PHONE_ROUTE = "mqtt:sensor-logger"
FIRST_WAIT_S = 0.25
WAIT_S_MAX = 5.0


class Messages:
    """Works on one message a call; raises nothing but cancellation."""

    def __init__(self, services: Services, random: Random) -> None:
        self._services = services
        self._settings = services.settings.gateway.mqtt
        self._random = random

    async def batch(self, device: str, message: Arrived) -> bytes:
        """A native batch; its receipt, which says stored only when it is durable in the log."""
        digest = mqtt.digest(message.payload)
        try:
            receipt = mqtt.stored(digest, await self._batch(device, message))
        except SensorlineError as e:
            metrics.requests.labels(BATCHES_ROUTE, str(e.status)).inc()
            return mqtt.refused(digest, e)
        except Exception:
            # Whatever fails is a fault of ours: the log gets the trace, and the sender an answer to retry on.
            logger.exception("%s failed", BATCHES_ROUTE)
            metrics.requests.labels(BATCHES_ROUTE, "500").inc()
            return mqtt.failed(digest)
        metrics.requests.labels(BATCHES_ROUTE, "200").inc()
        return receipt

    async def phone(self, device: str, message: Arrived) -> None:
        """A message of Sensor Logger: in the log, or counted with its reason."""
        try:
            await self._until_taken(device, message)
        except SensorlineError as e:
            metrics.requests.labels(PHONE_ROUTE, str(e.status)).inc()
            metrics.mqtt_dropped.labels(e.code).inc()
            logger.info("a message of %s is lost: %s %s", device, e.code, e.message)
        except Exception:
            # a fault of ours, as above; there is nobody to answer
            logger.exception("%s failed", PHONE_ROUTE)
            metrics.requests.labels(PHONE_ROUTE, "500").inc()
            metrics.mqtt_dropped.labels("internal").inc()
        else:
            metrics.requests.labels(PHONE_ROUTE, "200").inc()

    async def _batch(self, device: str, message: Arrived) -> dict[str, Any]:
        holder = self._holder(device, message)
        said = Beside.of_headers(message.said) if message.said else beside.NOTHING
        receipt = await self._take(holder, message, "native", said)
        settings = await receipts.settings_part(self._services.device_settings, holder, said)
        return receipts.stored(receipt, settings)

    async def _until_taken(self, device: str, message: Arrived) -> None:
        clock = self._services.clock
        give_up_s = clock.monotonic_s() + self._settings.phone_wait_s
        step_s = FIRST_WAIT_S
        while True:
            try:
                holder = self._holder(device, message)
                await self._take(holder, message, "sensor_logger", beside.NOTHING)
            except RateLimited:  # its own doing; to wait here would take the places of others
                raise
            except SensorlineError as e:
                wait_s = self._random.uniform(step_s / 2, step_s)
                if not e.retryable or clock.monotonic_s() + wait_s > give_up_s:
                    raise
            else:
                return
            await clock.sleep(wait_s)
            step_s = min(2 * step_s, WAIT_S_MAX)

    def _holder(self, device: str, message: Arrived) -> Holder:
        """Who sends: the broker lets nobody publish under another's topic, the registry says whether it still may."""
        services = self._services
        size_bytes_max = self._settings.message_bytes_max
        if len(message.payload) > size_bytes_max:
            raise TooLarge(f"payload is over {size_bytes_max} bytes: split the batch, or compress it")
        check_fresh(services)
        holder = services.registry.holder_of(device, services.clock.now_ns())
        if holder is None:
            raise Unauthorised(f"{device} is not enrolled here, or has no valid token")
        services.intake.buckets.take(device, services.clock.monotonic_s())
        return holder

    async def _take(self, holder: Holder, message: Arrived, dialect: str, said: Beside) -> Any:
        intake = self._services.intake
        with intake.in_flight.hold(holder.device) as held:
            held.grow(len(message.payload))
            encoding = mqtt.encoding_of(message.payload)
            return await intake.take(message.payload, encoding, dialect, holder, said)
