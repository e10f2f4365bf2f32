"""Features of how a value swings: its power in octaves of frequency (`x_power_2_4hz`), in the field's unit squared.

A part has a spectrum where a field is in all of its rows, there are at least 8 of them, they come at 10 Hz or more, and
none is missing (no gap of more than three usual intervals).  It is that of the rows about their mean under a Hann
window (Welch 1967), the rows taken as evenly spaced; a window of several parts has their mean, weighted by rows.
A band is absent where a part is shorter than one period of it or was sampled too slowly for it.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import numpy as np

from consumers.features.rows import Rows, named
from telemetry.window import Floats

EDGES_HZ = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
BANDS = len(EDGES_HZ) - 1
RATE_MIN_HZ = 10.0
ROWS_MIN = 8
GAP_MAX = 3.0  # usual intervals

_EDGES = np.array(EDGES_HZ)


class Spectrum:
    """Two numbers a band and field: rows that have it, and rows times power."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = tuple(fields)

    @property
    def size(self) -> int:
        """See `Block`."""
        return 2 * BANDS * len(self._fields)

    def summarise(self, rows: Rows) -> Floats:
        """See `Block`; parts of as many rows each go together."""
        out = np.zeros((len(rows.starts), 2, BANDS, len(self._fields)))
        rates = _rates_hz(rows)
        quick = rates >= RATE_MIN_HZ
        whole = np.logical_and.reduceat(rows.present, rows.starts, axis=0)
        together = quick & whole.all(axis=1)
        for n in np.unique(rows.lengths[together]).tolist():
            parts = np.flatnonzero(together & (rows.lengths == n))
            out[parts] = _powers(rows.values[rows.starts[parts][:, None] + np.arange(n)], rates[parts])
        for part in np.flatnonzero(quick & ~together).tolist():  # some fields are not in all of its rows
            fields = np.flatnonzero(whole[part])
            start, n = int(rows.starts[part]), int(rows.lengths[part])
            values = np.ascontiguousarray(rows.values[start : start + n, fields])
            if len(fields):
                out[part][:, :, fields] = _powers(values[None], rates[part : part + 1])[0]
        return out.reshape(len(out), -1)

    def combine(self, parts: Floats) -> Floats:
        """See `Block`."""
        whole: Floats = parts.sum(axis=0)
        return whole

    @property
    def names(self) -> tuple[str, ...]:
        """See `Block`."""
        return named(self._fields, tuple(f"power_{low:g}_{high:g}hz" for low, high in pairwise(EDGES_HZ)))

    def read(self, summaries: Floats) -> Floats:
        """See `Block`."""
        rows, powers = np.hsplit(summaries, 2)
        return np.asarray(np.divide(powers, rows, out=np.full(rows.shape, np.nan), where=rows > 0))


def _rates_hz(rows: Rows) -> Floats:
    """Rows a second by part; 0 where they are too few, or not evenly spaced enough for a spectrum."""
    ends = rows.starts + rows.lengths - 1
    span_ns = (rows.t_ns[ends] - rows.t_ns[rows.starts]).astype(np.float64)
    apart = np.diff(rows.t_ns, prepend=rows.t_ns[:1])
    apart[rows.starts] = 0
    widest = np.maximum.reduceat(apart, rows.starts)
    usual_ns = span_ns / np.maximum(rows.lengths - 1, 1)
    fine = (rows.lengths >= ROWS_MIN) & (usual_ns > 0) & (widest <= GAP_MAX * usual_ns)
    return np.asarray(np.divide(1e9, usual_ns, out=np.zeros(len(usual_ns)), where=fine))


def _powers(values: Floats, rates: Floats) -> Floats:
    """Rows that have a band, and these times its power, float64[m, 2, BANDS, k] of float64[m, n, k].

    Over all bins the power adds up to the variance (under the window).  `values` lie row by row in memory: numpy adds
    up in the order in which they lie.
    """
    m, n, fields = values.shape
    window, squares = _hann(n)
    swing = np.fft.rfft((values - values.mean(axis=1, keepdims=True)) * window, axis=1)
    power = (swing.real**2 + swing.imag**2) * (2.0 / (n * squares))
    if n % 2 == 0:
        power[:, -1] /= 2.0  # the highest frequency has no mirror
    resolution = (rates / n)[:, None]
    band = np.searchsorted(_EDGES, np.arange(power.shape[1]) * resolution, side="right") - 1
    inside = (band >= 0) & (band < BANDS)
    inside[:, 0] = False
    slot = (np.arange(m)[:, None] * BANDS + band)[inside][:, None] * fields + np.arange(fields)
    sums: Any = np.bincount(slot.ravel(), power[inside].ravel(), m * BANDS * fields)  # typed as if without weights
    seen = (_EDGES[1:] > resolution) & (_EDGES[:-1] < rates[:, None] / 2)
    weight = np.where(seen, float(n), 0.0)[:, :, None]
    powers = cast(Floats, sums.reshape(m, BANDS, fields))
    return np.stack((np.broadcast_to(weight, powers.shape), weight * powers), axis=1)


@lru_cache(maxsize=256)
def _hann(n: int) -> tuple[Floats, float]:
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n) / n)
    return window[:, None], float((window * window).sum())
