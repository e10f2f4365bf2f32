"""A stream's own time: its rows in the order in which they stand, whatever their clock says.  Pure.

Device times repeat, gap and step back, so nothing here waits for one to be passed.  `at` is how far the clock has
moved forward since the stream began: a step back adds nothing to it.  A step back by more than `step_ns` begins a new
clock epoch.  Integers only, so where a batch was cut changes no bit.
"""

from dataclasses import dataclass
from typing import Any, Self

import msgspec
import numpy as np
import numpy.typing as npt

from consumers.detectors import Floats, Times
from telemetry.reading import FIELD_NAMES, Kind

_AT_MAX = 2**61


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """n rows: device time `t`, `at` and `epoch` int64[n]; `number` of the first; values at their declared precision."""

    t: Times
    at: Times
    epoch: Times
    number: int
    narrow: npt.NDArray[np.float32]  # [n, fields of float32]
    wide: Floats  # [n, fields of float64]

    def __len__(self) -> int:
        return len(self.t)

    def cut(self, begin: int, end: int) -> Self:
        """Rows begin..end, as copies: a few rows must not hold a whole batch in memory."""
        t, at, epoch, narrow, wide = (array[begin:end].copy() for array in self._columns())
        return type(self)(t, at, epoch, self.number + begin, narrow, wide)

    def joined(self, *more: Self) -> Self:
        """These and then those."""
        pieces = [piece for piece in (self, *more) if len(piece)]
        if len(pieces) < 2:
            return pieces[0] if pieces else self
        columns = zip(*(piece._columns() for piece in pieces), strict=True)
        t, at, epoch, narrow, wide = (np.concatenate(column) for column in columns)
        return type(self)(t, at, epoch, pieces[0].number, narrow, wide)

    def _columns(self) -> tuple[npt.NDArray[Any], ...]:
        return self.t, self.at, self.epoch, self.narrow, self.wide

    @property
    def size_bytes(self) -> int:
        """What the arrays hold."""
        return sum(a.nbytes for a in self._columns())


class Clock(msgspec.Struct):
    """Where a stream's own time stands."""

    t: int | None = None
    at: int = 0
    epoch: int = 0
    rows: int = 0


class Layout:
    """Which of a stream's columns are kept in 32 bits, and which in 64."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        is_wide = [FIELD_NAMES.get(name) is Kind.FLOAT64 for name in fields]
        self._narrow = np.array([k for k, wide in enumerate(is_wide) if not wide], np.intp)
        self._wide = np.array([k for k, wide in enumerate(is_wide) if wide], np.intp)
        self.narrow = tuple(name for name, wide in zip(fields, is_wide, strict=True) if not wide)
        self.wide = tuple(name for name, wide in zip(fields, is_wide, strict=True) if wide)

    def none(self) -> Rows:
        """No rows."""
        empty = np.zeros(0, np.int64)
        return self.rows(Clock(), empty, np.zeros((0, len(self.narrow) + len(self.wide))), 0, 1)

    def rows(self, clock: Clock, t: Times, values: Floats, step_ns: int, jump_ns_max: int) -> Rows:
        """Put rows on the stream's time, which moves on; a jump forward counts for `jump_ns_max` at most."""
        at, epoch = _placed(clock, t, step_ns, jump_ns_max)
        number = clock.rows
        if len(t):
            clock.t, clock.at, clock.epoch, clock.rows = int(t[-1]), int(at[-1]), int(epoch[-1]), number + len(t)
        with np.errstate(over="ignore"):
            narrow = values[:, self._narrow].astype(np.float32)
        return Rows(t, at, epoch, number, narrow, values[:, self._wide])


def _placed(clock: Clock, t: Times, step_ns: int, jump_ns_max: int) -> tuple[Times, Times]:
    if clock.at > _AT_MAX:
        clock.at, clock.epoch = 0, clock.epoch + 1
    if not len(t):
        return t, t
    moved = np.empty(len(t), np.int64)
    moved[0] = 0 if clock.t is None else t[0] - clock.t
    np.subtract(t[1:], t[:-1], out=moved[1:])
    epoch = np.full(len(t), clock.epoch)
    if moved.min() < 0:
        epoch += np.cumsum(moved < -step_ns)
    at = np.cumsum(np.clip(moved, 0, jump_ns_max))
    at += clock.at
    return at, epoch
