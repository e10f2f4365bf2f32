"""Fewer rows that look the same: which readings of a span to draw, by min-max or LTTB (largest triangle three buckets).

The envelope is computed in the store; this is for those who want real readings, and works on raw rows in memory.
Both algorithms are the library tsdownsample's.  Pure.

Source of LTTB: S. Steinarsson, Downsampling Time Series for Visual Representation, University of Iceland, 2013.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tsdownsample import EveryNthDownsampler, LTTBDownsampler, MinMaxDownsampler

from telemetry.errors import Invalid
from telemetry.reading import FIELD_NAMES

# The library declares no types.
_MINMAX: Any = MinMaxDownsampler
_LTTB: Any = LTTBDownsampler
_EVERY_NTH: Any = EveryNthDownsampler

Indices = npt.NDArray[np.int64]
Method = Literal["minmax", "lttb"]

POINTS_MIN: dict[Method, int] = {"minmax": 4, "lttb": 3}
"""Below these the library panics: min-max needs two bins of two, LTTB two ends and one between."""


def downsample(table: pa.Table, *, points: int, method: Method) -> pa.Table:
    """At most `points` of the rows, in the same order: each numeric field picks its own, and all that were picked stay.

    `table` has `t` (int64, ascending) and fields, as a store's `readings` gives them.  Raises `Invalid` (422) when
    there are more fields than `points` can serve.
    """
    if table.num_rows <= points:
        return table
    columns = [_numbers(table, name) for name in table.column_names if _is_numeric(name)]
    return table.take(pick(table["t"].to_numpy(), columns, points=points, method=method))


def pick(t: npt.NDArray[np.int64], columns: Sequence[npt.NDArray[Any]], *, points: int, method: Method) -> Indices:
    """Ascending indices, at most `points` of them, into `t` (n,) and float columns (n,) in which NaN is absent.

    Without a column every n-th is picked.
    """
    if not columns:
        return np.asarray(_EVERY_NTH().downsample(t, n_out=points), np.int64)
    each = points // len(columns)
    if each < POINTS_MIN[method]:
        needed = POINTS_MIN[method] * len(columns)
        raise Invalid(f"{method} of {len(columns)} fields needs at least {needed} points", path="points")
    picked = [_pick_one(t, column, each, method) for column in columns]
    return np.unique(np.concatenate(picked))


def _pick_one(t: npt.NDArray[np.int64], column: npt.NDArray[Any], points: int, method: Method) -> Indices:
    """Indices of the present values that draw this column."""
    present = np.flatnonzero(~np.isnan(column))
    if len(present) <= points:
        return present
    y = np.ascontiguousarray(column[present])
    elapsed = t[present] - t[present[0]]
    if method == "lttb":
        chosen = _LTTB().downsample(elapsed.astype(np.float64), y, n_out=points)
    elif elapsed[-1] == 0:  # no width to cut into bins: the library would give nothing
        chosen = _MINMAX().downsample(y, n_out=points // 2 * 2)
    else:  # as floats: the library's integer bins overflow over centuries, and panic
        chosen = _MINMAX().downsample(elapsed.astype(np.float64), y, n_out=points // 2 * 2)
    return present[np.asarray(chosen, np.int64)]


def _is_numeric(name: str) -> bool:
    kind = FIELD_NAMES.get(name)
    return kind is not None and kind.is_number


def _numbers(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """Floats with NaN for null."""
    return np.asarray(table[name].to_numpy())
