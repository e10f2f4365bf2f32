"""Appends to Kafka through one idempotent producer, replaced when it can no longer deliver.

The library's producer retries for ever and never lets a batch expire; it stops for good after an error it cannot
retry (its sequence numbers no longer fit).  So each append has a deadline of ours, and such a producer is replaced.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from telemetry.errors import LogUnavailable
from telemetry.logs._kafka_config import MESSAGE_BYTES_MAX, Config
from telemetry.logs._kafka_errors import RETRY_AFTER_S, TRANSLATED, translate
from telemetry.ports import Position, Record

logger = logging.getLogger(__name__)

DISPOSE_WAIT_S = 5.0
RENEW_PAUSE_S = 1.0


class Appender:
    """Made and started on the running loop."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._producer: AIOKafkaProducer | None = None
        self._waiting_bytes = 0
        self._deadlines: set[asyncio.Timeout] = set()  # of the appends under way
        self._idle = asyncio.Condition()
        self._renewing = asyncio.Lock()
        self._renewed_at_s = 0.0
        self._disposals: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises the client's errors."""
        self._producer = await self._new()

    async def close(self) -> None:
        """Deliver what is queued, for a while; what is still under way then is refused."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DISPOSE_WAIT_S), self._idle:
                    await self._idle.wait_for(lambda: not self._deadlines)
            for deadline in self._deadlines:
                deadline.reschedule(asyncio.get_running_loop().time())
            await _dispose(producer)
        if self._disposals:
            await asyncio.wait(self._disposals)

    async def append(self, topic: str, records: Sequence[Record], size_bytes: int) -> list[Position]:
        """Every record is acknowledged by all in-sync replicas.  Raises `LogUnavailable` and the table's errors."""
        producer = self._producer
        if producer is None:
            raise LogUnavailable("the log is closed")
        if self._waiting_bytes and self._waiting_bytes + size_bytes > self._config.queue_bytes_max:
            raise LogUnavailable(
                f"{self._waiting_bytes} bytes wait for Kafka already: it is slower than what comes in",
                retry_after_s=RETRY_AFTER_S,
            )
        self._waiting_bytes += size_bytes
        try:
            async with asyncio.timeout(self._config.append_timeout_s) as deadline:
                self._deadlines.add(deadline)
                return await _deliver(producer, topic, records)
        except TRANSLATED as e:
            if isinstance(e, KafkaError) and not isinstance(e, KafkaTimeoutError):
                await self._renew(producer)
            raise translate(e, f"appending to {topic}") from e
        finally:
            self._waiting_bytes -= size_bytes
            self._deadlines.discard(deadline)
            if self._producer is None:  # `close` waits for us
                async with self._idle:
                    self._idle.notify_all()

    async def _new(self) -> AIOKafkaProducer:
        config = self._config
        producer = AIOKafkaProducer(
            **config.client(),
            acks="all",
            enable_idempotence=True,
            compression_type=None if config.compression == "none" else config.compression,
            max_batch_size=config.batch_bytes,
            max_request_size=MESSAGE_BYTES_MAX,
            linger_ms=config.linger_s * 1000,
        )
        try:
            async with asyncio.timeout(config.append_timeout_s):
                await producer.start()
        except BaseException:
            await _dispose(producer)
            raise
        return producer

    async def _renew(self, failed: AIOKafkaProducer) -> None:
        """Replace a producer, at most once in `RENEW_PAUSE_S`; without success the next append tries again."""
        async with self._renewing:
            now_s = asyncio.get_running_loop().time()
            if self._producer is not failed or now_s - self._renewed_at_s < RENEW_PAUSE_S:
                return
            self._renewed_at_s = now_s
            try:
                fresh = await self._new()
            except TRANSLATED as e:
                logger.warning("no new Kafka producer: %r", e)
                return
            if self._producer is not failed:  # closed meanwhile
                await _dispose(fresh)
                return
            self._producer = fresh
            logger.warning("the Kafka producer failed and was replaced")
            disposal = asyncio.create_task(_dispose(failed))
            self._disposals.add(disposal)
            disposal.add_done_callback(self._disposals.discard)


async def _deliver(producer: AIOKafkaProducer, topic: str, records: Sequence[Record]) -> list[Position]:
    sent: list[asyncio.Future[Any]] = []
    try:
        for record in records:
            headers = [(name, text.encode()) for name, text in record.headers.items()]
            key = record.key.encode()
            sent.append(await producer.send(topic, record.value, key=key, partition=record.partition, headers=headers))
        done = await asyncio.gather(*sent)
    except BaseException:
        for future in sent:  # nobody will look at these
            future.cancel()
        raise
    if any(metadata.offset < 0 for metadata in done):
        raise LogUnavailable(f"Kafka has the records of {topic} already and does not say where: send them again")
    return [Position(metadata.partition, metadata.offset) for metadata in done]


async def _dispose(producer: AIOKafkaProducer) -> None:
    """Stop it, delivering what it holds; the library waits for that without a deadline."""
    with contextlib.suppress(*TRANSLATED):
        async with asyncio.timeout(DISPOSE_WAIT_S):
            await producer.stop()
            return
    logger.warning("a Kafka producer did not stop in time: what it held was not acknowledged to anybody")
    with contextlib.suppress(*TRANSLATED):
        async with asyncio.timeout(DISPOSE_WAIT_S):
            await producer.client.close()
            await producer._sender.close()  # the library has no public way to end a sender that cannot deliver
