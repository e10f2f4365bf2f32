"""The anomalies consumer: what detection found, from its topic into the store, where people ask for it.

Delivery: idempotent.  The store keeps the highest version of each, so reading the topic again changes nothing.
"""

import logging
from collections.abc import Sequence

from consumers.into_store import IntoStore
from telemetry.anomaly import Anomaly, decode, newest
from telemetry.errors import Malformed, Retryable
from telemetry.outcome import Reason
from telemetry.ports import DEADLETTERS, Entry, Record

logger = logging.getLogger(__name__)


class Anomalies(IntoStore):
    """Puts anomalies into the store; one counts as received when its opening batch was."""

    name = "anomalies"

    async def process(self, entries: Sequence[Entry]) -> None:
        """Keep these anomalies; raises `Retryable` when store or log must be tried again."""
        await self._refresh()
        letters: list[Record] = []
        found = [(entry, one) for entry in entries if (one := self._decoded(entry, letters)) is not None]
        kept = [(entry, one) for entry, one in found if not self._gone(one)]
        if kept:
            await self._put(kept, letters)
        if letters:
            await self._log.append(DEADLETTERS, letters)
        await self._sweep((one.device, one.received_ns) for _, one in kept)

    def _decoded(self, entry: Entry, letters: list[Record]) -> Anomaly | None:
        """None, and a letter, for what is no anomaly."""
        try:
            return _anomaly_of(entry)
        except Malformed as e:
            letters.append(self._letter(entry, Reason.UNDECODABLE, e.message))
            return None

    async def _put(self, kept: Sequence[tuple[Entry, Anomaly]], letters: list[Record]) -> None:
        """All at once; when the store trips over something unforeseen, one by one, so that only that one falls out."""
        try:
            await self._store.put_anomalies(newest([one for _, one in kept]))
        except (Retryable, MemoryError):
            raise
        except Exception as e:
            # Whatever it is, a poison record must not hold its partition for ever: it is kept as a dead letter.
            logger.exception("%d anomalies cannot be put", len(kept))
            if len(kept) == 1:
                detail = f"{type(e).__name__}: {e}"
                letters.append(self._letter(kept[0][0], Reason.STORE_REFUSED, detail))
                return
            for single in kept:
                await self._put([single], letters)

    def _gone(self, one: Anomaly) -> bool:
        return self._is_deleted(one.device, one.received_ns)


def _anomaly_of(entry: Entry) -> Anomaly:
    """Raises `Malformed`, also for an anomaly under the key of another device: a deletion would not find it."""
    one = decode(entry.value or b"")
    if one.device != entry.key:
        raise Malformed(f"an anomaly of {one.device[:80]!r} under another key")
    return one
