"""A record to a stream: made what watchers see, if it may be seen at all.  Pure but for the registry's look-up."""

import logging
from collections.abc import Callable

from gateway.live.seen import SeenAnomaly, SeenBatch
from gateway.live.stream import Place
from telemetry.errors import Malformed
from telemetry.ports import ANOMALIES, Entry

logger = logging.getLogger(__name__)

Seen = SeenBatch | SeenAnomaly
IsDeleted = Callable[[str, int], bool]


def seen_of(entry: Entry, is_deleted: IsDeleted) -> Seen | None:
    """What watchers see of it; None for a deleted device's, and for what cannot be read (the consumers tell of it)."""
    try:
        seen: Seen = SeenAnomaly(entry) if entry.topic == ANOMALIES.name else SeenBatch(entry)
    except Malformed as e:
        logger.debug("not shown to watchers: %s", e.message)
        return None
    return None if is_deleted(seen.device, seen.received_ns) else seen


def offsets(place: Place, entry: Entry) -> dict[int, int]:
    """The offsets of a place that this record moves on."""
    return place.anomalies if entry.topic == ANOMALIES.name else place.batches
