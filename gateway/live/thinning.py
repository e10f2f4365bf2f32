"""Fewer rows of a series to draw at once; each field's least and greatest value stay.  Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.downsample import POINTS_MIN, Indices, pick

POINTS_LEAST = 40  # the widest sensor has 17 fields, and each has two ends


def thin(t: npt.NDArray[np.int64], columns: Sequence[npt.NDArray[Any]], *, points: int) -> Indices:
    """Indices into `t` (n,) by time, at most `points` (>= 40), of which each column (n,) has its min and max.

    NaN is absent.
    """
    order = np.argsort(t, kind="stable") if len(t) > 1 and np.any(t[1:] < t[:-1]) else np.arange(len(t))
    if len(t) <= points:
        return np.asarray(order, np.int64)
    if not columns:
        return np.asarray(order[np.linspace(0, len(t) - 1, points).astype(np.int64)], np.int64)
    ordered = [column[order] for column in columns]
    if points // len(columns) >= POINTS_MIN["minmax"]:
        return np.asarray(order[pick(t[order], ordered, points=points, method="minmax")], np.int64)
    return np.asarray(order[np.unique(np.concatenate([_ends(column) for column in ordered]))], np.int64)


def _ends(column: npt.NDArray[Any]) -> Indices:
    present = np.flatnonzero(~np.isnan(column))
    if not len(present):
        return present
    there = column[present]
    return np.asarray(present[[int(there.argmin()), int(there.argmax())]], np.int64)
