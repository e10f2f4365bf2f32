"""What must hold in every world, computed from the senders' own books and from the log alone."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from consumers.completeness import LATE_SEQS
from telemetry import wire
from telemetry.batch import BatchId
from telemetry.deadletters import Letter
from telemetry.ports import Entry, Session, Store
from telemetry.rebuild import batches_of
from tests.journey.simulation.chance import require

KEY = ("session", "seq", "series", "i")


class Device(Protocol):
    """A sender with books of its own."""

    @property
    def name(self) -> str:
        """Of the device."""
        ...

    @property
    def keeps_order(self) -> bool:
        """Whether its batches must be in the log in order, by session."""
        ...

    @property
    def acknowledged(self) -> dict[BatchId, str]:
        """Content hashes."""
        ...

    @property
    def unanswered(self) -> dict[BatchId, str]:
        """Content hashes of what may be stored or not."""
        ...

    async def run(self) -> None:
        """Read the source to its end, and send all; cancel it to leave the rest in the spool."""
        ...

    def check(self) -> None:
        """Its books and limits, at any time."""
        ...

    def check_end(self) -> None:
        """Its books when it has come to its end."""
        ...


@dataclass
class Seen:
    """One session as the log has it, counted the plain way."""

    first: dict[int, Entry] = field(default_factory=dict)
    duplicates: int = 0
    reordered: int = 0
    late: int = 0
    readings: int = 0

    @property
    def missing(self) -> int:
        """Seqs between the first and the last that never came."""
        return max(self.first) - min(self.first) + 1 - len(self.first)

    def add(self, seq: int, entry: Entry) -> None:
        if seq in self.first:
            self.duplicates += 1
            return
        higher = max(self.first, default=-1) - seq
        self.reordered += higher > 0
        self.late += higher > LATE_SEQS
        self.readings += int(entry.headers["readings"])
        self.first[seq] = entry


@dataclass
class LogSeen:
    """The whole log: sessions, and the offsets of what must be dead-lettered."""

    sessions: dict[tuple[str, str], Seen] = field(default_factory=lambda: defaultdict(Seen))
    dead: set[int] = field(default_factory=set)


def read_log(entries: Iterable[Entry]) -> LogSeen:
    """Count it."""
    seen = LogSeen()
    for entry in entries:
        if "hash" not in entry.headers:
            seen.dead.add(entry.offset)
            continue
        seq, session = int(entry.headers["seq"]), seen.sessions[entry.key, entry.headers["session"]]
        session.add(seq, entry)
        if entry.headers["hash"] != session.first[seq].headers["hash"]:
            seen.dead.add(entry.offset)
    return seen


def check_order(device: Device, log: LogSeen) -> None:
    """A sender that does not reorder finds its batches in the log in order."""
    for (name, _), session in log.sessions.items():
        if name == device.name and device.keeps_order:
            require(list(session.first) == sorted(session.first), f"{name}: order in the log {list(session.first)}")


def check_completeness(sessions: Sequence[Session], log: LogSeen) -> None:
    """The ledger's figures are the model's."""
    found = {
        (s.device, s.session): (
            s.received_batches,
            s.received_readings,
            s.missing_batches,
            s.duplicate_batches,
            s.reordered_batches,
            s.late_batches,
        )
        for s in sessions
    }
    expected = {
        key: (
            len(seen.first),
            seen.readings,
            seen.missing,
            seen.duplicates,
            seen.reordered,
            seen.late,
        )
        for key, seen in log.sessions.items()
    }
    require(found == expected, f"completeness {found}, the log has {expected}")


def check_letters(letters: Sequence[Entry], log: LogSeen) -> None:
    """Dead-lettered is exactly what had to be (a letter may be written twice)."""
    offsets = {Letter.of(entry).offset for entry in letters}
    require(offsets == log.dead, f"dead letters of {sorted(offsets)}, expected {sorted(log.dead)}")


async def check_store(store: Store, device: Device, log: LogSeen) -> None:
    """Acknowledged = stored, once, unchanged; and nothing else is there but what may have arrived unanswered."""
    pieces: dict[str, list[pa.Table]] = defaultdict(list)
    async for sensor, table in store.export(device.name):
        pieces[sensor].append(table)
    for sensor, tables in pieces.items():
        keys = np.concatenate([np.array([t[name].to_numpy(zero_copy_only=False) for name in KEY]).T for t in tables])
        rows = [tuple(row) for row in keys]
        require(len(rows) == len(set(rows)), f"{device.name}: {sensor} has rows twice")
    flat = [(sensor, table) for sensor, tables in pieces.items() for table in tables]
    found = {b.id: wire.content_hash(wire.encode(b)) for b in batches_of(device.name, flat)}
    claims = {claim.id: claim.content_hash for claim in await store.claims(device.name)}
    require(found == claims, f"{device.name}: rows {sorted(found.items())} are not what is claimed {claims.items()}")
    _check_hashes(device, found, log)


def _check_hashes(device: Device, found: dict[BatchId, str], log: LogSeen) -> None:
    acknowledged, unanswered = device.acknowledged, device.unanswered
    require(acknowledged.items() <= found.items(), _missing(acknowledged, found))
    rest = {id_: hash_ for id_, hash_ in found.items() if id_ not in acknowledged}
    strange = {id_ for id_, hash_ in rest.items() if unanswered.get(id_) != hash_}
    require(not strange, f"{device.name}: stored, and never sent so: {strange}")
    in_log = {BatchId(d, s, seq) for (d, s), seen in log.sessions.items() for seq in seen.first if d == device.name}
    require(found.keys() == in_log, f"{device.name}: stored {len(found)}, in the log {len(in_log)}")


def _missing(acknowledged: dict[BatchId, str], found: dict[BatchId, str]) -> str:
    lost = [id_ for id_ in acknowledged if id_ not in found]
    altered = [id_ for id_ in acknowledged if id_ in found and found[id_] != acknowledged[id_]]
    return f"acknowledged and not stored: {lost}; stored otherwise: {altered}"
