"""Which rows of a chunk are bad and why, and how they are shown to a person.  Pure."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from edge.cleaning.cells import Mask
from edge.sources import TEXT_CHARS_MAX, Bad
from telemetry.outcome import Reason

Lines: TypeAlias = Sequence[int] | npt.NDArray[np.int64] | range


class Faults:
    """Which rows are bad, and why; a row's first fault stays."""

    def __init__(self, n: int) -> None:
        self._kinds: list[tuple[Reason, str]] = []
        self.which: npt.NDArray[np.int32] | None = None  # 0: fine; else the kind's number from 1
        self._n = n

    def mark(self, rows: Mask | None, reason: Reason, detail: str) -> None:
        """These rows are bad, unless they are already."""
        if rows is None or not rows.any():
            return
        if self.which is None:
            self.which = np.zeros(self._n, np.int32)
        self._kinds.append((reason, detail))
        self.which[rows & (self.which == 0)] = len(self._kinds)

    def join(self, other: "Faults") -> None:
        """Another's faults count here too."""
        for number, (reason, detail) in enumerate(other._kinds, 1):
            self.mark(cast(Any, other.which) == number, reason, detail)

    def rows(self) -> npt.NDArray[np.int64]:
        """Which rows are bad."""
        return np.flatnonzero(self.which) if self.which is not None else np.empty(0, np.int64)

    def bad(self, lines: Lines, text: Callable[[int], str]) -> list[Bad]:
        """As they are set aside."""
        return [Bad(int(lines[k]), *self._said(k, text)) for k in self.rows().tolist()]

    def _said(self, k: int, text: Callable[[int], str]) -> tuple[str, str, str]:
        reason, detail = self._kinds[cast(Any, self.which)[k] - 1]
        return str(reason), shown(text(k)), detail


def shown(row: Any) -> str:
    """A row for a person, cut; surrogates escaped."""
    return str(row)[:TEXT_CHARS_MAX].encode("utf-8", "backslashreplace").decode()[:TEXT_CHARS_MAX]
