"""The one use case of the gateway: a message's bytes become batches in the log, and only then a receipt.

Knows no protocol: listeners hand over bytes, what they know of the encoding, and whose token it was.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from gateway.limits import Buckets, InFlight
from telemetry import beside, compression, failpoints, metrics
from telemetry.batch import BatchId, Receipt
from telemetry.beside import Beside
from telemetry.clock import Clock
from telemetry.dialects import load_dialect
from telemetry.enrolment import Enrolment
from telemetry.errors import Conflict, Forbidden, LogUnavailable, SensorlineError
from telemetry.ports import BATCHES, Dialect, Log, Parsed, Record
from telemetry.records import batch_record
from telemetry.registry import Holder, Registry
from telemetry.settings import Gateway

REMEMBERED_MAX = 50_000  # batches whose hash is remembered, about 300 bytes each


class Memory:
    """The hashes of batches that are durable in the log, the latest `size_max` of them."""

    def __init__(self, size_max: int = REMEMBERED_MAX) -> None:
        self._size_max = size_max
        self._hashes: OrderedDict[tuple[str, BatchId], str] = OrderedDict()

    def knows(self, enrolment: str, record: Record, batch_id: BatchId) -> bool:
        """True when just this is in the log already; raises `Conflict` when other content is."""
        kept = self._hashes.get((enrolment, batch_id))
        if kept is not None and kept != record.headers["hash"]:
            raise Conflict(
                f"session {batch_id.session} seq {batch_id.seq} was sent with other content; the first is kept"
            )
        return kept is not None

    def keep(self, enrolment: str, record: Record, batch_id: BatchId) -> None:
        """It is durable now."""
        self._hashes.setdefault((enrolment, batch_id), record.headers["hash"])
        if len(self._hashes) > self._size_max:
            self._hashes.popitem(last=False)


class Intake:
    """Takes messages.  `buckets` and `in_flight` are for the listeners, which see a request before its body."""

    def __init__(self, settings: Gateway, clock: Clock, log: Log, registry: Registry, enrolment: Enrolment) -> None:
        limits = settings.limits
        self.limits = limits
        self.buckets = Buckets(per_s=limits.requests_per_s, burst=limits.requests_burst)
        self.in_flight = InFlight(limits.in_flight_bytes_max, limits.body_bytes_max)
        self._append_wait_s = settings.append_wait_s
        self._clock = clock
        self._log = log
        self._registry = registry
        self._enrolment = enrolment
        self._memory = Memory()
        self._dialects: dict[str, Dialect] = {}

    async def take(
        self, body: bytes, encoding: str | None, dialect: str, holder: Holder, said: Beside = beside.NOTHING
    ) -> Receipt | None:
        """The receipt of a message that is durable in the log; None for a test push, which stores nothing.

        `said` travelled beside it.

        Raises what `compression.inflate` and the dialect raise, `Forbidden` (another device's), `Conflict`, `Invalid`,
        and `LogUnavailable`, `LogFull` or `TooLarge` of the log: then nothing was acknowledged.
        """
        try:
            return await self._take(body, encoding, dialect, holder, said)
        except SensorlineError as e:
            metrics.batches_refused.labels(e.code).inc()
            raise

    async def _take(
        self, body: bytes, encoding: str | None, dialect: str, holder: Holder, said: Beside
    ) -> Receipt | None:
        received_ns = max(self._clock.now_ns(), holder.registered_ns)
        inflated = compression.inflate(body, encoding, size_bytes_max=self.limits.inflated_bytes_max)
        sender = replace(holder.sender, received_ns=received_ns)
        parsed = self._dialect(dialect).parse(inflated, sender, readings_max=self.limits.readings_max)
        await self._check_source(parsed, holder)
        if parsed.is_test:
            return None
        rejected = sum(parsed.rejected.values())
        records = [
            batch_record(batch, received_ns=received_ns, dialect=dialect, rejected=0 if k else rejected, said=said)
            for k, batch in enumerate(parsed.batches)
        ]
        fresh = [
            (batch.id, record)
            for batch, record in zip(parsed.batches, records, strict=True)
            if not self._memory.knows(holder.enrolment, record, batch.id)
        ]
        if fresh:
            await self._append([record for _, record in fresh], holder)
            for batch_id, record in fresh:
                self._memory.keep(holder.enrolment, record, batch_id)
            _count(parsed, dialect)
        return _receipt(parsed, duplicate=not fresh)

    def _dialect(self, name: str) -> Dialect:
        if name not in self._dialects:
            self._dialects[name] = load_dialect(name)
        return self._dialects[name]

    async def _check_source(self, parsed: Parsed, holder: Holder) -> None:
        if parsed.source_id is None or parsed.source_id == holder.source_id or parsed.source_id in holder.also_pinned:
            return
        pinned = await self._enrolment.pin(holder, parsed.source_id)
        if pinned != parsed.source_id:
            raise Forbidden(
                f"this token of {holder.device} is used by another phone (its deviceId is another); "
                "rotate the token to move to this phone",
                path="$.deviceId",
            )

    async def _append(self, records: Sequence[Record], holder: Holder) -> None:
        failpoints.passing("gateway.before_append")
        began_s = time.perf_counter()
        with self.in_flight.hold(holder.device) as held:
            held.grow(sum(len(r.value or b"") for r in records))
            try:
                async with asyncio.timeout(self._append_wait_s):
                    await self._log.append(BATCHES, records)
            except TimeoutError as e:
                raise LogUnavailable("the log did not acknowledge in time; send it again", retry_after_s=1.0) from e
        metrics.append_seconds.observe(time.perf_counter() - began_s)
        failpoints.passing("gateway.after_append")


def _count(parsed: Parsed, dialect: str) -> None:
    metrics.readings_accepted.labels(dialect).inc(sum(b.readings for b in parsed.batches))
    for reason, n in parsed.rejected.items():
        metrics.readings_rejected.labels(reason).inc(n)
    if parsed.unknown:
        metrics.readings_unknown.inc(sum(parsed.unknown.values()))


def _receipt(parsed: Parsed, *, duplicate: bool) -> Receipt:
    first = parsed.batches[0]
    readings = sum(b.readings for b in parsed.batches)
    rejected = {str(reason): n for reason, n in parsed.rejected.items()}
    return Receipt(first.device, first.session, first.seq, readings, rejected, duplicate)
