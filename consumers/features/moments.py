"""Features of the values as such: count, min, max, mean, std, rms, peak to peak, zero crossings.

`std` is that of the population (divided by n).  The mean is taken from the least value on and the spread from the mean
on, so that a large offset costs no digits.  A zero crossing is one of the mean of its part: a window of several panes
adds up theirs, each about its own mean.
"""

from collections.abc import Sequence

import numpy as np

from consumers.features.rows import Rows, named
from telemetry.window import Floats

STATISTICS = ("count", "min", "max", "mean", "std", "rms", "peak_to_peak", "zero_crossings")
COUNT, MIN, MAX, MEAN, SPREAD, CROSSINGS = range(6)  # SPREAD: sum of squares about the mean


class Moments:
    """Six numbers a field."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = tuple(fields)

    @property
    def size(self) -> int:
        """See `Block`."""
        return 6 * len(self._fields)

    def summarise(self, rows: Rows) -> Floats:
        """See `Block`."""
        out = np.empty((len(rows.starts), 6, len(self._fields)))
        values, n = rows.values, rows.counts
        out[:, COUNT] = n
        out[:, MIN] = low = np.fmin.reduceat(values, rows.starts, axis=0)
        out[:, MAX] = np.fmax.reduceat(values, rows.starts, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            out[:, MEAN] = mean = low + rows.total(rows.present_only(values - low[rows.part])) / n
        away = rows.present_only(values - mean[rows.part])
        out[:, SPREAD] = rows.total(away * away)
        above = away >= 0
        crossed = rows.has_before & (above != rows.before(above))
        out[:, CROSSINGS] = rows.total(crossed.astype(np.float64))
        return out.reshape(len(out), -1)

    def combine(self, parts: Floats) -> Floats:
        """See `Block`; means and spreads as Chan, Golub and LeVeque combine them (1979)."""
        each = parts.reshape(len(parts), 6, -1)
        out = np.empty(each.shape[1:])
        n = each[:, COUNT]
        out[COUNT] = total = n.sum(axis=0)
        out[MIN] = np.fmin.reduce(each[:, MIN], axis=0)
        out[MAX] = np.fmax.reduce(each[:, MAX], axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            above_min = np.where(n > 0, each[:, MEAN] - out[MIN], 0.0)
            out[MEAN] = out[MIN] + (n / total * above_min).sum(axis=0)
        apart = np.where(n > 0, each[:, MEAN] - out[MEAN], 0.0)
        out[SPREAD] = (each[:, SPREAD] + n * apart * apart).sum(axis=0)
        out[CROSSINGS] = each[:, CROSSINGS].sum(axis=0)
        return out.ravel()

    @property
    def names(self) -> tuple[str, ...]:
        """See `Block`."""
        return named(self._fields, STATISTICS)

    def read(self, summaries: Floats) -> Floats:
        """See `Block`."""
        each = summaries.reshape(len(summaries), 6, -1)
        n, low, high, mean = each[:, COUNT], each[:, MIN], each[:, MAX], each[:, MEAN]
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = each[:, SPREAD] / n
        crossings = np.where(n > 0, each[:, CROSSINGS], np.nan)
        rms = np.sqrt(mean * mean + variance)
        return np.hstack((n, low, high, mean, np.sqrt(variance), rms, high - low, crossings))
