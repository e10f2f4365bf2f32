"""The log in memory: the reference that the simulation drives.  Nothing outlives the process.

Guarantee: everything the port promises except durability.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from telemetry.clock import Clock, SystemClock
from telemetry.errors import LogFull, LogUnavailable, Misconfigured
from telemetry.logs._embedded import PARTITION, EmbeddedReader, Groups, News
from telemetry.logs._records import check, entry_bytes
from telemetry.ports import TOPICS, Entry, Position, Reader, Record, Topic

TOMBSTONE_KEPT_NS = 24 * 3600 * 10**9


class Config(BaseModel):
    """`records_max` bounds the records kept in all topics together; an append beyond it is `LogFull`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    records_max: int = Field(default=1_000_000, ge=1)


@dataclass
class _Kept:
    """A topic: entries by offset, rising; `latest` has a compacted topic's offset of each key."""

    news: News
    end: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)
    latest: dict[str, int] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)

    def consumed(self, groups: Collection[str] | None) -> int:
        """Up to where all of these have read; None: all that ever committed."""
        if groups is None:
            return min(self.committed.values(), default=0)
        return min((self.committed.get(group, 0) for group in groups), default=self.end)

    def put(self, topic: Topic, record: Record, now_ns: int) -> Position:
        """Append one record."""
        offset, self.end = self.end, self.end + 1
        self.entries[offset] = Entry(
            topic.name, PARTITION, offset, record.key, record.value, dict(record.headers), now_ns, record.batch
        )
        if topic.compacted:
            self.entries.pop(self.latest.get(record.key, -1), None)
            self.latest[record.key] = offset
        return Position(PARTITION, offset)


class MemoryLog:
    """`Log` in memory."""

    def __init__(self, config: Config, *, clock: Clock | None = None, topics: Sequence[Topic] = TOPICS) -> None:
        self.clock: Clock = clock or SystemClock()
        self._records_max = config.records_max
        self._groups = Groups()
        self._topics = {topic.name: _Kept(News(self.clock)) for topic in topics}
        self._closed = False

    async def start(self) -> None:
        """Opens again after a `close`: the records are still there."""
        self._closed = False

    async def close(self) -> None:
        """Wakes every waiting poll; calls after it raise `LogUnavailable`."""
        self._closed = True
        for kept in self._topics.values():
            kept.news.tell()

    async def append(self, topic: Topic, records: Sequence[Record]) -> list[Position]:
        """As the port says."""
        kept = self._kept(topic)
        check(records)
        if sum(len(each.entries) for each in self._topics.values()) + len(records) > self._records_max:
            raise LogFull(f"the log in memory holds {self._records_max} records: raise records_max", retry_after_s=5.0)
        now_ns = self.clock.now_ns()
        positions = [kept.put(topic, record, now_ns) for record in records]
        kept.news.tell()
        return positions

    async def reader(self, topic: Topic, group: str) -> Reader:
        """As the port says."""
        self._kept(topic)
        return EmbeddedReader(self, topic, self._groups, group, None)

    async def follow(self, topic: Topic, start: Mapping[int, int] | None = None, *, prompt: bool = False) -> Reader:
        """As the port says."""
        self._kept(topic)
        return EmbeddedReader(self, topic, self._groups, None, (start or {}).get(PARTITION, 0))

    async def ends(self, topic: Topic) -> dict[int, int]:
        """As the port says."""
        return {PARTITION: self.end(topic)}

    async def begins(self, topic: Topic) -> dict[int, int]:
        """As the port says."""
        kept = self._kept(topic)
        return {PARTITION: next(iter(kept.entries), kept.end)}

    async def committed(self, topic: Topic, group: str) -> dict[int, int]:
        """As the port says."""
        committed = self._kept(topic).committed
        return {PARTITION: committed[group]} if group in committed else {}

    async def prune(self, topic: Topic, *, before_ns: int, groups: Collection[str] | None = None) -> int:
        """As the port says.

        Of a compacted topic only tombstones go, a day after they came.
        """
        kept = self._kept(topic)
        consumed = kept.end if topic.archive else kept.consumed(groups)
        before_ns = min(before_ns, self.clock.now_ns() - TOMBSTONE_KEPT_NS) if topic.compacted else before_ns
        gone = [
            entry
            for entry in kept.entries.values()
            if entry.appended_ns < before_ns and (entry.value is None if topic.compacted else entry.offset < consumed)
        ]
        for entry in gone:
            del kept.entries[entry.offset]
            if kept.latest.get(entry.key) == entry.offset:
                del kept.latest[entry.key]
        return len(gone)

    # what a reader needs

    def news(self, topic: Topic) -> News:
        """Told after every append to the topic."""
        return self._topics[topic.name].news

    def end(self, topic: Topic) -> int:
        """The next offset to be written."""
        return self._kept(topic).end

    async def read(self, topic: Topic, offset: int, *, records_max: int, bytes_max: int) -> list[Entry]:
        """Entries from `offset` on, within both limits but at least one."""
        kept = self._kept(topic)
        taken: list[Entry] = []
        for at in range(max(offset, next(iter(kept.entries), kept.end)), kept.end):
            entry = kept.entries.get(at)
            if entry is None:
                continue
            bytes_max -= entry_bytes(entry)
            if taken and (bytes_max < 0 or len(taken) >= records_max):
                break
            taken.append(entry)
        return taken

    async def save(self, topic: Topic, group: str, next_offset: int) -> None:
        """Keep a group's offset."""
        self._kept(topic).committed[group] = next_offset

    def _kept(self, topic: Topic) -> _Kept:
        if self._closed:
            raise LogUnavailable("the log is closed")
        try:
            return self._topics[topic.name]
        except KeyError:
            raise Misconfigured(f"the log has no topic {topic.name!r}") from None


def open(config: Config, data_dir: Path) -> MemoryLog:  # noqa: A001 - the port's word
    """A log that forgets; `data_dir` is not used."""
    return MemoryLog(config)
