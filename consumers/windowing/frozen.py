"""A stream's stretches of rows as plain arrays, to be kept and read back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from consumers.features import Features
from consumers.windowing.rows import Cell


@dataclass(frozen=True, slots=True)
class FrozenCells:
    """`head` is JSON-able; the arrays hold the rows of all cells one after the other, and the bases there are."""

    head: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]


def freeze_cells(features: Features, head: dict[str, Any], cells: Sequence[Cell]) -> FrozenCells:
    """`head` and these cells."""
    raw = [cell.raw(features) for cell in cells]
    bases = [cell.base for cell in cells if cell.base is not None]
    listed = [[cell.count, cell.kept, cell.base is not None] for cell in cells]
    arrays = {
        "t": np.concatenate([np.empty(0, np.int64), *(t for t, _ in raw)]),
        "x": np.concatenate([np.empty((0, len(features.fields)), features.dtype), *(x for _, x in raw)]),
        "base": np.concatenate([np.empty((0, features.size)), *(base[None] for base in bases)]),
    }
    return FrozenCells(head | {"cells": listed}, arrays)


def thaw_cells(frozen: FrozenCells) -> list[Cell]:
    """The cells as they were; raises `KeyError`, `IndexError`, `TypeError` or `ValueError` for damage."""
    t_ns, values, bases = (frozen.arrays[name] for name in ("t", "x", "base"))
    cells, row, base = [], 0, 0
    for count, kept, has_base in frozen.head["cells"]:
        cell = Cell()
        cell.restore(count, bases[base] if has_base else None, t_ns[row : row + kept], values[row : row + kept])
        cells.append(cell)
        row, base = row + kept, base + bool(has_base)
    if row != len(t_ns) or len(values) != len(t_ns) or base != len(bases):
        raise ValueError("rows and cells do not match")
    return cells
