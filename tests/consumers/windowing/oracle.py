"""What windows must be, written as plainly as can be: one row after the other, every window a list of rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from consumers.features import Features
from consumers.windowing import Emitted, Patience, Shape, Stream

S = 10**9
Key = tuple[str, int, int]  # kind, width, start


@dataclass
class Expected:
    """Rows by window, with its revision."""

    rows: list[int] = field(default_factory=list)
    revision: int = 0


@dataclass(frozen=True)
class Kept:
    """What a store would hold of a window."""

    revision: int
    end_ns: int
    count: int
    summary: bytes


def aligned(t_ns: Sequence[int], shapes: Iterable[Shape], patience: Patience) -> tuple[dict[Key, Expected], int]:
    """Tumbling and sliding windows of rows without a step of the clock, and how many rows were too late."""
    windows: dict[Key, Expected] = {}
    shapes = list(shapes)
    newest, too_late = t_ns[0], 0
    for i, t in enumerate(t_ns):
        if t < newest - patience.delay_ns - patience.lateness_ns:
            too_late += 1
            continue
        for shape in shapes:
            start = t // shape.step_ns * shape.step_ns
            while start + shape.width_ns > t:
                window = windows.setdefault((shape.kind, shape.width_ns, start), Expected())
                window.rows.append(i)
                window.revision += start + shape.width_ns <= newest - patience.delay_ns
                start -= shape.step_ns
        newest = max(newest, t)
    return windows, too_late


def sessions(t_ns: Sequence[int], gap_ns: int) -> list[tuple[int, int, int]]:
    """(start, end, rows) of the session windows of these rows, in any order."""
    t_ns = sorted(t_ns)
    cuts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(t_ns)) if b - a >= gap_ns), len(t_ns)]
    return [(t_ns[a], t_ns[b - 1] + gap_ns, b - a) for a, b in pairwise(cuts)]


class Keeper:
    """Keeps the highest revision of each window, as a store does."""

    def __init__(self) -> None:
        self.kept: dict[Key, Kept] = {}
        self.writes = 0

    def take(self, written: Iterable[Emitted]) -> None:
        for some in written:
            columns = (some.start_ns, some.end_ns, some.count, some.revision, some.summaries)
            for start, end, count, revision, summary in zip(*columns, strict=True):
                self.writes += 1
                key = (some.shape.kind, some.shape.width_ns, int(start))
                if key not in self.kept or self.kept[key].revision < revision:
                    self.kept[key] = Kept(int(revision), int(end), int(count), summary.tobytes())

    def features(self, features: Features, key: Key) -> dict[str, float]:
        summary = np.frombuffer(self.kept[key].summary)[None]
        return {name: float(column[0]) for name, column in features.read(summary).items()}


def run(
    stream: Stream, t_ns: np.ndarray, values: np.ndarray, cuts: Sequence[int], keeper: Keeper | None = None
) -> Keeper:
    """Feed the rows cut before the given ones, and end."""
    keeper = keeper or Keeper()
    for a, b in pairwise([0, *sorted(cuts), len(t_ns)]):
        keeper.take(stream.add(t_ns[a:b], values[a:b], in_turn=True))
    keeper.take(stream.end())
    return keeper
