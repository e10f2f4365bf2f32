"""Whether readings are held back as drafts until the clock is set, and what a change of the clock asks for.  Pure.

    at the start       set: nothing is held.  Not set: hold.
    holding            set -> settle with the shift; waited long enough -> settle as they are
    not holding        a change -> rotate: a new epoch of the clock is a new session

Each is decided once; the caller acts on it before it asks again.
"""

from dataclasses import dataclass
from typing import TypeAlias

from edge.timing.stamping import Change, Synchronised


@dataclass(frozen=True, slots=True)
class Settle:
    """Drafts become batches, their times shifted: `Spool.settle`."""

    shift_ns: int


@dataclass(frozen=True, slots=True)
class Rotate:
    """Begin a new session: `Spool.rotate`; what the batcher holds belongs to the old one."""


Step: TypeAlias = Settle | Rotate


class Holding:
    """Decides, once a second."""

    def __init__(self, *, is_set: bool, wait_s: float, now_s: float) -> None:
        self._until_s: float | None = None if is_set or wait_s <= 0 else now_s + wait_s

    @property
    def is_holding(self) -> bool:
        """Whether stamped readings are to be put as drafts."""
        return self._until_s is not None

    def next(self, change: Change | None, now_s: float) -> Step | None:
        """What to do after a poll of the stamper at monotonic time `now_s`."""
        if self._until_s is None:
            return None if change is None else Rotate()
        if isinstance(change, Synchronised):
            self._until_s = None
            return Settle(change.shift_ns)
        if now_s < self._until_s:
            return None
        self._until_s = None
        return Settle(0)
