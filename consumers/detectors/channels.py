"""Several numbers a row: a channel whose level has left the place where it usually is (`shift`).

Each channel commissions itself on its first rows: none alarms before it has shown 100 of them.  What is usual is judged
by at most 400 normal rows; the 80 after them are not yet believed, and rows in alarm teach nothing.  The alarm is a
state: every row has a hit while any channel is away.  A channel that stays away for 1,800 rows has changed for good:
its new level is learned, and a step of that size is usual from then on.  One that came back most of its way is back.
Time is counted in rows (of a channel that reports seldom: in its own values), units do not matter, NaN is skipped.

How far a level strays by chance comes from its own past: the wander of its smoothed level, extrapolated as a random
walk's where differences grow with their distance (a structure function), widened where the level came back too seldom
to know (few effective samples), and widened for a channel that is slow, as temperatures are, beside its own noise.

It does not see a shift within the noise, a change of variance alone, or of the correlation between channels.  A channel
that jumps between levels for minutes at a time, as a switch does, is in alarm at each jump.
"""

import math
from typing import ClassVar

import numpy as np

from consumers import detectors
from consumers.detectors import HIT, Feature, Floats, State, Times, Verdict
from consumers.detectors import _channels as kernels


class Detector(detectors.Detector):
    """`threshold` counts the scales that a level may be from its usual place; where channels are many it is raised."""

    KINDS: ClassVar[tuple[str, ...]] = ("shift",)
    MODEL: ClassVar[int] = 1
    SETTINGS: ClassVar[kernels.Settings] = kernels.SETTINGS

    def __init__(self, fields: tuple[str, ...] | list[str] = (), threshold: float = kernels.SETTINGS.threshold) -> None:
        super().__init__(fields)
        self.threshold = threshold

    def features(self) -> tuple[Feature, ...]:
        return tuple(Feature(name) for name in self._names)

    def _fresh(self) -> State:
        channels = len(self._names)
        ring = self.SETTINGS.fit_blocks + self.SETTINGS.doubt_blocks
        now = np.full((channels, kernels.FLOATS), np.nan)
        now[
            :,
            [
                kernels.MOVE,
                kernels.TALL,
                kernels.TALLER,
                kernels.QUANTUM,
                kernels.KNOWN,
                kernels.SUM,
                kernels.SQUARES,
                kernels.RATIO,
            ],
        ] = 0.0
        return {
            "now": now,
            "count": np.zeros((channels, kernels.COUNTS), np.int64),
            "means": np.zeros((channels, ring)),
            "spreads": np.zeros((channels, ring)),
        }

    def _advance(self, state: State, t_ns: Times, values: Floats) -> Verdict:
        n = len(t_ns)
        score, what = np.zeros(n), np.zeros((n, 3))
        lead, since = np.zeros(n, np.int64), np.zeros(n, np.int64)
        settings = self.SETTINGS._replace(threshold=self.threshold * _many(values.shape[1]))
        arrays = (state["now"], state["count"], state["means"], state["spreads"])
        kernels.advance(values, np.ascontiguousarray(t_ns), *arrays, score, lead, what, since, settings)
        rows = np.flatnonzero(lead >= 0)
        hits = np.zeros(len(rows), HIT)
        hits["row"], hits["since_ns"], hits["feature"] = rows, since[rows], lead[rows]
        hits["score"] = score[rows]
        hits["seen"], hits["low"], hits["high"] = what[rows].T
        return Verdict(score, hits)


def _many(channels: int) -> float:
    """What keeps false alarms as rare as with 8 channels: a Gaussian tail at 4.4 deviations, divided among them."""
    return math.sqrt(1.0 + max(math.log(channels / 8), 0.0) * 2 / 4.4**2) if channels else 1.0
