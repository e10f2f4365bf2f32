"""A batch as a record of the `batches` topic: key = device, the value is the canonical batch, the rest is headers.
And an anomaly as one of `anomalies`.

Readers that need no values (the ledger) never open the value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from telemetry import anomaly, beside, wire
from telemetry.anomaly import Anomaly
from telemetry.batch import Batch, BatchId
from telemetry.beside import Beside
from telemetry.errors import Malformed
from telemetry.ports import Entry, Item, Record


@dataclass(frozen=True, slots=True)
class BatchHeaders:
    """What a batch's record says without opening its value."""

    id: BatchId
    content_hash: str
    readings: int
    received_ns: int  # when the gateway had the whole body, UTC nanoseconds
    dialect: str = "native"
    rejected: int = 0  # readings of the same message that were refused one by one
    dropped: int = 0  # readings that a tombstone announces
    said: Beside = beside.NOTHING  # what travelled beside the batch
    newest_ns: int | None = None  # its newest reading's time, None where there is none (and in records of old)

    def to_map(self) -> dict[str, str]:
        """As header texts."""
        newest = {} if self.newest_ns is None else {"newest": str(self.newest_ns)}
        return {
            "session": self.id.session,
            "seq": str(self.id.seq),
            "hash": self.content_hash,
            "readings": str(self.readings),
            "received": str(self.received_ns),
            "dialect": self.dialect,
            "rejected": str(self.rejected),
            "dropped": str(self.dropped),
            **newest,
            **self.said.to_headers(),
        }

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Read back; raises `Malformed` when the record was not written by a gateway."""
        h: Mapping[str, str] = entry.headers
        try:
            return cls(
                BatchId(entry.key, h["session"], int(h["seq"])),
                h["hash"],
                int(h["readings"]),
                int(h["received"]),
                h.get("dialect", "native"),
                int(h.get("rejected", "0")),
                int(h.get("dropped", "0")),
                Beside.of_headers(h),
                int(h["newest"]) if "newest" in h else None,
            )
        except (KeyError, ValueError) as e:
            raise Malformed(f"record {entry.topic}/{entry.partition}@{entry.offset} has no batch headers: {e!r}") from e


def batch_record(
    batch: Batch, *, received_ns: int, dialect: str, rejected: int = 0, said: Beside = beside.NOTHING
) -> Record:
    """The record of a batch; encodes it once."""
    value = wire.encode(batch)
    dropped = batch.dropped.readings if batch.dropped else 0
    headers = BatchHeaders(
        batch.id,
        wire.content_hash(value),
        batch.readings,
        received_ns,
        dialect,
        rejected,
        dropped,
        said,
        newest_ns(batch),
    )
    return Record(batch.device, value, headers.to_map(), batch)


def anomaly_record(one: Anomaly) -> Record:
    """The record of an anomaly; the headers say what it is without opening it."""
    headers = {"id": one.id, "version": str(one.version), "kind": one.kind}
    return Record(one.device, anomaly.encode(one), headers)


def newest_ns(batch: Batch) -> int | None:
    """The time of its newest reading, None when it has none."""
    return max((int(series.t.max()) for series in batch.series if len(series)), default=None)


def item_of(entry: Entry) -> Item:
    """The item to store; raises `Malformed` when headers or value are not a batch's."""
    headers = BatchHeaders.of(entry)
    batch = entry.batch or wire.decode_own(entry.value or b"")
    if batch.id != headers.id:
        raise Malformed(f"record {entry.topic}/{entry.partition}@{entry.offset}: value and headers name other batches")
    return Item(batch, headers.content_hash, headers.received_ns, entry.partition, entry.offset)
