"""Everything in one stream: who may send, labels, what nobody could store yet, anomalies, each stored batch rebuilt."""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated

import zstandard
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import StreamingResponse

from gateway import letters, rebuilt
from gateway.access import Principal, Role, require, while_held
from gateway.answers import Asked, within
from gateway.openapi import guarded
from gateway.scan import scan
from gateway.services import Services
from telemetry import anomaly, errors, wire
from telemetry.backup import end_line, head_line, record_line
from telemetry.batch import Batch
from telemetry.beside import Beside
from telemetry.ports import (
    ANOMALIES,
    AUDIT,
    BATCHES,
    DEADLETTERS,
    DEVICES,
    LABELS,
    MODELS,
    Claim,
    DeviceSeen,
    Position,
    Record,
)
from telemetry.records import BatchHeaders, anomaly_record, newest_ns
from telemetry.registered_people import SESSION_PREFIX
from telemetry.session_clock import UNKNOWN

logger = logging.getLogger(__name__)

COPIED = (DEVICES, LABELS, MODELS, AUDIT)
"""As they are.  Left out: checkpoints, which hold positions of this log.

Anomalies come from the store, as they are now: the log may keep less of them, and found again from what is left of the
readings they might be others than those that people have labelled.
"""

COMPRESSION_LEVEL = 3
CHUNK_BYTES = 64 * 2**10
ANOMALIES_PAGE = 200

router = APIRouter(prefix="/v1", tags=["operate"])


@router.get(
    "/backup",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "JSON lines, zstd: a first line that names the format, records, a last line that counts "
            "them. Without the last line it is not whole.",
            "content": {"application/zstd": {"schema": {"type": "string", "format": "binary"}}},
        },
        **guarded(errors.LogUnavailable, errors.StoreUnavailable),
    },
)
async def backup(
    services: Asked, request: Request, principal: Annotated[Principal, Depends(require(Role.ADMIN))]
) -> StreamingResponse:
    """Devices, labels, models, the audit trail, dead letters not replayed, anomalies, and every batch rebuilt.

    A batch is rebuilt from its rows in the store: what was expired or pruned of it is lacking, a tombstone does not
    come back, and nothing does of a batch that is kept as windows only.
    """
    async with services.audit.change(principal.name, "backup", "everything"):
        lines = _Lines(services)
        seen = await within(services, services.store.devices())
    body = while_held(request, Role.ADMIN, _compressed(lines.all(seen)))
    headers = {"Content-Disposition": 'attachment; filename="sensorline-backup.jsonl.zst"'}
    return StreamingResponse(body, headers=headers, media_type="application/zstd")


class _Lines:
    """The lines of one backup, counted."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._counts: Counter[str] = Counter()
        self._not_rebuilt = 0

    async def all(self, seen: list[DeviceSeen]) -> AsyncGenerator[bytes, None]:
        """From the first to the last."""
        yield head_line(self._services.clock.now_ns())
        async for line in self._topics():
            yield line
        async for line in self._dead_letters():
            yield line
        async for line in self._anomalies():
            yield line
        for device in seen:
            async with aclosing(self._batches(device)) as lines:
                async for line in lines:
                    yield line
        yield end_line(self._counts, self._not_rebuilt)

    async def _topics(self) -> AsyncIterator[bytes]:
        for topic in COPIED:
            async with aclosing(scan(self._services.log, topic)) as entries:
                async for entry in entries:
                    if entry.key.startswith(SESSION_PREFIX):
                        continue  # who is logged in now is none of another station's business
                    self._counts[topic.name] += 1
                    yield record_line(topic, Record(entry.key, entry.value, entry.headers))

    async def _dead_letters(self) -> AsyncIterator[bytes]:
        """Those not replayed: markers name positions that another log does not have."""
        waiting = await letters.pending(self._services.log)
        async with aclosing(scan(self._services.log, DEADLETTERS)) as entries:
            async for entry in entries:
                if Position(entry.partition, entry.offset) in waiting:
                    self._counts[DEADLETTERS.name] += 1
                    yield record_line(DEADLETTERS, Record(entry.key, entry.value, entry.headers))

    async def _anomalies(self) -> AsyncIterator[bytes]:
        """Each whole, at its last version."""
        store, after = self._services.store, None
        while page := await within(self._services, store.anomalies(anomaly.Asked(limit=ANOMALIES_PAGE, after=after))):
            after = page[-1].start_ns, page[-1].id
            for listed in page:
                one = await within(self._services, store.anomaly(listed.id))
                if one is not None and not self._services.registry.is_deleted(one.device, one.received_ns):
                    self._counts[ANOMALIES.name] += 1
                    yield record_line(ANOMALIES, anomaly_record(one))

    async def _batches(self, seen: DeviceSeen) -> AsyncGenerator[bytes, None]:
        claims = _Claims(self._services, seen.device)
        async with aclosing(rebuilt.batches(self._services, seen.device, seen.sensors)) as batches:
            async for batch in batches:
                claim = await claims.of(batch)
                if not self._services.registry.is_deleted(seen.device, claim.received_ns):
                    self._counts[BATCHES.name] += 1
                    yield record_line(BATCHES, _record(batch, claim, claims.said(claim)))
        self._not_rebuilt += claims.not_met()


class _Claims:
    """The claims of one device, a session at a time: they come with the batches, which are in the same order."""

    def __init__(self, services: Services, device: str) -> None:
        self._services = services
        self._device = device
        self._session: str | None = None
        self._claims: dict[int, Claim] = {}
        self._clock = UNKNOWN
        self._left = 0

    def not_met(self) -> int:
        """Claims, of the sessions met, whose batch was not: tombstones, and what was expired or pruned whole."""
        return self._left + len(self._claims)

    async def of(self, batch: Batch) -> Claim:
        """The batch's claim; one that was pruned meanwhile is made from the batch itself."""
        if batch.session != self._session:
            self._left += len(self._claims)
            found = await within(self._services, self._services.store.claims(self._device, batch.session))
            self._session, self._claims = batch.session, {c.id.seq: c for c in found}
            key = self._device, batch.session
            kept = (await within(self._services, self._services.store.get_sessions([key]))).get(key)
            self._clock = UNKNOWN if kept is None else kept.clock
        claim = self._claims.pop(batch.seq, None)
        if claim is None:
            logger.warning("%s has rows and no claim: backed up under the hash of its rows", batch.id)
            own = wire.content_hash(wire.encode(batch))
            received_ns = max(int(series.t.max()) for series in batch.series)
            claim = Claim(batch.id, own, received_ns, batch.readings, 0)
        return claim

    def said(self, claim: Claim) -> Beside:
        """What was said beside the batches of its session is gone with the log: so say what the ledger made of it."""
        clock = self._clock
        sent_ns = claim.received_ns - clock.offset_ns if clock.offset_ns is not None and clock.basis == "sent" else None
        return Beside(sent_ns, clock.synchronised, clock.correction_ns)


def _record(batch: Batch, claim: Claim, said: Beside) -> Record:
    """As the gateway wrote it once, with the hash that it was claimed under."""
    headers = BatchHeaders(
        batch.id, claim.content_hash, batch.readings, claim.received_ns, said=said, newest_ns=newest_ns(batch)
    )
    return Record(batch.device, wire.encode(batch), headers.to_map())


async def _compressed(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """One zstd frame, some 64 KiB at a time."""
    packer = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compressobj()
    held: list[bytes] = []
    size_bytes = 0
    async with aclosing(lines):
        async for line in lines:
            if packed := packer.compress(line):
                held.append(packed)
                size_bytes += len(packed)
            if size_bytes >= CHUNK_BYTES:
                yield b"".join(held)
                held, size_bytes = [], 0
    yield b"".join(held) + packer.flush()
