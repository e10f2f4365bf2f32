"""What a stateful consumer does with one device: the seam between machinery (`keyed`) and work (detect, windows).

The machinery reads the log, drops duplicates, puts a session's batches in the order of their seq, keeps and restores
state; an operator is a plain object that takes one batch after the other and says what follows from it.  It has no
clock, no log and no store: the same arrivals give the same outputs, bit for bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from telemetry.batch import Batch
from telemetry.beside import NOTHING, Beside

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


class Lane(StrEnum):
    """How a batch comes in."""

    LIVE = "live"  # the device's newest session, in the order of seq
    BACKLOG = "backlog"  # an older session that drains behind: judged by a state of its own, seeded from the device's
    LATE = "late"  # behind what was already passed on: told, but it must not touch any state of order


@dataclass(frozen=True, slots=True)
class Arrival:
    """A batch whose turn it is, each once."""

    batch: Batch
    lane: Lane
    received_ns: int  # when the gateway had it
    partition: int
    offset: int
    said: Beside = NOTHING


class Operator(Protocol[T_co]):
    """The work on one device, made fresh or thawed."""

    def apply(self, arrival: Arrival) -> Sequence[T_co]:
        """What follows from this batch, in order."""
        ...

    def end_session(self, session: str) -> Sequence[T_co]:
        """This session is over or forgotten: close what it left open, and drop its own state."""
        ...

    def pass_time(self, received_ns: int) -> Sequence[T_co]:
        """The partition's receive time has come so far without a word of this device (at most once a second of it).

        Called once `due_ns` has come, and never otherwise.
        """
        ...

    @property
    def due_ns(self) -> int | None:
        """The receive time from which `pass_time` has something to do; None: only a batch can change anything.

        Asked after each call; it must follow from the state alone.
        """
        ...

    @property
    def size_bytes(self) -> int:
        """What the state holds in memory, about; cheap."""
        ...

    def freeze(self) -> bytes:
        """The whole state, in a versioned schema (never pickle); the same state gives the same bytes."""
        ...


class Operators(Protocol[T_co]):
    """Makes operators."""

    def fresh(self, device: str) -> Operator[T_co]:
        """For a device never seen."""
        ...

    def thaw(self, device: str, frozen: bytes) -> Operator[T_co]:
        """From what `freeze` gave; raises `Malformed` for another version or damage (the device then starts fresh)."""
        ...


class Sink(Protocol[T_contra]):
    """Where outputs go: durable when `write` returns, and a repetition changes nothing there."""

    async def write(self, outputs: Sequence[T_contra]) -> None:
        """Raises `Retryable` when all must be written again."""
        ...


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """A stateful consumer's name (its group), its operators and where their outputs go."""

    name: str
    operators: Operators[T]
    sink: Sink[T]
