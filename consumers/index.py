"""The index consumer: batches of the log become rows of the store, each reading ending in one named outcome."""

import asyncio
import logging
from collections.abc import Sequence

from consumers.into_store import IntoStore
from telemetry import metrics
from telemetry.errors import Malformed, Retryable
from telemetry.outcome import Outcome, Reason
from telemetry.ports import DEADLETTERS, Entry, Item, Record, Written
from telemetry.records import item_of

logger = logging.getLogger(__name__)

DECODE_SLICE = 8  # batches decoded before other tasks of the process get their turn


class Index(IntoStore):
    """Writes batches to the store."""

    name = "index"

    async def process(self, entries: Sequence[Entry]) -> None:
        """Store these batches; raises `Retryable` when store or log must be tried again."""
        await self._refresh()
        letters: list[Record] = []
        items = await self._decode(entries, letters)
        kept = [item for item in items if not self._gone(item)]
        metrics.outcomes.labels(Outcome.DELETED).inc(sum(i.batch.readings for i in items) - _readings(kept))
        by_position = {(e.partition, e.offset): e for e in entries}
        for item, written in zip(kept, await self._write(kept), strict=True):
            _count(written)
            if written.reason is not None:
                entry = by_position[item.partition, item.offset]
                letters.append(self._letter(entry, written.reason, written.detail))
        if letters:
            await self._log.append(DEADLETTERS, letters)
        await self._sweep((item.batch.device, item.received_ns) for item in kept)

    async def _decode(self, entries: Sequence[Entry], letters: list[Record]) -> list[Item]:
        items: list[Item] = []
        for k, entry in enumerate(entries):
            try:
                items.append(item_of(entry))
            except Malformed as e:
                letters.append(self._letter(entry, Reason.UNDECODABLE, e.message))
            if k % DECODE_SLICE == DECODE_SLICE - 1:
                await asyncio.sleep(0)
        return items

    async def _write(self, items: Sequence[Item]) -> list[Written]:
        """Write all; when the store trips over something unforeseen, one by one, so that only that one falls out."""
        if not items:
            return []
        try:
            return await self._store.write(items)
        except (Retryable, MemoryError):
            raise
        except Exception as e:
            # Whatever it is, a poison record must not hold its partition for ever: it is kept as a dead letter.
            logger.exception("a batch of %d records cannot be written; trying one by one", len(items))
            if len(items) == 1:
                detail = f"{type(e).__name__}: {e}"[:1000]
                return [Written(dead_lettered=items[0].batch.readings, reason=Reason.STORE_REFUSED, detail=detail)]
            return [written for item in items for written in await self._write([item])]

    def _gone(self, item: Item) -> bool:
        return self._is_deleted(item.batch.device, item.received_ns)


def _readings(items: Sequence[Item]) -> int:
    return sum(item.batch.readings for item in items)


def _count(written: Written) -> None:
    for outcome, readings in (
        (Outcome.STORED, written.stored),
        (Outcome.SUMMARISED, written.summarised),
        (Outcome.DUPLICATE, written.duplicate),
        (Outcome.EXPIRED, written.expired),
        (Outcome.DEAD_LETTERED, written.dead_lettered),
    ):
        if readings:
            metrics.outcomes.labels(outcome).inc(readings)
