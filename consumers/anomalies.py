"""The anomalies consumer: what detection found, from its topic into the store, where people ask for it.

Delivery: idempotent.  The store keeps the highest version of each, so reading the topic again changes nothing.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence

from consumers.letters import letter
from telemetry.anomaly import Anomaly, decode, newest
from telemetry.clock import Clock
from telemetry.errors import Malformed, Retryable
from telemetry.outcome import Reason
from telemetry.ports import DEADLETTERS, Entry, Log, Record, Store

logger = logging.getLogger(__name__)

IsDeleted = Callable[[str, int], bool]


class Anomalies:
    """Puts anomalies into the store.

    `is_deleted(device, received_ns)` says whether an anomaly (by when its opening batch was received) belongs to a
    deleted device, as of the last `refresh`; it is asked before and after a write, so that a deletion meanwhile wins.
    """

    name = "anomalies"

    def __init__(
        self, log: Log, store: Store, clock: Clock, is_deleted: IsDeleted, refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self._log = log
        self._store = store
        self._clock = clock
        self._is_deleted = is_deleted
        self._refresh = refresh

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
        await self._sweep([one for _, one in kept])

    def _decoded(self, entry: Entry, letters: list[Record]) -> Anomaly | None:
        """None, and a letter, for what is no anomaly."""
        try:
            return _anomaly_of(entry)
        except Malformed as e:
            letters.append(letter(entry, Reason.UNDECODABLE, e.message, self._clock.now_ns()))
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
                letters.append(letter(kept[0][0], Reason.STORE_REFUSED, detail, self._clock.now_ns()))
                return
            for single in kept:
                await self._put([single], letters)

    def _gone(self, one: Anomaly) -> bool:
        return self._is_deleted(one.device, one.received_ns)

    async def _sweep(self, put: Sequence[Anomaly]) -> None:
        """A device that was deleted while its anomalies were being put: remove them."""
        await self._refresh()
        for device in {one.device for one in put if self._gone(one)}:
            await self._store.delete_device(device)


def _anomaly_of(entry: Entry) -> Anomaly:
    """Raises `Malformed`, also for an anomaly under the key of another device: a deletion would not find it."""
    one = decode(entry.value or b"")
    if one.device != entry.key:
        raise Malformed(f"an anomaly of {one.device[:80]!r} under another key")
    return one
