"""A stretch of a stream: its raw rows, as long as there are few, and what earlier ones amount to."""

from collections.abc import Iterable

import numpy as np

from consumers.features import Features
from telemetry.window import Floats, Ints

OVERHEAD_BYTES = 1_024  # of objects and summaries


class Part:
    """A stretch as it was at one moment: its rows as they came, and what earlier ones amount to.

    Its summary is worked out when it is asked for, and best for many at once (`settle`).
    """

    __slots__ = ("base", "t_ns", "values", "vector")

    def __init__(self, base: Floats | None, t_ns: Ints, values: Floats) -> None:
        self.base = base
        self.t_ns = t_ns
        self.values = values
        self.vector: Floats | None = None if len(t_ns) else base


def settle(features: Features, parts: Iterable[Part]) -> None:
    """Work out the summaries of all of these at once: `vector` is there afterwards."""
    waiting = list({id(part): part for part in parts if part.vector is None}.values())
    if not waiting:
        return
    rows = [_in_order(part.t_ns, part.values) for part in waiting]
    starts = np.cumsum([0, *(len(part.t_ns) for part in waiting[:-1])])
    t_ns = np.concatenate([t for t, _ in rows])
    values = np.concatenate([x for _, x in rows]).astype(np.float64)
    for part, vector in zip(waiting, features.summarise(t_ns, values, starts), strict=True):
        # copied: a row that is kept must not keep all the others
        part.vector = vector.copy() if part.base is None else features.combine(np.stack((part.base, vector)))


class Cell:
    """Rows of a pane or a session window; `base` summarises those that are no longer kept."""

    __slots__ = ("_part", "_pieces", "base", "count", "kept")

    def __init__(self) -> None:
        self.count = 0  # of all rows
        self.kept = 0  # of raw rows
        self.base: Floats | None = None
        self._pieces: list[tuple[Ints, Floats]] = []
        self._part: Part | None = None

    def add(self, features: Features, t_ns: Ints, values: Floats) -> None:
        """Take rows, in the order in which they came (not kept: copied)."""
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
            self._part = None
        self.count += later.count - later.kept
        self.add(features, t_ns, values)

    def raw(self, features: Features) -> tuple[Ints, Floats]:
        """The rows that are kept, as they came; these arrays never change."""
        if not self._pieces:
            return np.empty(0, np.int64), np.empty((0, len(features.fields)), features.dtype)
        if len(self._pieces) > 1:
            self._pieces = [(np.concatenate([t for t, _ in self._pieces]), np.vstack([x for _, x in self._pieces]))]
        return self._pieces[0]

    def part(self, features: Features) -> Part:
        """All of it as it is now."""
        if self._part is None:
            self._part = Part(self.base, *self.raw(features))
        return self._part

    def seal(self, features: Features) -> None:
        """Keep what it amounts to, and no rows."""
        if self.kept:
            part = self.part(features)
            settle(features, [part])
            self.base, self.kept, self._pieces, self._part = part.vector, 0, [], None

    def restore(self, count: int, base: Floats | None, t_ns: Ints, values: Floats) -> None:
        """As it was."""
        self.count, self.base, self.kept = count, base, len(t_ns)
        self._pieces = [(t_ns, values)] if len(t_ns) else []

    def size_bytes(self, features: Features) -> int:
        """What it holds, about."""
        return OVERHEAD_BYTES + self.kept * (8 + features.dtype.itemsize * len(features.fields))

    def _keep(self, features: Features, t_ns: Ints, values: Floats) -> None:
        if len(t_ns):
            self._part = None
            self.kept += len(t_ns)
            self._pieces.append((t_ns.copy(), values.astype(features.dtype)))


def _in_order(t_ns: Ints, values: Floats) -> tuple[Ints, Floats]:
    """By time, and of the same time by value: an order that does not depend on how they came."""
    if (t_ns[1:] > t_ns[:-1]).all():
        return t_ns, values
    order = np.lexsort((*values.T[::-1], t_ns))
    return t_ns[order], values[order]
