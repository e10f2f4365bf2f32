"""The Numenta Anomaly Benchmark's scoring, from its description (Lavin & Ahmad 2015, arXiv:1510.03336).

A window counts once, by its earliest detection: 1 at its left edge, falling along a sigmoid towards 0 at its right
edge; a missed one costs.  A detection outside costs, less where it comes shortly after a window.  0 = nothing said,
100 = everything at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from consumers.detectors import Floats
from sensorline.evaluation._nab_files import File


@dataclass(frozen=True, slots=True)
class Weights:
    """What a detection outside every window costs, and a window without one."""

    false: float
    missed: float


STANDARD, LOW_FALSE, LOW_MISSED = Weights(0.11, 1.0), Weights(0.22, 1.0), Weights(0.11, 2.0)


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over files, at each of several thresholds: all arrays [thresholds]; `windows` and `rows` scored are one."""

    windows: int
    rows: int
    found: Floats
    credit: Floats
    false: Floats
    cost: Floats

    def plus(self, other: Self) -> "Tally":
        return Tally(
            self.windows + other.windows,
            self.rows + other.rows,
            self.found + other.found,
            self.credit + other.credit,
            self.false + other.false,
            self.cost + other.cost,
        )

    def at(self, threshold: int) -> "Tally":
        """Of one threshold, by its index."""
        one = slice(threshold, threshold + 1)
        return Tally(self.windows, self.rows, self.found[one], self.credit[one], self.false[one], self.cost[one])

    def score(self, weights: Weights = STANDARD) -> Floats:
        """[thresholds], 0 to 100 (below 0: worse than silence); 0 where there is no window to find."""
        gained = self.credit + weights.missed * self.found - weights.false * self.cost
        return 100.0 * gained / max(self.windows * (1.0 + weights.missed), 1.0)

    def false_a_thousand(self) -> Floats:
        """Detections outside every window, by 1,000 scored rows."""
        return 1000.0 * self.false / max(self.rows, 1)


def total(tallies: Sequence[Tally]) -> Tally:
    """Their sum; at least one."""
    whole = tallies[0]
    for tally in tallies[1:]:
        whole = whole.plus(tally)
    return whole


def tally(file: File, scores: Floats, thresholds: Floats) -> Tally:
    """One file's, where every row whose score reaches the threshold is a detection."""
    n, k = len(file.scored), len(thresholds)
    outside, found, credit = file.scored.copy(), np.zeros(k), np.zeros(k)
    for first, last in file.windows:
        inside = np.arange(first, last + 1)
        outside[inside] = False
        worth = _sigmoid((inside - last - 1) / (last - first + 1)) / _sigmoid(-1.0)
        inside_scored = file.scored[inside]
        reached = _reached(scores[inside][inside_scored], worth[inside_scored], thresholds, np.maximum)
        found += reached > 0.0
        credit += reached
    rows = np.flatnonzero(outside)
    cost = _reached(scores[rows], _costs(n, file.windows)[rows], thresholds, np.add)
    false = _reached(scores[rows], np.ones(len(rows)), thresholds, np.add)
    return Tally(len(file.windows), int(file.scored.sum()), found, credit, false, cost)


def _reached(scores: Floats, worth: Floats, thresholds: Floats, gather: np.ufunc) -> Floats:
    """At each threshold: the worths of the rows whose scores reach it, added or the best of them; 0 without any."""
    order = np.argsort(-scores, kind="stable")
    gathered = np.append(0.0, gather.accumulate(worth[order]))
    reached: Floats = gathered[np.searchsorted(-scores[order], -thresholds, side="right")]
    return reached


def _costs(n: int, windows: Sequence[tuple[int, int]]) -> Floats:
    """Of a detection at each row: 1, and less within three window lengths after a window."""
    costs = np.ones(n)
    for first, last in windows:
        after = np.arange(last + 1, n)
        far = (after - last) / max(last - first, 1)
        costs[after] = np.where(far > 3.0, 1.0, -_sigmoid(far))
    return costs


def _sigmoid(x: Floats | float) -> Floats:
    return np.asarray(2.0 / (1.0 + np.exp(5.0 * np.asarray(x))) - 1.0)
