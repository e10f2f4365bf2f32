"""What was told of which anomaly by which channel, so that a restart repeats nothing and an update is no news.

In the `checkpoints` topic, in the partition of its device's anomalies: `alert/<anomaly id>` -> `Value`.
It is written before the group's commit covers the anomaly.  It goes once that is over, committed, and so old that a
detector which writes it once more would raise no alert.
"""

import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from contextlib import aclosing

import msgspec

from consumers import checkpoints
from consumers.alerting import CLOSED, Item
from telemetry.ports import Entry, Log, Record

logger = logging.getLogger(__name__)

PREFIX = "alert/"
KEPT_MAX = 50_000


class Value(msgspec.Struct, frozen=True):
    """A record."""

    told: dict[str, int]
    lost: dict[str, int]
    is_over: bool
    offset: int  # of the last record of the anomaly that this covers
    updated_ns: int


class Told(msgspec.Struct):
    """Of one anomaly: the highest rank that each channel has told, and that was decided to be told."""

    partition: int
    offset: int
    updated_ns: int
    told: dict[str, int]
    decided: dict[str, int]
    lost: dict[str, int]  # by channel, the version that was given up: a replay of that is tried again
    is_over: bool = False


_VALUE = msgspec.json.Decoder(Value)


class Memory:
    """At most `KEPT_MAX` anomalies; the one heard of longest ago gives way."""

    def __init__(self, log: Log, channels: Collection[str]) -> None:
        self._log = log
        self._channels = tuple(channels)
        self._kept: OrderedDict[str, Told] = OrderedDict()
        self._dirty: dict[str, int] = {}  # anomaly -> partition

    def of(self, anomaly_id: str) -> Told | None:
        """What is known of it."""
        return self._kept.get(anomaly_id)

    def wants(self, item: Item) -> bool:
        """Whether some channel has not been given this yet; and note that they all are now."""
        known = self._known(item)
        lacking = [name for name in self._channels if self._lacks(known, name, item)]
        for name in lacking:
            known.decided[name] = max(item.rank, known.decided.get(name, 0))
            if known.lost.pop(name, None) is not None:
                known.told.pop(name, None)
        known.offset = max(known.offset, item.offset)
        known.updated_ns = max(known.updated_ns, item.anomaly.updated_ns)
        return bool(lacking)

    def is_replay(self, anomaly_id: str, version: int, offset: int) -> bool:
        """Whether it was given up, and is here again because an operator sent the dead letter back."""
        known = self._kept.get(anomaly_id)
        return known is not None and offset > known.offset and version in known.lost.values()

    def over(self, anomaly_id: str, offset: int) -> None:
        """It is closed: nothing needs to be known of it some day."""
        known = self._kept.get(anomaly_id)
        if known is not None and not known.is_over:
            known.is_over, known.offset = True, max(known.offset, offset)
            self._dirty[anomaly_id] = known.partition

    def lacks(self, channel: str, item: Item) -> bool:
        """Whether that channel has yet to tell it."""
        known = self._kept.get(item.anomaly.id)
        return known is None or known.told.get(channel, 0) < item.rank

    def told(self, items: Iterable[Item], channels: Iterable[str] | None = None, *, is_lost: bool = False) -> None:
        """These are done with, by these channels (None: all)."""
        names = self._channels if channels is None else tuple(channels)
        for item in items:
            known = self._known(item)
            for name in names:
                known.told[name] = max(item.rank, known.told.get(name, 0))
                if is_lost:
                    known.lost[name] = item.anomaly.version
            self._dirty[item.anomaly.id] = item.partition

    def records(self, committed: Mapping[int, int], before_ns: int) -> list[Record]:
        """What changed since it was asked last; what is over, committed and from before that time goes."""
        gone = [id_ for id_, k in self._kept.items() if _is_done(k, committed.get(k.partition, 0), before_ns)]
        for id_ in gone:
            self._dirty[id_] = self._kept.pop(id_).partition
        while len(self._kept) > KEPT_MAX:
            id_, known = self._kept.popitem(last=False)
            self._dirty[id_] = known.partition
        return [self._record(id_, partition) for id_, partition in self._dirty.items()]

    def kept(self, records: Iterable[Record]) -> None:
        """These are durable now."""
        for record in records:
            self._dirty.pop(record.key.removeprefix(PREFIX), None)

    def drop(self, partitions: Collection[int]) -> None:
        """Another process knows these now."""
        self._kept = OrderedDict((id_, k) for id_, k in self._kept.items() if k.partition not in partitions)
        self._dirty = {id_: partition for id_, partition in self._dirty.items() if partition not in partitions}

    async def load(self, partitions: Collection[int]) -> None:
        """Read these partitions' records; raises `LogUnavailable`."""
        self.drop(partitions)
        async with aclosing(checkpoints.kept_until_now(self._log, partitions)) as pieces:
            async for entries in pieces:
                for entry in entries:
                    if entry.key.startswith(PREFIX):
                        self._load(entry)

    def _load(self, entry: Entry) -> None:
        id_ = entry.key.removeprefix(PREFIX)
        if entry.value is None:
            self._kept.pop(id_, None)
            return
        try:
            value = _VALUE.decode(entry.value)
        except msgspec.MsgspecError as e:
            logger.warning("what was told of anomaly %s is damaged and not used: %s", id_, e)
            return
        self._kept[id_] = Told(
            entry.partition, value.offset, value.updated_ns, value.told, dict(value.told), value.lost, value.is_over
        )
        self._kept.move_to_end(id_)

    def _record(self, id_: str, partition: int) -> Record:
        known = self._kept.get(id_)
        if known is None:
            return Record(f"{PREFIX}{id_}", None, partition=partition)
        value = Value(known.told, known.lost, known.is_over, known.offset, known.updated_ns)
        return Record(f"{PREFIX}{id_}", msgspec.json.encode(value), partition=partition)

    def _known(self, item: Item) -> Told:
        known = self._kept.get(item.anomaly.id)
        if known is None:
            known = self._kept[item.anomaly.id] = Told(item.partition, item.offset, item.anomaly.updated_ns, {}, {}, {})
        self._kept.move_to_end(item.anomaly.id)
        return known

    @staticmethod
    def _lacks(known: Told, channel: str, item: Item) -> bool:
        if known.lost.get(channel) == item.anomaly.version and item.offset > known.offset:
            return True  # an operator replays it
        if item.rank == CLOSED and not known.decided:
            return False  # nobody heard that it began
        return known.decided.get(channel, 0) < item.rank


def _is_done(known: Told, committed: int, before_ns: int) -> bool:
    return known.is_over and not known.lost and known.offset < committed and known.updated_ns < before_ns
