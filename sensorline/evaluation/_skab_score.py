"""The Skoltech Anomaly Benchmark's scoring: every row is right or wrong, and the rows of all files are pooled."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows that were alarmed rightly, left alone rightly, alarmed wrongly, missed."""

    tp: int = 0
    tn: int = 0
    fp: int = 0
    fn: int = 0

    @classmethod
    def of(cls, wrong: npt.NDArray[np.bool_], alarm: npt.NDArray[np.bool_]) -> Self:
        """Of rows, both bool[n]."""
        tp, alarms, anomalies = int((wrong & alarm).sum()), int(alarm.sum()), int(wrong.sum())
        return cls(tp, len(wrong) - alarms - anomalies + tp, alarms - tp, anomalies - tp)

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(self.tp + other.tp, self.tn + other.tn, self.fp + other.fp, self.fn + other.fn)

    @property
    def f1(self) -> float:
        return self.tp / max(self.tp + (self.fp + self.fn) / 2, 1e-9)

    @property
    def far(self) -> float:
        """Share of the normal rows that were alarmed."""
        return self.fp / max(self.fp + self.tn, 1)

    @property
    def mar(self) -> float:
        """Share of the anomalous rows that were missed."""
        return self.fn / max(self.fn + self.tp, 1)

    @property
    def mcc(self) -> float:
        """Matthews' correlation: 1 perfect, 0 as good as chance or silence."""
        tp, tn, fp, fn = float(self.tp), float(self.tn), float(self.fp), float(self.fn)
        below = sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        return (tp * tn - fp * fn) / below if below else 0.0


def pooled(parts: Iterable[Confusion]) -> Confusion:
    """All rows together."""
    return sum(parts, Confusion())
