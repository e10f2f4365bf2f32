"""How windows come out: their bounds at once, their features when they are asked for, best for many at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from consumers.features import Features
from consumers.windowing.rows import Part, settle
from consumers.windowing.shapes import Shape
from telemetry.window import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Emitted:
    """w windows of one shape by start, columns of w; `parts` of each, in the order of time.

    A `count` of 0, and no part, says that a session window is no more: it went into another.
    """

    features: Features
    shape: Shape
    start_ns: Ints
    end_ns: Ints
    count: Ints
    revision: Ints
    parts: Sequence[Sequence[Part]]

    @property
    def summaries(self) -> Floats:
        """What they amount to, float64[w, features.size] (see `Features.read`)."""
        settle(self.features, (part for window in self.parts for part in window))
        return np.stack([self._combined([p.vector for p in window if p.vector is not None]) for window in self.parts])

    def _combined(self, vectors: Sequence[Floats]) -> Floats:
        if not vectors:
            return np.full(self.features.size, np.nan)
        return vectors[0] if len(vectors) == 1 else self.features.combine(np.stack(vectors))


def emitted(
    features: Features, shape: Shape, windows: Iterable[tuple[int, int, int, int]], parts: Sequence[Sequence[Part]]
) -> Emitted:
    """Of (start, end, count, revision) each."""
    columns = np.array(list(windows), np.int64).T
    return Emitted(features, shape, columns[0], columns[1], columns[2], columns[3], parts)
