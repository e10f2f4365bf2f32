"""The benchmarks that detectors are measured with: `sensorline evaluate nab|skab|motion --data DIR`.

A benchmark is a module that offers `evaluate(data, *, baselines) -> Table`.
"""

from dataclasses import dataclass
from typing import TypeAlias

Cell: TypeAlias = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """What is printed: a row a detector (ours first); `notes` say how the thresholds were chosen."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
