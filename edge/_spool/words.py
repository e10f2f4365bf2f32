"""What the spool's parts say to each other: units to keep, what a file holds, and how a file can fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from edge.batcher import Cut
from edge.spooled import Epoch
from telemetry import wire
from telemetry.batch import Batch, BatchId, Dropped

ORDINAL_SHIFT = 40  # a place is (session's ordinal, seq) in one integer: the table needs no other index
SEQ_MASK = (1 << ORDINAL_SHIFT) - 1
REASONS_MAX = 64  # distinct names that are counted; a gateway's words are not ours to bound
UNANNOUNCED = "unannounced"  # dropped, and its tombstone had to go, too
ASIDE_FULL = "aside_full"
DAMAGED = "damaged"


class Full(Exception):
    """No room: nothing of the transaction happened, and it may be tried again."""


class Torn(Exception):
    """The file is no intact database."""


class Faulty(Exception):
    """The disk or the file layer failed; nothing of the transaction may be believed."""


class Gone(Exception):
    """The file that is written has no name any more: it was deleted or replaced."""


class Renewed(Faulty):
    """The file is a new one: what was asked for named sessions of the old one."""


class Encoded(NamedTuple):
    """A cut's canonical bytes after the identity; they do not depend on it."""

    tail: bytes
    readings: int


class Gap(NamedTuple):
    """Readings that were dropped before they had a seq; the next one announces them."""

    readings: int
    reason: str


Part: TypeAlias = Encoded | Gap


@dataclass(frozen=True, slots=True)
class Unit:
    """What becomes durable together: the cuts of one put and the cursors that go with them.

    `number` rises by one; the file remembers the last that it took, so that none is taken twice.
    """

    number: int
    session: str
    parts: tuple[Part, ...]
    cursors: Mapping[str, str]
    epoch: Epoch
    put_ns: int
    is_draft: bool = False

    @property
    def readings(self) -> int:
        """In all parts."""
        return sum(part.readings for part in self.parts)

    @property
    def size_bytes(self) -> int:
        """In memory, about."""
        return 512 + sum(len(part.tail) + 100 if isinstance(part, Encoded) else 100 for part in self.parts)

    def as_gap(self, reason: str) -> "Unit":
        """The same with its readings dropped; its cursors go on."""
        return replace(self, parts=(Gap(self.readings, reason),))


@dataclass(frozen=True, slots=True)
class Group:
    """What one transaction is asked to do."""

    live: str  # the session that is being written
    units: tuple[Unit, ...] = ()
    freed: Mapping[int, BatchId] = field(default_factory=dict)  # by place
    aside: Mapping[int, tuple[BatchId, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    """A stored session; `next_seq` is never given twice."""

    ordinal: int
    device: str
    name: str
    next_seq: int = 0
    batches: int = 0
    readings: int = 0

    @property
    def places(self) -> tuple[int, int]:
        """The first place and the one after the last."""
        return self.ordinal << ORDINAL_SHIFT, (self.ordinal + 1) << ORDINAL_SHIFT

    def plus(self, batches: int, readings: int) -> "Session":
        """With so many more; a damaged row may have lied about its readings, an empty session has none."""
        left = self.batches + batches
        return replace(self, batches=left, readings=max(0, self.readings + readings) if left else 0)


@dataclass(slots=True)
class State:
    """What is known of a file without reading its rows.  Copied for a transaction, swapped in when it is durable."""

    sessions: dict[int, Session] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    aside: dict[str, int] = field(default_factory=dict)
    aside_batches: int = 0
    aside_bytes: int = 0
    drafts: int = 0
    draft_readings: int = 0
    tombstones: int = 0
    last_ordinal: int = 0
    drop_from: int = 0  # no batch before this place can be dropped
    taken_by: str = ""  # the run of the program that wrote last
    taken: int = 0  # the last unit of that run that is in the file
    used_bytes: int = 0
    oldest_put_ns: int | None = None

    def copy(self) -> "State":
        """Not shared with this one; the values are immutable."""
        return replace(
            self,
            sessions=dict(self.sessions),
            cursors=dict(self.cursors),
            dropped=dict(self.dropped),
            aside=dict(self.aside),
        )

    def session(self, name: str) -> Session | None:
        """By its name; the newest is found first."""
        return next((s for s in reversed(self.sessions.values()) if s.name == name), None)

    def of_place(self, place: int) -> Session | None:
        """Whose batch stands there."""
        return self.sessions.get(place >> ORDINAL_SHIFT)


def count(counts: dict[str, int], name: str, by: int) -> None:
    """Add under a name, or under "other" when there are too many names."""
    key = name if name in counts or (by > 0 and len(counts) < REASONS_MAX) else "other"
    counts[key] = counts.get(key, 0) + by
    if counts[key] <= 0:
        del counts[key]


def short(reason: str) -> str:
    """A reason's first two words: what can be counted."""
    return " ".join(reason.split()[:2])[:64] or "unknown"


def prefix(id_: BatchId) -> bytes:
    """The canonical bytes of a batch up to its series."""
    return wire.encode(Batch(id_.device, id_.session, id_.seq, ()))[: -len(b"[]}")]


_NOBODY = len(prefix(BatchId("", "", 0)))


def encoded(cut: Cut) -> Encoded:
    """A cut without an identity."""
    return Encoded(wire.encode(Batch("", "", 0, cut))[_NOBODY:], sum(map(len, cut)))


def body(id_: BatchId, part: Encoded) -> bytes:
    """The canonical bytes of a cut under its identity."""
    return prefix(id_) + part.tail


def tombstone(id_: BatchId, readings: int, reason: str) -> bytes:
    """The canonical bytes that announce a drop."""
    return wire.encode(Batch(*id_, (), Dropped(readings, reason)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a group's transaction came to.  `state` is the file's as it is durable now."""

    state: State
    generation: int  # of the file: another one means that the sessions of the group are closed
    taken: int  # the last unit that is in the file
    ended: tuple[int, ...]  # places whose free or set-aside is durable
    is_full: bool = False
    fault: str = ""  # the disk's, when nothing was committed
    commits: int = 0
