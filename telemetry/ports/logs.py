"""PORT logs: append, read, commit."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from telemetry.batch import Batch
from telemetry.ports.topics import Topic


@dataclass(frozen=True, slots=True)
class Record:
    """What is appended; `value` None deletes the key from a compacted topic.  Header values are short text.

    `batch` is the value decoded, where the appender has it: a log whose readers live in the same process may hand it
    to them, so that they need not decode again.  It never travels.
    `partition`: where it must go, whatever its key says (a checkpoint lies beside its device's records); None = by key.
    """

    key: str
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    batch: Batch | None = field(default=None, compare=False, repr=False)
    partition: int | None = None


class Position(NamedTuple):
    """Where a record is; offsets rise within a partition."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it is read back."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes | None
    headers: Mapping[str, str]
    appended_ns: int  # the log's wall time, UTC nanoseconds (Kafka: milliseconds' precision)
    batch: Batch | None = field(default=None, compare=False, repr=False)  # as in `Record`


class Reader(Protocol):
    """One consumer's view of a topic.  Not to be shared between tasks."""

    async def poll(self, *, records_max: int, bytes_max: int, wait_s: float) -> list[Entry]:
        """The next records, in order within a partition; [] when none came within `wait_s`.

        At least one record is returned when there is one, however large.  Raises `LogUnavailable`.
        """
        ...

    async def commit(self, positions: Mapping[int, int]) -> None:
        """Remember, durably, the next offset to read by partition.  Must not be called before a flush.

        Committing a partition that was meanwhile taken away is not an error: its new owner reads again.
        Raises `LogUnavailable`.
        """
        ...

    async def seek(self, positions: Mapping[int, int]) -> None:
        """Read on from these offsets (to try again after a failed flush)."""
        ...

    async def position(self) -> dict[int, int]:
        """The next offset it will read, by owned partition; gaps that compaction left are behind it.

        Reaches `ends` once everything was polled.  Raises `LogUnavailable`.
        """
        ...

    def assignment(self) -> frozenset[int]:
        """The partitions this reader owns now."""
        ...

    async def lag(self) -> int:
        """Records between what was committed and the end, over the owned partitions."""
        ...

    def on_revoked(self, callback: Callable[[frozenset[int]], Awaitable[None]]) -> None:
        """Call this with the partitions about to be taken away, before they go."""
        ...

    async def close(self) -> None:
        """Leave the group at once."""
        ...


class Log(Protocol):
    """Durable, ordered, partitioned by key.  Embedded: one partition."""

    async def start(self) -> None:
        """Connect and make the topics; safe to call on an existing log."""
        ...

    async def close(self) -> None:
        """Flush and let go; whatever `append` had returned for stays."""
        ...

    async def append(self, topic: Topic, records: Sequence[Record]) -> list[Position]:
        """Returns only when every record is durable (SQLite: fsync; Kafka: acks=all), in the order given by key.

        Raises `LogUnavailable` (deadline, broker gone), `LogFull`, `TooLarge` (one record over the limit) or `Invalid`
        (a partition that the topic has not);
        after an error any prefix may be there: the caller sends all of it again.
        """
        ...

    async def reader(self, topic: Topic, group: str) -> Reader:
        """A member of a consumer group; starts at the group's committed offset, or at the beginning."""
        ...

    async def follow(self, topic: Topic, start: Mapping[int, int] | None = None, *, prompt: bool = False) -> Reader:
        """A reader of all partitions outside any group; from `start` (next offset by partition) or the beginning.

        Its `commit` does nothing.  `prompt`: a record must come soon after its append, also when few are written,
        at the price of more questions to a broker.
        """
        ...

    async def ends(self, topic: Topic) -> dict[int, int]:
        """The next offset to be written, by partition."""
        ...

    async def begins(self, topic: Topic) -> dict[int, int]:
        """The oldest offset still kept, by partition."""
        ...

    async def committed(self, topic: Topic, group: str) -> dict[int, int]:
        """A group's committed next offsets, by partition; partitions never committed are absent."""
        ...

    async def prune(self, topic: Topic, *, before_ns: int, groups: Collection[str] | None = None) -> int:
        """Drop records appended before this time that these groups have committed (an archive's: all); how many went.

        `groups` None: every group that ever committed, and nothing goes before the first one did.  Who names them keeps
        the log from waiting for a consumer that was switched off, and from not waiting for one that is new.
        A log whose broker has its own retention does nothing and returns 0.
        """
        ...
