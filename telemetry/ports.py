"""The ports: what a dialect, a log and a store promise, and the values that cross them.

An adapter is a module in the port's folder; its name is its config key.  It offers `Config`, a pydantic model,
and `open(config, ...)`; `telemetry.adapters` lists and imports them.  A port's promises are tests in
`tests/ports/`, run over every adapter.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from telemetry.batch import Batch, BatchId
from telemetry.outcome import Reason
from telemetry.session_clock import UNKNOWN, SessionClock

if TYPE_CHECKING:  # an edge that replays a phone's export needs the dialects, and no pyarrow
    import pyarrow as pa

# --- topics ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Topic:
    """A named topic; compacted ones keep the last record of each key, and a record without value deletes it.

    An archive is kept for people to look at: no consumer has to have read what its retention drops.
    """

    name: str
    compacted: bool = False
    single_partition: bool = False
    archive: bool = False


BATCHES = Topic("batches")
ANOMALIES = Topic("anomalies")
DEADLETTERS = Topic("deadletters", archive=True)
AUDIT = Topic("audit", single_partition=True, archive=True)
DEVICES = Topic("devices", compacted=True, single_partition=True)
CHECKPOINTS = Topic("checkpoints", compacted=True)
LABELS = Topic("labels", compacted=True)
MODELS = Topic("models", compacted=True)
TOPICS: tuple[Topic, ...] = (BATCHES, ANOMALIES, DEADLETTERS, AUDIT, DEVICES, CHECKPOINTS, LABELS, MODELS)


# --- dialects: bytes -> batches -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sender:
    """What the gateway knows of who sent the bytes: the token's device and how its phone measures.

    `platform` is "android", "ios" or "" (not known); `standardised` is the app's "standardise units & frames".
    """

    device: str
    platform: str = ""
    standardised: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message in our terms: every reading of it is in a batch or counted in `rejected`."""

    batches: tuple[Batch, ...]
    rejected: Mapping[Reason, int] = field(default_factory=dict)
    converted: tuple[str, ...] = ()  # conversions that were made, e.g. "acceleration: ios frame -> android"
    unknown: Mapping[str, int] = field(default_factory=dict)  # readings by "sensor" or "sensor.field" that we lack
    hints: tuple[str, ...] = ()  # what speaks for a platform, e.g. "android: light"; nothing was converted by them
    source_id: str | None = None  # the sender's own device id, to be pinned to the token
    is_test: bool = False  # a push that wants an answer and stores nothing


class Dialect(Protocol):
    """A module that turns one message's bytes into batches.  Pure: no clock, no socket, no state."""

    def parse(self, body: bytes, sender: Sender, *, readings_max: int) -> Parsed:
        """Raises `Malformed`, `Invalid`, `TooLarge` or `Forbidden` (another device); nothing else."""
        ...


# --- logs: append, read, commit -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Record:
    """What is appended; `value` None deletes the key from a compacted topic.  Header values are short text.

    `batch` is the value decoded, where the appender has it: a log whose readers live in the same process may hand it
    to them, so that they need not decode again.  It never travels.
    """

    key: str
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    batch: Batch | None = field(default=None, compare=False, repr=False)


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

        Raises `LogUnavailable` (deadline, broker gone), `LogFull`, or `TooLarge` (one record over the limit);
        after an error any prefix may be there: the caller sends all of it again.
        """
        ...

    async def reader(self, topic: Topic, group: str) -> Reader:
        """A member of a consumer group; starts at the group's committed offset, or at the beginning."""
        ...

    async def follow(self, topic: Topic, start: Mapping[int, int] | None = None) -> Reader:
        """A reader of all partitions outside any group; from `start` (next offset by partition) or the beginning.

        Its `commit` does nothing.
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

    async def prune(self, topic: Topic, *, before_ns: int) -> int:
        """Drop records appended before this time that every group has committed (an archive's: all); returns how many.

        A log whose broker has its own retention does nothing and returns 0.
        """
        ...


# --- stores: write, query -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """A batch on its way into the store; `content_hash` and `received_ns` come from its record's headers."""

    batch: Batch
    content_hash: str
    received_ns: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Written:
    """How one item ended: its readings by outcome, and why it must be dead-lettered, if it must.

    `outcomes` sums to the batch's readings.  `reason` is CONFLICT or STORE_REFUSED when some were dead-lettered.
    """

    stored: int = 0
    duplicate: int = 0
    expired: int = 0
    dead_lettered: int = 0
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the store knows of one batch it accepted; `readings` are all of the batch's, the expired ones included."""

    id: BatchId
    content_hash: str
    received_ns: int
    readings: int
    expired: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session's completeness and its clock, as the ledger keeps them.

    `seqs` are received seq intervals, both ends included.
    `next_offset` is the log position this state covers up to: an older write never replaces a newer one.
    """

    device: str
    session: str
    seqs: tuple[tuple[int, int], ...]
    received_batches: int
    received_readings: int
    rejected_readings: int
    duplicate_batches: int
    reordered_batches: int
    late_batches: int
    dropped_readings: int
    first_received_ns: int
    last_received_ns: int
    partition: int
    next_offset: int
    forgotten_batches: int = 0  # missing ones in gaps so old that their place is no longer kept
    clock: SessionClock = UNKNOWN

    @property
    def missing_batches(self) -> int:
        """Seqs between the first seen and the last that never came (sessions may start at any seq)."""
        gaps = zip(self.seqs, self.seqs[1:], strict=False)
        return self.forgotten_batches + sum(after[0] - before[1] - 1 for before, after in gaps)


@dataclass(frozen=True, slots=True)
class Counts:
    """What can be queried now."""

    readings: int
    batches: int
    devices: int


@dataclass(frozen=True, slots=True)
class DeviceSeen:
    """A device as the store sees it."""

    device: str
    first_ns: int  # event time of its earliest and latest reading, UTC nanoseconds, right to the millisecond at least
    last_ns: int
    readings: int
    sensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A question: one device's sensor from `from_ns` (included) to `to_ns` (excluded), event time."""

    device: str
    sensor: str
    from_ns: int
    to_ns: int


class Store(Protocol):
    """Idempotent writes by identity; queries that give the same on every adapter."""

    async def start(self) -> None:
        """Connect and make what is missing (tables, templates); safe to call again."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...

    async def write(self, items: Sequence[Item]) -> list[Written]:
        """Claim each batch, then store its rows; durable when it returns, one `Written` an item, in order.

        Writing the same again changes nothing.  The same id with another hash is a CONFLICT and the first stays.
        Raises `StoreUnavailable` for everything that is not the documents' fault; the caller writes all of
        it again.
        """
        ...

    async def put_sessions(self, sessions: Sequence[Session]) -> None:
        """Keep these; one with a lower `next_offset` than what is kept is ignored."""
        ...

    async def get_sessions(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Session]:
        """Those of the (device, session) that are kept; sees its own writes at once."""
        ...

    async def completeness(self, device: str | None = None, session: str | None = None) -> list[Session]:
        """Sessions, newest last_received first (at most 10,000)."""
        ...

    async def claims(self, device: str, session: str | None = None) -> list[Claim]:
        """The batches accepted, by session and seq."""
        ...

    async def counts(self) -> Counts:
        """Cheap: asked every second."""
        ...

    async def devices(self) -> list[DeviceSeen]:
        """Every device that has readings, by name."""
        ...

    async def readings(self, span: Span, *, limit: int) -> "pa.Table":
        """Rows by time, at most `limit`: `t` int64, the sensor's fields, `extra` (JSON text), then `session`,
        `seq`, `series`, `i`.  Fields that no reading has are absent, and so is `extra`."""
        ...

    async def envelope(self, span: Span, *, points: int) -> "pa.Table":
        """At most `points` buckets of equal width over the span, empty ones absent, by time: `t` (bucket start,
        int64), `count`, and for each numeric field `<field>_min`, `_max`, `_mean` (float64)."""
        ...

    def export(
        self,
        device: str,
        *,
        session: str | None = None,
        sensor: str | None = None,
        from_ns: int = 0,
        to_ns: int = 2**63 - 1,
    ) -> AsyncIterator[tuple[str, "pa.Table"]]:
        """All rows as (sensor, table) pieces of bounded size, each as in `readings`, in (session, seq, series, i)
        order within a sensor."""
        ...

    async def delete_device(self, device: str) -> int:
        """Remove a device's rows, claims and sessions; returns the rows removed."""
        ...

    async def prune(self, *, before_ns: int) -> int:
        """Drop event time before this (whole UTC days); returns the rows dropped.

        A claim goes with its last reading, but never while its batch was received on or after the day of the cut:
        a resend must still be known as a duplicate.
        """
        ...
