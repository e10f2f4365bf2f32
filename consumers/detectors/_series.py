"""The loop of `series`: how new is this value, and how new is the mean of the last few, to this stream?

A feature's novelty is the gap between its value and the nearest one it ever had, against the mean and deviation of
earlier gaps.  Gaps need no unit, no offset and no sign, they shrink where a stream is dense and stay wide where it is
not, so that one threshold serves streams that have nothing in common.  What was seen is kept sorted, in bounded memory.
"""

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from consumers.detectors import Floats, Times
from consumers.detectors._kernel import kernel

Counts: TypeAlias = npt.NDArray[np.int64]

# The features: the mean (MEAN; of one row: the value) of the last rows.  Neighbouring means overlap, so that a new one
# says less than a new value does.
ROWS = np.array([1, 36], np.int64)
WEIGHT = np.array([1.0, 0.5])

RING = 36  # the longest window
SEEN = 1024  # values kept a feature
SAMPLE = 256  # values kept a feature to tell the usual range from
QUIET = 100  # an alarm is higher than everything in so many rows before it
WARM = 50  # gaps a feature learns from before it has a novelty
SILENT = 100  # rows without alarms at a stream's beginning
YOUNG = 100.0  # afterwards, at row n, the threshold is still higher by 100/n: much is new to who has seen little
FAR_OUT = 3.0  # a novelty (20 deviations) that does not make its value usual: the next such one is an alarm again
FORGET = 0.00015  # a row's part in the mean of the gaps: slow, since what a stream's beginning taught serves for long
THRESHOLD = 0.85
PENALTY = 0.25  # an alarm raises the threshold by so much of itself; a clear one, which was meant, by less
GRANTED = 0.00022  # alarms a row: so many that barely reach the threshold leave it where it is, in the long run
FLOOR = 0.3  # a stream without alarms comes to a threshold lower by so much
RATIO_MAX = 1e6  # a gap after none at all
HUGE = 1e140  # its square is still finite
SAME = 1e-9  # of the spread: nearer than this is equal, whatever rounding says

# Slots of a column's `number` and `counted`, and of a feature's `gaps`.
BASE, SCALE, RAISED = range(3)
ROW, SEED, SCALED = range(3)
GAPS, MEAN_GAP, VARIANCE = range(3)


class Tuning(NamedTuple):
    """What is chosen, of the features (rows, weight) and of the alarm."""

    rows: Counts
    weight: Floats
    threshold: float
    penalty: float
    granted: float
    floor: float
    forget: float


class Column(NamedTuple):
    """What is remembered of one column."""

    number: Floats
    counted: Counts
    ring: Floats  # the last values
    times: Times  # and theirs
    scores: Floats
    seen: Floats  # [feature, SEEN], sorted
    known: Counts  # [feature] how many of them there are
    gaps: Floats  # [feature, 3]
    sample: Floats  # [feature, SAMPLE]


class Said(NamedTuple):
    """Of each row: the score, and where it is in alarm the feature that carried it (else -1) with its evidence."""

    score: Floats
    carrier: Counts
    seen: Floats
    low: Floats
    high: Floats
    since_ns: Times


def fresh(fields: int, features: int) -> dict[str, npt.NDArray[Any]]:
    """`Column`s before the first row, one a field, as arrays of them all."""
    shapes = {
        "number": ((3,), np.float64),
        "counted": ((3,), np.int64),
        "ring": ((RING,), np.float64),
        "times": ((RING,), np.int64),
        "scores": ((QUIET,), np.float64),
        "seen": ((features, SEEN), np.float64),
        "known": ((features,), np.int64),
        "gaps": ((features, 3), np.float64),
        "sample": ((features, SAMPLE), np.float64),
    }
    return {name: np.zeros((fields, *shape), kind) for name, (shape, kind) in shapes.items()}


@kernel
def nearest(seen: Floats, n: int, value: float) -> tuple[int, float]:
    """Where it belongs among the first n of `seen`, and how far the nearest of them is (0 = as good as equal)."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if seen[middle] < value:
            low = middle + 1
        else:
            high = middle
    gap = np.inf
    if low < n:
        gap = seen[low] - value
    if low > 0:
        gap = min(gap, value - seen[low - 1])
    if n == 0 or gap <= SAME * (seen[n - 1] - seen[0]):
        gap = 0.0
    return low, gap


@kernel
def keep(seen: Floats, n: int, at: int, value: float, seed: int) -> int:
    """Put a value at its place; where all places are taken, the most crowded goes.  Gives their number."""
    if n < len(seen):
        for i in range(n, at, -1):
            seen[i] = seen[i - 1]
        seen[at] = value
        return n + 1
    out, narrowest = 1, np.inf
    for k in range(4):  # of four drawn: the one whose neighbours are nearest to each other; never an end
        i = 1 + (seed >> (11 * k)) % (n - 2)
        if seen[i + 1] - seen[i - 1] < narrowest:
            out, narrowest = i, seen[i + 1] - seen[i - 1]
    if out < at:
        at -= 1
        for i in range(out, at):
            seen[i] = seen[i + 1]
    else:
        for i in range(out, at, -1):
            seen[i] = seen[i - 1]
    seen[at] = value
    return n


@kernel
def unlearn(seen: Floats, known: Counts, f: int, value: float) -> None:
    """Take the value just kept out again."""
    n = known[f]
    at, _ = nearest(seen, n, value)
    if at < n and seen[at] == value and n > 1:
        for i in range(at, n - 1):
            seen[i] = seen[i + 1]
        known[f] = n - 1


@kernel
def novelty(gap: float, gaps: Floats, forget: float) -> float:
    """How many deviations this gap is above the mean of those before it, in logarithms; then it is learned."""
    mean, variance = gaps[MEAN_GAP], gaps[VARIANCE]
    ratio = 0.0
    if gaps[GAPS] >= WARM and gap > mean:
        deviation = math.sqrt(variance)
        ratio = (gap - mean) / deviation if deviation > 0.0 else RATIO_MAX
    gaps[GAPS] += 1.0
    part = max(forget, 1.0 / gaps[GAPS])
    gaps[MEAN_GAP] = mean + part * (gap - mean)
    gaps[VARIANCE] = (1.0 - part) * (variance + part * (gap - mean) * (gap - mean))
    return math.log1p(min(ratio, RATIO_MAX))


@kernel
def mean(ring: Floats, row: int, rows: int) -> float:
    """Of the last `rows` values, of fewer at a stream's beginning; `row` is the newest.  Added anew: nothing drifts."""
    n = min(rows, row + 1)
    total = 0.0
    for k in range(n):
        total += ring[(row - k) % RING]
    return total / n


@kernel
def scaled(value: float, number: Floats, count: Counts) -> float:
    """The value less the stream's first, in a unit (a power of two) that the first change gives."""
    if count[ROW] == 0:
        number[BASE] = value
    change = value - number[BASE]
    if math.isinf(change):
        change = math.copysign(1.7e308, change)
    if count[SCALED] == 0:
        if change == 0.0:
            return 0.0
        count[SCALED] = 1
        number[SCALE] = math.ldexp(1.0, -max(math.frexp(change)[1], -1000))
    return float(max(-HUGE, min(HUGE, change * number[SCALE])))


@kernel
def learned(value: float, column: Column, f: int, seed: int, forget: float) -> float:
    """The novelty of this feature's value, which is then kept."""
    seen, known = column.seen[f], column.known
    at, gap = nearest(seen, known[f], value)
    if gap > 0.0 or known[f] == 0:
        known[f] = keep(seen, known[f], at, value, seed >> 8)
    row = int(column.gaps[f, GAPS])
    if row < SAMPLE:
        column.sample[f, row] = value
    elif (seed >> 33) % 8 == 0:
        column.sample[f, (seed >> 36) % SAMPLE] = value
    return novelty(gap, column.gaps[f], forget)


@kernel
def loudest(scores: Floats, row: int, score: float) -> bool:
    """Whether it is higher than everything in the last QUIET rows."""
    top = True
    k = 1
    while top and k <= min(QUIET, row):
        top = scores[(row - k) % QUIET] < score
        k += 1
    return top


@kernel
def judge(t_ns: Times, values: Floats, tuning: Tuning, column: Column, said: Said) -> int:
    """Score and learn the rows of one column, in order.  Gives the number of alarms."""
    number, count = column.number, column.counted
    alarms = 0
    for i in range(len(values)):
        said.score[i], said.carrier[i] = 0.0, -1
        if not math.isfinite(values[i]):
            continue
        number[RAISED] = max(-tuning.floor, number[RAISED] - tuning.penalty * tuning.granted)
        value = scaled(values[i], number, count)
        row = count[ROW]
        column.ring[row % RING], column.times[row % RING] = value, t_ns[i]
        count[ROW] += 1
        best, best_feature, best_value = 0.0, 0, 0.0
        for f in range(len(tuning.rows)):
            feature = mean(column.ring, row, tuning.rows[f])
            count[SEED] = (count[SEED] * 6364136223846793005 + 1442695040888963407) & 0x7FFFFFFFFFFFFFFF
            new = tuning.weight[f] * learned(feature, column, f, count[SEED], tuning.forget)
            if new > best:
                best, best_feature, best_value = new, f, feature
        ratio = best / (tuning.threshold * (1.0 + number[RAISED]) * (1.0 + YOUNG / (row + 1.0)))
        if row < SILENT:
            ratio = 0.0
        if not loudest(column.scores, row, best):
            ratio = 0.5 * min(ratio, 1.0)
        column.scores[row % QUIET] = best
        said.score[i] = ratio
        if ratio >= 1.0:
            alarms += 1
            number[RAISED] += tuning.penalty / ratio
            if best >= FAR_OUT:
                unlearn(column.seen[best_feature], column.known, best_feature, best_value)
            usual = np.sort(column.sample[best_feature, : min(row, SAMPLE)])
            said.carrier[i] = best_feature
            said.seen[i], said.low[i], said.high[i] = (
                best_value,
                usual[len(usual) // 100],
                usual[-1 - len(usual) // 100],
            )
            said.since_ns[i] = min(t_ns[i], column.times[(row + 1 - min(tuning.rows[best_feature], row + 1)) % RING])
    return alarms
