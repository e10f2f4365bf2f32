"""Which rows still count: the watermark, row by row, and steps of the clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from consumers.windowing.shapes import Patience
from telemetry.window import Floats, Ints

STEP_ROWS = 8
TIME_MAX_NS = 2**62  # until 2116: windows' ends must not overflow


class Left(StrEnum):
    """Why a row or a value is in no window."""

    TOO_LATE = "too_late"  # a row further behind the newest than the lateness allows
    AHEAD = "ahead"  # a row behind its turn (by seq) and further ahead than that
    TIME = "time"  # a row dated beyond 2116 or before 1823
    VALUE = "value"  # a value that is infinite or huge; the rest of its row counts


@dataclass(frozen=True, slots=True)
class Admitted:
    """Rows that count, with the watermark that stood before each, int64[n]."""

    t_ns: Ints
    values: Floats
    passed_ns: Ints


@dataclass(frozen=True, slots=True)
class Stepped:
    """A new epoch begins before what comes next."""


class Order:
    """A stream's newest time.  `left` counts what was left out, by reason."""

    def __init__(self, patience: Patience, fields: int) -> None:
        self._patience = patience
        self._fields = fields
        self.newest_ns: int | None = None
        self.epoch = 0
        self.forced_ns = -TIME_MAX_NS  # everything that ends up to here was written, whatever the watermark
        self.left: dict[Left, int] = {}
        self._odd: list[tuple[Ints, Floats]] = []  # rows that may be a step back

    @property
    def watermark_ns(self) -> int:
        """Windows that end up to here are written."""
        newest_ns = -TIME_MAX_NS if self.newest_ns is None else self.newest_ns - self._patience.delay_ns
        return max(newest_ns, self.forced_ns)

    @property
    def limit_ns(self) -> int:
        """Rows before this are too late."""
        return -TIME_MAX_NS if self.newest_ns is None else self.newest_ns - self._patience.horizon_ns

    def count(self, reason: Left, n: int) -> None:
        """n were left out."""
        if n:
            self.left[reason] = self.left.get(reason, 0) + n

    def admit(self, t_ns: Ints, values: Floats, *, in_turn: bool) -> Iterator[Admitted | Stepped]:
        """What counts of these rows; `in_turn` says that they come in the order of seq."""
        sane = (t_ns >= -TIME_MAX_NS) & (t_ns <= TIME_MAX_NS)
        if not sane.all():
            self.count(Left.TIME, int(np.count_nonzero(~sane)))
            t_ns, values = t_ns[sane], values[sane]
        if not len(t_ns):
            return
        if in_turn or self.newest_ns is None:
            yield from self._in_turn(t_ns, values)
        else:
            yield from self._behind(t_ns, values, self.newest_ns)

    def end(self) -> Iterator[Admitted | Stepped]:
        """No row comes any more: those that may be a step are taken for one."""
        while self._odd:
            rows = self._step()
            yield Stepped()
            yield from self._in_turn(*rows)

    def _behind(self, t_ns: Ints, values: Floats, newest_ns: int) -> Iterator[Admitted]:
        late, ahead = t_ns < self.limit_ns, t_ns > newest_ns + self._patience.horizon_ns
        self.count(Left.TOO_LATE, int(np.count_nonzero(late)))
        self.count(Left.AHEAD, int(np.count_nonzero(ahead)))
        fine = ~(late | ahead)
        if fine.any():
            yield Admitted(t_ns[fine], values[fine], np.full(np.count_nonzero(fine), self.watermark_ns))

    def _in_turn(self, t_ns: Ints, values: Floats) -> Iterator[Admitted | Stepped]:
        stretches = [(t_ns, values)]
        while stretches:
            t_ns, values = stretches.pop()
            if self.newest_ns is None:
                self.newest_ns = int(t_ns[0])
            before = np.maximum.accumulate(np.concatenate(([self.newest_ns], t_ns)))
            fine = t_ns >= before[:-1] - self._patience.horizon_ns
            n = _leading(fine)
            if n:
                self._not_a_step()
                passed = np.maximum(before[:n] - self._patience.delay_ns, self.forced_ns)
                self.newest_ns = int(before[n])
                yield Admitted(t_ns[:n], values[:n], passed)
            if n < len(t_ns):
                n += self._doubt(t_ns[n:], values[n:])
                if n < len(t_ns):
                    stretches.append((t_ns[n:], values[n:]))
                if self._odd_rows() == STEP_ROWS:
                    stretches.append(self._step())
                    yield Stepped()

    def _doubt(self, t_ns: Ints, values: Floats) -> int:
        """Put aside leading rows that are too late, as many as make a step; how many."""
        n = min(_leading(t_ns < self.limit_ns), STEP_ROWS - self._odd_rows())
        self._odd.append((t_ns[:n].copy(), values[:n].copy()))
        return n

    def _odd_rows(self) -> int:
        return sum(len(t) for t, _ in self._odd)

    def _not_a_step(self) -> None:
        self.count(Left.TOO_LATE, self._odd_rows())
        self._odd = []

    def _step(self) -> tuple[Ints, Floats]:
        rows = self.odd()
        self._odd = []
        self.newest_ns, self.forced_ns = None, -TIME_MAX_NS
        self.epoch += 1
        return rows

    def odd(self) -> tuple[Ints, Floats]:
        """The rows that may be a step."""
        if not self._odd:
            return np.empty(0, np.int64), np.empty((0, self._fields))
        return np.concatenate([t for t, _ in self._odd]), np.concatenate([x for _, x in self._odd])

    def freeze(self) -> dict[str, Any]:
        """All but the odd rows, as JSON."""
        left = {str(reason): self.left[reason] for reason in sorted(self.left)}
        return {"newest": self.newest_ns, "epoch": self.epoch, "forced": self.forced_ns, "left": left}

    def thaw(self, state: dict[str, Any], odd: tuple[Ints, Floats]) -> None:
        """As it was; raises `KeyError` or `ValueError` where it is no such state."""
        self.newest_ns, self.epoch, self.forced_ns = state["newest"], state["epoch"], state["forced"]
        self.left = {Left(reason): n for reason, n in state["left"].items()}
        self._odd = [odd] if len(odd[0]) else []


def _leading(mask: Any) -> int:
    """How many are true before the first that is not."""
    return len(mask) if mask.all() else int(np.argmin(mask))
