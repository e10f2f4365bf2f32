"""Words of the spool that its users share: a batch as it lies there, its lane, and how full it is."""

from dataclasses import dataclass, field
from enum import StrEnum

from telemetry.batch import BatchId


class Lane(StrEnum):
    """Live: the session that is being written.  Backlog: all older sessions, in order."""

    LIVE = "live"
    BACKLOG = "backlog"


@dataclass(frozen=True, slots=True)
class Epoch:
    """A clock as it stamped readings: UTC = monotonic time + `offset_ns`, within one boot of the machine.

    Two stamps of the same `boot` differ by their offsets; of different boots nothing can be said.
    """

    boot: str
    offset_ns: int
    synchronised: bool


@dataclass(frozen=True, slots=True)
class Spooled:
    """A batch (or a tombstone) on its way out: the same canonical bytes each time it is read."""

    id: BatchId
    body: bytes
    readings: int
    put_ns: int
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch that was set aside: by whom it was put, how much it holds, and the gateway's words."""

    id: BatchId
    readings: int
    reason: str
    aside_ns: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How full the spool is.

    `batches` and `readings` count what is not yet acknowledged: committed, pending and drafts.  `dropped` is
    readings by reason, since the spool's file was made; `aside` is readings by reason that are set aside now.
    """

    batches: int = 0
    readings: int = 0
    size_bytes: int = 0  # what the byte limit is compared with
    oldest_put_ns: int | None = None
    live_batches: int = 0
    live_ready: int = 0  # of them, committed: they can be sent now
    aside_batches: int = 0
    aside: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    commits: int = 0  # transactions since the start: what the card sees
    is_full: bool = False
    reports: tuple[str, ...] = ()  # e.g. a torn file that was set aside, with its new name
