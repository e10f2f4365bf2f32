"""When a sensor's buffered samples were taken: the chip's clock, measured against ours.  Pure: time is an argument.

A chip samples by a clock of its own, off its nominal rate by up to several percent, and keeps the samples until they
are drained.  What is known at a drain: `n` samples came since the last one, and the newest was taken no earlier than
one period before its number was asked for and no later than the answer.  From that, two rules:

- the period is what many samples took, over the drains of the last `WINDOW_S`;
- times go on from the last sample by that period, and are pulled into the known interval where they leave it.  The
  pull is spread over the drain's samples, so times rise strictly, whatever the scheduler did to us meanwhile.
"""

from collections import deque
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

WINDOW_S = 60.0
DRAINS_MAX = 2048  # bounds the memory where drains are frequent
SAMPLES_MIN = 100  # to measure the period by
PERIOD_ERROR_MAX = 0.25  # of the nominal period; datasheets promise better than 0.1

Seconds: TypeAlias = npt.NDArray[np.float64]


class SampleClock:
    """Times of one stream of samples, in seconds of the monotonic clock."""

    def __init__(self, nominal_period_s: float) -> None:
        self._nominal_s = nominal_period_s
        self.period_s = nominal_period_s
        self._last_s = 0.0  # when the newest sample was taken
        self._taken = 0
        self._drains: deque[tuple[float, int]] = deque(maxlen=DRAINS_MAX)

    def start(self, now_s: float) -> None:
        """The buffer was emptied at `now_s`; the measured period stays."""
        self._last_s = max(now_s, self._last_s)
        self._taken = 0
        self._drains.clear()
        self._drains.append((now_s, 0))

    def drained(self, n: int, asked_s: float, answered_s: float) -> Seconds:
        """(n,) strictly rising times of the `n` samples that were in the buffer between these two moments."""
        if n <= 0:
            return np.empty(0)
        self._taken += n
        self._measure((asked_s + answered_s) / 2)
        newest = self._last_s + n * self.period_s
        newest = min(max(newest, asked_s - self.period_s), answered_s)
        newest = max(newest, self._last_s + n * 1e-6)  # a drain in no time, or a clock without resolution
        times = self._last_s + (newest - self._last_s) * np.arange(1, n + 1) / n
        self._last_s = newest
        return times

    def missing(self, now_s: float) -> int:
        """About how many samples were taken from the newest drained one until `now_s`."""
        return max(0, round((now_s - self._last_s) / self.period_s))

    def _measure(self, now_s: float) -> None:
        self._drains.append((now_s, self._taken))
        while len(self._drains) > 2 and now_s - self._drains[0][0] > WINDOW_S:
            self._drains.popleft()
        first_s, first_taken = self._drains[0]
        samples = self._taken - first_taken
        # Where the newest sample stood within its period is not known at either end: an error of one period in all.
        # It must be well below what is measured, or the nominal period is the better guess.
        if samples >= SAMPLES_MIN:
            measured = (now_s - first_s) / samples
            low, high = self._nominal_s * (1 - PERIOD_ERROR_MAX), self._nominal_s * (1 + PERIOD_ERROR_MAX)
            self.period_s = min(max(measured, low), high)
