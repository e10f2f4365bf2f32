"""Session windows of one epoch: rows that are less than a gap apart."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from consumers.features import Features
from consumers.windowing.emitted import Emitted, emitted
from consumers.windowing.frozen import FrozenCells, freeze_cells, thaw_cells
from consumers.windowing.rows import Cell
from consumers.windowing.shapes import Shape
from telemetry.window import Floats, Ints


class Span:
    """One session window as far as it is known; `last_ns` is its newest row."""

    __slots__ = ("cell", "is_told", "last_ns", "revision", "start_ns")

    def __init__(self, start_ns: int, last_ns: int) -> None:
        self.start_ns = start_ns
        self.last_ns = last_ns
        self.cell = Cell()
        self.revision = 0
        self.is_told = False  # written, and not changed since


class Sessions:
    """Session windows that may still change, in the order of time.  `revision`: where this epoch's begin."""

    def __init__(self, features: Features, shape: Shape, revision: int) -> None:
        self._features = features
        self._shape = shape
        self._gap_ns = shape.step_ns
        self._revision = revision
        self._spans: list[Span] = []
        self._gone: dict[int, int] = {}  # start -> revision of those that were written and went into others

    def add(self, t_ns: Ints, values: Floats, passed_ns: Ints) -> None:
        """Take rows that count, with the watermark before each."""
        apart = np.diff(t_ns)
        if (not self._spans or t_ns[0] > self._spans[-1].last_ns) and (apart >= 0).all():
            bounds = [0, *(np.flatnonzero(apart >= self._gap_ns) + 1).tolist(), len(t_ns)]
        else:
            bounds = list(range(len(t_ns) + 1))
        for begin, end in pairwise(bounds):
            self._take(t_ns[begin:end], values[begin:end], int(passed_ns[begin]))

    def due(self, watermark_ns: int) -> Iterator[Emitted]:
        """The windows that this watermark passes, those it had passed and that changed, and those that are no more."""
        ripe = [s for s in self._spans if not s.is_told and s.last_ns + self._gap_ns <= watermark_ns]
        if not ripe and not self._gone:
            return
        windows = [(s.start_ns, s.last_ns + self._gap_ns, s.cell.count, self._revision + s.revision) for s in ripe]
        parts = [[s.cell.part(self._features)] for s in ripe]
        for start_ns, revision in sorted(self._gone.items()):
            windows.append((start_ns, start_ns, 0, self._revision + revision))
            parts.append([])
        self._gone = {}
        for span in ripe:
            span.is_told = True
        yield emitted(self._features, self._shape, windows, parts)

    def forget(self, limit_ns: int) -> None:
        """No row before this comes any more."""
        self._spans = [s for s in self._spans if s.last_ns + self._gap_ns > limit_ns]

    @property
    def end_ns(self) -> int | None:
        """When the last of them ends."""
        return self._spans[-1].last_ns + self._gap_ns if self._spans else None

    @property
    def size_bytes(self) -> int:
        """What is held in memory, about."""
        return sum(cell.size_bytes(self._features) for cell in (span.cell for span in self._spans))

    def freeze(self) -> FrozenCells:
        """The state (after `due`)."""
        spans = [[s.start_ns, s.last_ns, s.revision, s.is_told] for s in self._spans]
        return freeze_cells(self._features, {"spans": spans}, [s.cell for s in self._spans])

    def thaw(self, frozen: FrozenCells) -> None:
        """As it was."""
        head: dict[str, Any] = frozen.head
        self._spans = []
        for (start_ns, last_ns, revision, is_told), cell in zip(head["spans"], thaw_cells(frozen), strict=True):
            span = Span(start_ns, last_ns)
            span.cell, span.revision, span.is_told = cell, revision, is_told
            self._spans.append(span)

    def _take(self, t_ns: Ints, values: Floats, passed_ns: int) -> None:
        """Rows in the order of time that are less than a gap apart: a window of their own, or the bridge of others."""
        first_ns, last_ns = int(t_ns[0]), int(t_ns[-1])
        near = [s for s in self._spans if s.start_ns - last_ns < self._gap_ns and first_ns - s.last_ns < self._gap_ns]
        start_ns = min([first_ns, *(s.start_ns for s in near)])
        for span in near:
            span.revision += span.is_told or span.last_ns + self._gap_ns <= passed_ns
            if span.start_ns != start_ns and span.revision:
                self._gone[span.start_ns] = span.revision
        whole = near[0] if near else Span(first_ns, last_ns)
        for span in near[1:]:
            whole.cell.absorb(self._features, span.cell)
        if whole.start_ns != start_ns:
            whole.start_ns, whole.revision = start_ns, 0
        whole.last_ns = max([last_ns, *(s.last_ns for s in near)])
        whole.is_told = False
        whole.cell.add(self._features, t_ns, values)
        self._spans = sorted([s for s in self._spans if s not in near] + [whole], key=lambda s: s.start_ns)
