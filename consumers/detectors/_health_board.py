"""What the health rules say of a block of rows, and how they learn what is usual: shared by all of their kernels.

A rule posts to a board (rows x kinds); of one kind at one row the greatest score stays.  What is usual is learned as
the tail of the logarithm of a positive number (a gap, a run, a burst): its 0.9 quantile and the mean excess above it.
The mean excess in logarithms is Hill's (1975) estimate, so heavy tails, which events and networks have, widen the
threshold by themselves, and a regular stream gets a narrow one.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from consumers.detectors._kernel import helper

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KINDS = (
    "stuck",
    "dropout",
    "clock_jump",
    "spike",
    "noise",
    "drift",
    "impossible_speed",
    "gps_jump",
    "gps_freeze",
    "gps_spoof",
    "gravity",
)
(
    STUCK,
    DROPOUT,
    CLOCK_JUMP,
    SPIKE,
    NOISE,
    DRIFT,
    IMPOSSIBLE_SPEED,
    GPS_JUMP,
    GPS_FREEZE,
    GPS_SPOOF,
    GRAVITY,
) = range(len(KINDS))

SCORE, SEEN, LOW, HIGH = range(4)  # of the board's last axis
SINCE, FEATURE = range(2)  # of the marks' last axis

SCORE_MAX = 1e6
VALUE_MAX = 1e300

TAIL = 4  # slots of a tail's state
COUNT, QUANTILE, EXCESS, BEYOND = range(TAIL)
_ABOVE = 0.9
_RATE_MIN = 0.005
_BEYOND_PRIOR = 4.0  # the first guess of the mean excess weighs as many observations
_EXCESS_PRIOR = 0.25
_BEYOND_MEMORY = 300.0


class Rows(NamedTuple):
    """A block of rows: their times, what `clock` makes of these, and the board."""

    t_ns: Ints
    now_s: Floats  # steady time: device time without its steps
    broken: Ints  # 1 where a row does not continue the one before it
    board: Floats  # [rows, kinds, 4]
    marks: Ints  # [rows, kinds, 2]


def rows_of(t_ns: Ints) -> Rows:
    """An empty board for these times."""
    n = len(t_ns)
    board, marks = np.zeros((n, len(KINDS), 4)), np.zeros((n, len(KINDS), 2), np.int64)
    return Rows(t_ns, np.zeros(n), np.zeros(n, np.int64), board, marks)


@helper
def post(
    rows: Rows,
    row: int,
    kind: int,
    score: float,
    since_ns: int,
    feature: int,
    seen: float,
    low: float,
    high: float,
) -> None:
    """Say it, unless the same kind was already said of this row with a greater score."""
    board, marks = rows.board, rows.marks
    if score > board[row, kind, SCORE]:
        board[row, kind, SCORE] = score
        board[row, kind, SEEN] = seen
        board[row, kind, LOW] = low
        board[row, kind, HIGH] = high
        marks[row, kind, SINCE] = since_ns
        marks[row, kind, FEATURE] = feature


@helper
def learn_tail(state: Floats, at: int, y: float) -> None:
    """Learn one logarithm; the four slots of `state` from `at` on are this tail's."""
    n = state[at + COUNT] + 1.0
    state[at + COUNT] = n
    if n == 1.0:
        state[at + QUANTILE] = y
        state[at + EXCESS] = _EXCESS_PRIOR
        return
    over = y - state[at + QUANTILE]
    step = max(2.0 / n, _RATE_MIN) * (0.1 + 4.0 * state[at + EXCESS])
    if over > 0.0:
        beyond = state[at + BEYOND] + 1.0
        state[at + BEYOND] = beyond
        rate = 1.0 / min(beyond + _BEYOND_PRIOR, _BEYOND_MEMORY)
        state[at + EXCESS] += rate * (over - state[at + EXCESS])
        state[at + QUANTILE] += step * _ABOVE
    else:
        state[at + QUANTILE] -= step * (1.0 - _ABOVE)


@helper
def tail_limit(state: Floats, at: int, folds: float, margin: float) -> float:
    """The logarithm beyond which a value is not usual: `folds` mean excesses, at least `margin`, above the quantile."""
    return float(state[at + QUANTILE] + max(margin, folds * state[at + EXCESS]))


@helper
def usual(state: Floats, at: int) -> float:
    """The 0.9 quantile itself, no longer a logarithm."""
    return math.exp(min(state[at + QUANTILE], 690.0))
