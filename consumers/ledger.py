"""The ledger consumer: completeness by session, from the headers of the log's records alone.

A session's document in the store is its own checkpoint: it carries the offset it covers up to, an older write
never replaces a newer one, and a record below that offset is not counted again.  So no crash, rebalance or zombie
counts a batch twice, and nothing but a bounded cache is held in memory.
"""

import logging
from collections import OrderedDict
from collections.abc import Sequence

from consumers import completeness
from telemetry.errors import Malformed
from telemetry.ports import Entry, Session, Store
from telemetry.records import BatchHeaders

logger = logging.getLogger(__name__)

Key = tuple[str, str]


class Ledger:
    """Keeps `Session` documents current."""

    name = "ledger"

    def __init__(self, store: Store, *, session_cache_max: int) -> None:
        self._store = store
        self._cache: OrderedDict[Key, Session] = OrderedDict()
        self._cache_max = session_cache_max
        self._partitions: dict[int, int] = {}

    async def process(self, entries: Sequence[Entry]) -> None:
        """Count these records; raises `Retryable` when the store must be tried again."""
        self._forget_when_moved(entries)
        batches = [(entry, headers) for entry in entries if (headers := _headers(entry)) is not None]
        keys = dict.fromkeys((h.id.device, h.id.session) for _, h in batches)
        states = await self._states(list(keys))
        for entry, headers in batches:
            key = headers.id.device, headers.id.session
            states[key] = completeness.apply(states.get(key), headers, entry.partition, entry.offset)
        if states:
            await self._store.put_sessions(list(states.values()))
        self._remember(states)

    async def _states(self, keys: Sequence[Key]) -> dict[Key, Session]:
        known = {key: self._cache[key] for key in keys if key in self._cache}
        asked = [key for key in keys if key not in known]
        return known | (await self._store.get_sessions(asked) if asked else {})

    def _remember(self, states: dict[Key, Session]) -> None:
        for key, session in states.items():
            self._cache[key] = session
            self._cache.move_to_end(key)
        while len(self._cache) > self._cache_max:
            self._cache.popitem(last=False)

    def _forget_when_moved(self, entries: Sequence[Entry]) -> None:
        """A jump in a partition's offsets: it was elsewhere meanwhile, or is read again; ask the store anew."""
        for entry in entries:
            expected = self._partitions.get(entry.partition)
            if expected != entry.offset:
                self._cache.clear()
            self._partitions[entry.partition] = entry.offset + 1


def _headers(entry: Entry) -> BatchHeaders | None:
    try:
        return BatchHeaders.of(entry)
    except Malformed as e:  # the index consumer dead-letters it
        logger.warning("not counted: %s", e.message)
        return None
