"""The batcher, and with it how far each source has got.  Pure.

A cursor goes out with the cut that holds the last of its readings: earlier, a crash would skip a row; later, it would
read one twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edge.batcher import Batcher, Cut, CutLimits
from telemetry.batch import Series


@dataclass(frozen=True, slots=True)
class Gathered:
    """Cuts and cursors for one transaction."""

    cuts: Sequence[Cut]
    cursors: Mapping[str, str]


class Gathering:
    """Readings of any number of sources on their way to the spool."""

    def __init__(self, limits: CutLimits) -> None:
        self._batcher = Batcher(limits)
        self._cursors: dict[str, str] = {}  # whose readings are in the batcher, by source

    @property
    def due_s(self) -> float | None:
        """Monotonic time at which what is here is due; None when nothing is."""
        return self._batcher.due_s

    def set_period(self, period_s: float) -> None:
        """Due after this long from now on."""
        self._batcher.limits = replace(self._batcher.limits, period_s=period_s)

    def append(self, source: str, series: Sequence[Series], cursor: str | None, now_s: float) -> Gathered | None:
        """Take what a source read; returns what became due by that."""
        cuts: list[Cut] = []
        is_partly_cut = False
        for n, one in enumerate(series):
            made = self._batcher.append(one, now_s)
            cuts += made
            is_partly_cut = is_partly_cut or bool(made and (n > 0 or self.due_s is None))
        if cursor is None:
            return self._out(cuts)
        if is_partly_cut:
            cuts += self._batcher.flush()
        if self.due_s is None:
            self._cursors[source] = cursor
            return self._out(cuts)
        due = self._out(cuts)
        self._cursors[source] = cursor
        return due

    def flush(self) -> Gathered | None:
        """Everything; None when that is nothing."""
        return self._out(self._batcher.flush())

    def _out(self, cuts: Sequence[Cut]) -> Gathered | None:
        """A cut takes all that the batcher held before it, so all cursors that stand here go along."""
        if not cuts and (self.due_s is not None or not self._cursors):
            return None
        cursors, self._cursors = self._cursors, {}
        return Gathered(cuts, cursors)
