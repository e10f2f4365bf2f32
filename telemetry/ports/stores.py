"""PORT stores: idempotent writes by identity, and queries."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from telemetry.anomaly import Anomaly, Asked
from telemetry.batch import Batch, BatchId
from telemetry.outcome import Reason
from telemetry.session_clock import UNKNOWN, SessionClock
from telemetry.unnumbered import is_unnumbered
from telemetry.window import Windows

if TYPE_CHECKING:  # an edge that replays a phone's export needs the dialects, and no pyarrow
    import pyarrow as pa

Detail: TypeAlias = Literal["samples", "windows"]
"""What a store keeps of readings: a row each, or nothing but the claim of their batch (their windows say the rest)."""


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
    summarised: int = 0  # claimed, and kept as windows only


@dataclass(frozen=True, slots=True)
class Claim:
    """What the store knows of one batch it accepted; `readings` are all of the batch's, the expired ones included.

    `summarised` are those that it claimed and wrote no row of (the detail `windows` when the batch came).
    """

    id: BatchId
    content_hash: str
    received_ns: int
    readings: int
    expired: int
    summarised: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """A session's completeness and its clock, as the ledger keeps them.

    `seqs` are received seq intervals, both ends included; of batches that nobody numbered, just the latest.
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
    def is_numbered(self) -> bool:
        """False where the sender's protocol has no numbers: then nobody can know what is missing."""
        return not (self.seqs and is_unnumbered(self.seqs[-1][1]))

    @property
    def missing(self) -> list[tuple[int, int]]:
        """Intervals of seq, both ends included, between the first seen and the last, of which nothing came."""
        if not self.is_numbered:
            return []
        return [(before[1] + 1, after[0] - 1) for before, after in zip(self.seqs, self.seqs[1:], strict=False)]

    @property
    def missing_batches(self) -> int:
        """Seqs between the first seen and the last that never came (sessions may start at any seq)."""
        return self.forgotten_batches + sum(last - first + 1 for first, last in self.missing)


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
class Latest:
    """A device's newest reading of a sensor: `t` its event time, UTC nanoseconds, `values` the fields that it has."""

    device: str
    sensor: str
    t: int
    values: Mapping[str, float | str | bool]


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

        With the detail `windows` there are no rows: what is not expired ends as summarised.
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

    async def latest(self, sensors: Sequence[str], *, from_ns: int) -> list[Latest]:
        """Each device's latest reading of each of these sensors by event time, from `from_ns` on; by device and sensor.

        Of readings at the same time it is the last by session, seq, series and index.
        """
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

    async def put_anomalies(self, anomalies: Sequence[Anomaly]) -> None:
        """Keep these; one with a lower or the same `version` as what is kept is ignored.  Seen by queries at once."""
        ...

    async def anomalies(self, asked: Asked) -> list[Anomaly]:
        """Latest start first (then by id), without samples."""
        ...

    async def anomaly(self, id_: str) -> Anomaly | None:
        """One, whole."""
        ...

    async def put_windows(self, windows: Sequence[Windows]) -> None:
        """Keep these; one with a lower or the same `revision` as what is kept is ignored.

        A feature that is not finite counts as absent.
        """
        ...

    async def windows(self, span: Span, *, kind: str, width_ns: int, limit: int) -> "pa.Table":
        """Those that start within the span, by start and session, at most `limit`: `t` (start), `end` int64, `session`,
        `count` int64, then a float64 column a feature, by name; features that none has are absent.  A window with the
        count 0 (merged into another) is known and not shown."""
        ...

    async def delete_device(self, device: str) -> int:
        """Remove a device's rows, claims, sessions, anomalies and windows; returns the rows removed."""
        ...

    async def prune(self, *, before_ns: int) -> int:
        """Drop event time before this (whole UTC days), anomalies and windows by their start; returns the rows dropped.

        A claim goes with its last reading, but never while its batch was received on or after the day of the cut:
        a resend must still be known as a duplicate.
        """
        ...
