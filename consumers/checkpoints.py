"""A stateful consumer's state in the compacted `checkpoints` topic: what a record of it holds, and how it is read.

    <consumer>/<device>        a device's whole state, and the next offset of its partition that is not in it
    <consumer>/@<partition>    the marker: every record below its next offset is in some device's state

Both lie in the partition of the batches they speak of.  Read again after a crash, records below a device's own offset
are skipped for it, and reading begins at the marker, whatever the group committed.  A record with a lower offset than
one before it comes from a member that lost its partition and did not know: it is ignored, and the higher one is
written again, so that compaction cannot keep the wrong one.
"""

import logging
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing

import msgspec

from consumers.ordering import DeviceOrder
from consumers.partition_time import PartitionTime
from consumers.shelf import Kept, Shelf
from telemetry import compression
from telemetry.errors import Malformed, SensorlineError
from telemetry.ports import BATCHES, CHECKPOINTS, Entry, Log, Record

logger = logging.getLogger(__name__)

VERSION = 1
VALUE_BYTES_MAX = 8 * 2**20 - 2**16  # what a record of the log holds
INFLATED_BYTES_MAX = 256 * 2**20
APPEND_BYTES = 4 * 2**20  # at once
APPEND_RECORDS = 200
POLL_RECORDS = 500
POLL_BYTES = 4 * 2**20
POLL_WAIT_S = 1.0
MARK = "@"  # no device's name has it


class State(msgspec.Struct, frozen=True, array_like=True):
    """A device's; `operator` is what its `freeze` gave, `asked_ns` the time it was last told."""

    version: int
    device: str
    next_offset: int
    received_ns: int
    asked_ns: int
    order: DeviceOrder
    operator: bytes


class Marker(msgspec.Struct, frozen=True):
    """How far a partition's records are in its devices' states, and its time there."""

    version: int
    next_offset: int
    time: PartitionTime


_STATE = msgspec.msgpack.Decoder(State)
_MARKER = msgspec.json.Decoder(Marker)


def freeze(state: State) -> bytes:
    """One zstd frame of MessagePack; the same state gives the same bytes."""
    return compression.deflate(msgspec.msgpack.encode(state), "zstd", level=1)


def thaw(value: bytes) -> State:
    """Read back; raises `Malformed` for damage or another version."""
    try:
        state = _STATE.decode(compression.inflate(value, "zstd", size_bytes_max=INFLATED_BYTES_MAX))
    except (SensorlineError, msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"this is no state of version {VERSION}: {e}") from e
    if state.version != VERSION:
        raise Malformed(f"the state has version {state.version}, this program reads {VERSION}")
    return state


def state_record(consumer: str, kept: Kept) -> Record:
    """A device's checkpoint; what the loader needs stands in the headers."""
    headers = {"next": str(kept.next_offset), "received": str(kept.received_ns)}
    if kept.due_ns is not None:
        headers["due"] = str(kept.due_ns)
    return Record(f"{consumer}/{kept.device}", kept.value, headers, partition=kept.partition)


def tombstone(consumer: str, partition: int, device: str) -> Record:
    """The device's state is no more."""
    return Record(f"{consumer}/{device}", None, partition=partition)


def marker_record(consumer: str, partition: int, next_offset: int, time: PartitionTime) -> Record:
    """The partition's marker."""
    value = msgspec.json.encode(Marker(VERSION, next_offset, time))
    return Record(f"{consumer}/{MARK}{partition}", value, {"next": str(next_offset)}, partition=partition)


async def append(log: Log, records: Sequence[Record]) -> None:
    """In pieces that the log can take; raises `Retryable`."""
    piece: list[Record] = []
    size = 0
    for record in records:
        length = len(record.value or b"")
        if piece and (size + length > APPEND_BYTES or len(piece) >= APPEND_RECORDS):
            await log.append(CHECKPOINTS, piece)
            piece, size = [], 0
        piece.append(record)
        size += length
    if piece:
        await log.append(CHECKPOINTS, piece)


async def load(log: Log, consumer: str, partitions: Collection[int], shelf: Shelf) -> dict[int, Marker]:
    """Put these partitions' states on the shelf; their markers, of those that have one.

    Raises `LogUnavailable`.  Markers beyond the end of the batches speak of another log: nothing of theirs is kept.
    """
    loading = _Loading(consumer, partitions, shelf)
    async with aclosing(kept_until_now(log, partitions)) as pieces:
        async for entries in pieces:
            loading.take(entries)
    await append(log, loading.again())
    batches = await log.ends(BATCHES)
    for partition, marker in list(loading.markers.items()):
        if marker.next_offset > batches.get(partition, 0):
            logger.warning("%s: the states of partition %d are of another log: starting afresh", consumer, partition)
            shelf.remove(partition)
            del loading.markers[partition]
    return loading.markers


async def kept_until_now(log: Log, partitions: Collection[int]) -> AsyncGenerator[list[Entry], None]:
    """The records of these partitions, in pieces, up to what is their end now.  Raises `LogUnavailable`."""
    ends = await log.ends(CHECKPOINTS)
    others = {p: end for p, end in ends.items() if p not in partitions}  # of which nothing is read
    reader = await log.follow(CHECKPOINTS, others)
    try:
        while not _holds(await reader.position(), ends):
            entries = await reader.poll(records_max=POLL_RECORDS, bytes_max=POLL_BYTES, wait_s=POLL_WAIT_S)
            yield [entry for entry in entries if entry.partition in partitions]
    finally:
        await reader.close()


def _holds(here: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    return all(here.get(partition, 0) >= end for partition, end in ends.items())


class _Loading:
    """Takes records in order, the higher offset winning."""

    def __init__(self, consumer: str, partitions: Collection[int], shelf: Shelf) -> None:
        self._consumer = consumer
        self._prefix = f"{consumer}/"
        self._shelf = shelf
        self._outdated: dict[tuple[int, str], None] = {}
        self._outdated_marks: set[int] = set()
        self.markers: dict[int, Marker] = {}
        for partition in partitions:
            shelf.remove(partition)

    def take(self, entries: Sequence[Entry]) -> None:
        states: list[Kept] = []
        for entry in entries:
            name = entry.key.removeprefix(self._prefix)
            if name == entry.key:
                continue
            if name.startswith(MARK):
                self._mark(entry)
            elif entry.value is None:
                self._put(states)
                states = []
                self._shelf.remove(entry.partition, name)
            elif (kept := _kept(entry, name)) is not None:
                states.append(kept)
        self._put(states)

    def again(self) -> list[Record]:
        """What outdated records came after."""
        kept = [self._shelf.get(*place) for place in self._outdated]
        records = [state_record(self._consumer, k) for k in kept if k is not None]
        for partition in sorted(self._outdated_marks):
            marker = self.markers[partition]
            records.append(marker_record(self._consumer, partition, marker.next_offset, marker.time))
        return records

    def _put(self, states: Sequence[Kept]) -> None:
        for outdated in self._shelf.put(states):
            self._outdated[outdated.partition, outdated.device] = None

    def _mark(self, entry: Entry) -> None:
        try:
            marker = _MARKER.decode(entry.value or b"")
        except msgspec.MsgspecError as e:
            logger.warning("%s: a marker at %d@%d is damaged: %s", self._consumer, entry.partition, entry.offset, e)
            return
        known = self.markers.get(entry.partition)
        if marker.version != VERSION:
            logger.error("%s: a marker has version %d: not used", self._consumer, marker.version)
        elif known is None or known.next_offset <= marker.next_offset:
            self.markers[entry.partition] = marker
        else:
            self._outdated_marks.add(entry.partition)


def _kept(entry: Entry, device: str) -> Kept | None:
    headers: Mapping[str, str] = entry.headers
    try:
        due_ns = int(headers["due"]) if "due" in headers else None
        value = entry.value or b""
        return Kept(entry.partition, device, int(headers["next"]), int(headers["received"]), due_ns, value)
    except (KeyError, ValueError) as e:
        logger.warning("checkpoint %s at %d@%d is damaged: %r", entry.key, entry.partition, entry.offset, e)
        return None
