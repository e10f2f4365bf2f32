"""Tumbling and sliding windows of one epoch: panes of rows, and which windows are due."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from consumers.features import Features
from consumers.windowing.emitted import Emitted, emitted
from consumers.windowing.frozen import FrozenCells, freeze_cells, thaw_cells
from consumers.windowing.rows import Cell
from consumers.windowing.shapes import Shape, pane_ns
from telemetry.window import Floats, Ints

STEPS_MAX = 64  # more steps of the watermark than this at once: look at the panes there are instead


@dataclass(frozen=True, slots=True)
class Window:
    """One window of the shape of that index."""

    shape: int
    start_ns: int


class Panes:
    """Rows by pane.  `revision` is where this epoch's revisions begin."""

    def __init__(self, features: Features, shapes: Sequence[Shape], revision: int) -> None:
        self._features = features
        self._shapes = tuple(shapes)
        self._width_ns = pane_ns(shapes)
        self._widest_ns = max(shape.width_ns for shape in shapes)
        self._revision = revision
        self._cells: dict[int, Cell] = {}
        self._late: dict[Window, int] = {}  # rows that came after the watermark had passed the window's end
        self._touched: set[Window] = set()
        self._done_ns: int | None = None  # the watermark up to which windows were written
        self._kept_from: int | None = None  # the oldest pane that may still change

    def add(self, t_ns: Ints, values: Floats, passed_ns: Ints) -> None:
        """Take rows that count, with the watermark before each."""
        if self._done_ns is None:
            self._done_ns = int(passed_ns[0])
        pane = t_ns // self._width_ns
        late = passed_ns >= (pane + 1) * self._width_ns
        if late.any():
            self._note_late(t_ns[late].tolist(), passed_ns[late].tolist())
        if not (np.diff(pane) >= 0).all():
            order = np.argsort(pane, kind="stable")
            pane, t_ns, values = pane[order], t_ns[order], values[order]
        bounds = [0, *(np.flatnonzero(np.diff(pane)) + 1).tolist(), len(pane)]
        for begin, end in pairwise(bounds):
            cell = self._cells.setdefault(int(pane[begin]), Cell())
            cell.add(self._features, t_ns[begin:end], values[begin:end])

    def due(self, watermark_ns: int) -> Iterator[Emitted]:
        """The windows that this watermark passes, and those that it had passed and that changed."""
        if self._done_ns is None:
            return
        windows = {*self._passing(self._done_ns, watermark_ns), *self._touched}
        self._touched.clear()
        self._done_ns = max(self._done_ns, watermark_ns)
        for k in range(len(self._shapes)):
            starts = sorted(window.start_ns for window in windows if window.shape == k)
            if starts:
                yield self._emitted(k, starts)

    def forget(self, limit_ns: int) -> None:
        """No row before this comes any more: let go of rows, panes and windows that cannot change."""
        first = limit_ns // self._width_ns
        if first == self._kept_from:
            return
        self._kept_from = first
        for index in list(self._cells):
            if index * self._width_ns + self._widest_ns <= limit_ns:
                del self._cells[index]
            elif index < first:
                self._cells[index].seal(self._features)
        self._late = {w: n for w, n in self._late.items() if w.start_ns + self._shapes[w.shape].width_ns > limit_ns}

    @property
    def end_ns(self) -> int | None:
        """When the last window with a row in it ends; None where there is none."""
        if not self._cells:
            return None
        start_ns = max(self._cells) * self._width_ns
        return max(start_ns // shape.step_ns * shape.step_ns + shape.width_ns for shape in self._shapes)

    @property
    def size_bytes(self) -> int:
        """What is held in memory, about."""
        return sum(cell.size_bytes(self._features) for cell in self._cells.values())

    def freeze(self) -> FrozenCells:
        """The state (after `due`)."""
        indices = sorted(self._cells)
        head: dict[str, Any] = {
            "done": self._done_ns,
            "panes": indices,
            "late": sorted([w.shape, w.start_ns, n] for w, n in self._late.items()),
        }
        return freeze_cells(self._features, head, [self._cells[index] for index in indices])

    def thaw(self, frozen: FrozenCells) -> None:
        """As it was."""
        head, cells = frozen.head, thaw_cells(frozen)
        self._done_ns = head["done"]
        self._cells = dict(zip(head["panes"], cells, strict=True))
        self._late = {Window(shape, start_ns): n for shape, start_ns, n in head["late"]}

    def _note_late(self, t_ns: Iterable[int], passed_ns: Iterable[int]) -> None:
        for t, passed in zip(t_ns, passed_ns, strict=True):
            for window in self._windows_of(t // self._width_ns):
                if window.start_ns + self._shapes[window.shape].width_ns <= passed:
                    self._late[window] = self._late.get(window, 0) + 1
                    self._touched.add(window)

    def _windows_of(self, pane: int) -> Iterator[Window]:
        begin_ns, end_ns = pane * self._width_ns, (pane + 1) * self._width_ns
        for k, shape in enumerate(self._shapes):
            first_ns = -((shape.width_ns - end_ns) // shape.step_ns) * shape.step_ns  # rounded up
            for start_ns in range(first_ns, begin_ns + 1, shape.step_ns):
                yield Window(k, start_ns)

    def _passing(self, done_ns: int, watermark_ns: int) -> Iterator[Window]:
        """Windows with rows that end after `done_ns` and not after the watermark."""
        for k, shape in enumerate(self._shapes):
            first = (done_ns - shape.width_ns) // shape.step_ns + 1
            last = (watermark_ns - shape.width_ns) // shape.step_ns
            if last - first < STEPS_MAX:
                starts = [step * shape.step_ns for step in range(first, last + 1)]
                yield from (Window(k, start_ns) for start_ns in starts if any(self._within(shape, start_ns)))
            else:
                ending = ((w, w.start_ns + shape.width_ns) for pane in self._cells for w in self._windows_of(pane))
                yield from (w for w, end_ns in ending if w.shape == k and done_ns < end_ns <= watermark_ns)

    def _within(self, shape: Shape, start_ns: int) -> Iterator[Cell]:
        first = start_ns // self._width_ns
        for index in range(first, first + shape.width_ns // self._width_ns):
            if index in self._cells:
                yield self._cells[index]

    def _emitted(self, k: int, starts: Sequence[int]) -> Emitted:
        shape = self._shapes[k]
        cells = [list(self._within(shape, start_ns)) for start_ns in starts]
        return emitted(
            self._features,
            shape,
            [
                (start_ns, start_ns + shape.width_ns, sum(c.count for c in window), self._revision_of(k, start_ns))
                for start_ns, window in zip(starts, cells, strict=True)
            ],
            [[cell.part(self._features) for cell in window] for window in cells],
        )

    def _revision_of(self, k: int, start_ns: int) -> int:
        return self._revision + self._late.get(Window(k, start_ns), 0)
