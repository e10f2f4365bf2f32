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
from telemetry.window import Floats, Ints

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
        """See `Block`."""
        out = np.zeros((len(rows.starts), 2, BANDS, len(self._fields)))
        for i, (start, n) in enumerate(zip(rows.starts.tolist(), rows.lengths.tolist(), strict=True)):
            if n < ROWS_MIN or (rate := rate_hz(rows.t_ns[start : start + n])) < RATE_MIN_HZ:
                continue
            values = rows.values[start : start + n]
            whole = slice(None) if rows.is_complete else np.flatnonzero(rows.present[start : start + n].all(axis=0))
            seen = (_EDGES[1:] > rate / n) & (_EDGES[:-1] < rate / 2)
            weight = np.where(seen, float(n), 0.0)[:, None]
            out[i, 0][:, whole] = weight
            out[i, 1][:, whole] = weight * _powers(np.ascontiguousarray(values[:, whole]), rate)
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


def rate_hz(t_ns: Ints) -> float:
    """Rows a second; 0 where they are not evenly spaced enough for a spectrum."""
    apart = np.diff(t_ns)
    usual_ns = int(t_ns[-1] - t_ns[0]) / len(apart)
    return 1e9 / usual_ns if usual_ns > 0 and apart.max() <= GAP_MAX * usual_ns else 0.0


def _powers(values: Floats, rate: float) -> Floats:
    """Power by band and field, float64[BANDS, k]: over all bins it adds up to the variance (under the window).

    `values` lie row by row in memory: numpy adds up in the order in which they lie.
    """
    n, fields = values.shape
    window, squares = _hann(n)
    swing = np.fft.rfft((values - values.mean(axis=0)) * window, axis=0)
    power = (swing.real**2 + swing.imag**2) * (2.0 / (n * squares))
    if n % 2 == 0:
        power[-1] /= 2.0  # the highest frequency has no mirror
    band = np.searchsorted(_EDGES, np.arange(len(power)) * (rate / n), side="right") - 1
    inside = (band >= 0) & (band < BANDS)
    inside[0] = False
    slot = band[inside, None] * fields + np.arange(fields)
    sums: Any = np.bincount(slot.ravel(), power[inside].ravel(), BANDS * fields)  # typed as if there were no weights
    return cast(Floats, sums.reshape(BANDS, fields))


@lru_cache(maxsize=256)
def _hann(n: int) -> tuple[Floats, float]:
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n) / n)
    return window[:, None], float((window * window).sum())
