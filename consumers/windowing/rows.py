"""A stretch of a stream: its raw rows, as long as there are few, and what earlier ones amount to."""

from collections.abc import Iterable

import numpy as np

from consumers.features import Features
from telemetry.window import Floats, Ints

OVERHEAD_BYTES = 1_024  # of objects and summaries


class Cell:
    """Rows of a pane or a session window; `base` summarises those that are no longer kept."""

    __slots__ = ("_pieces", "_summary", "base", "count", "kept")

    def __init__(self) -> None:
        self.count = 0  # of all rows
        self.kept = 0  # of raw rows
        self.base: Floats | None = None
        self._pieces: list[tuple[Ints, Floats]] = []
        self._summary: Floats | None = None

    def add(self, features: Features, t_ns: Ints, values: Floats) -> None:
        """Take rows, in the order in which they came (not kept: copied)."""
        self._summary = None
        self.count += len(t_ns)
        while self.kept + len(t_ns) > features.rows_max:  # the earlier go when there is one too many
            room = features.rows_max - self.kept
            self._keep(features, t_ns[:room], values[:room])
            self.seal(features)
            t_ns, values = t_ns[room:], values[room:]
        self._keep(features, t_ns, values)

    def absorb(self, features: Features, later: "Cell") -> None:
        """Take all of a later stretch."""
        t_ns, values = later.raw(features)
        if later.base is not None:
            self.seal(features)
            self.base = later.base if self.base is None else features.combine(np.stack((self.base, later.base)))
        self.count += later.count - later.kept
        self.add(features, t_ns, values)

    def raw(self, features: Features) -> tuple[Ints, Floats]:
        """The rows that are kept, as they came."""
        if not self._pieces:
            return np.empty(0, np.int64), np.empty((0, len(features.fields)), features.dtype)
        if len(self._pieces) > 1:
            self._pieces = [(np.concatenate([t for t, _ in self._pieces]), np.vstack([x for _, x in self._pieces]))]
        return self._pieces[0]

    def summary(self, features: Features) -> Floats:
        """What all of it amounts to."""
        if self._summary is None:
            summarise(features, [self])
        assert self._summary is not None  # noqa: S101 - the line before
        return self._summary

    def seal(self, features: Features) -> None:
        """Keep what it amounts to, and no rows."""
        if self.kept:
            self.base = self.summary(features)
            self.kept, self._pieces = 0, []

    def restore(self, count: int, base: Floats | None, t_ns: Ints, values: Floats) -> None:
        """As it was."""
        self.count, self.base, self.kept = count, base, len(t_ns)
        self._pieces = [(t_ns, values)] if len(t_ns) else []

    def size_bytes(self, features: Features) -> int:
        """What it holds, about."""
        return OVERHEAD_BYTES + self.kept * (8 + features.dtype.itemsize * len(features.fields))

    def settle(self, features: Features, vector: Floats) -> None:
        """`vector` is what the kept rows amount to."""
        self._summary = vector if self.base is None else features.combine(np.stack((self.base, vector)))

    @property
    def is_settled(self) -> bool:
        """Whether its summary is known."""
        if self._summary is None and not self.kept:
            self._summary = self.base
        return self._summary is not None

    def _keep(self, features: Features, t_ns: Ints, values: Floats) -> None:
        if len(t_ns):
            self._summary = None
            self.kept += len(t_ns)
            self._pieces.append((t_ns.copy(), values.astype(features.dtype)))


def summarise(features: Features, cells: Iterable[Cell]) -> None:
    """Settle all of these at once."""
    waiting = [cell for cell in cells if not cell.is_settled]
    if not waiting:
        return
    parts = [_in_order(*cell.raw(features)) for cell in waiting]
    starts = np.cumsum([0, *(cell.kept for cell in waiting[:-1])])
    t_ns = np.concatenate([t for t, _ in parts])
    values = np.concatenate([x for _, x in parts]).astype(np.float64)
    for cell, vector in zip(waiting, features.summarise(t_ns, values, starts), strict=True):
        cell.settle(features, vector)


def _in_order(t_ns: Ints, values: Floats) -> tuple[Ints, Floats]:
    """By time, and of the same time by value: an order that does not depend on how they came."""
    apart = np.diff(t_ns)
    if (apart > 0).all():
        return t_ns, values
    order = np.lexsort((*values.T[::-1], t_ns))
    return t_ns[order], values[order]
