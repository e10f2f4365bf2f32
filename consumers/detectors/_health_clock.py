"""The clock rules: gaps and steps of a stream's own time, and the steady time that the other health rules count in.

A gap is judged against the tail of this stream's own intervals; equal times are one moment.  Steps that come often are
this stream's way: every alarm costs a token, and tokens come back slowly.
"""

import math

from consumers.detectors._health_board import (
    CLOCK_JUMP,
    COUNT,
    DROPOUT,
    QUANTILE,
    TAIL,
    Floats,
    Ints,
    Rows,
    learn_tail,
    post,
    tail_limit,
    usual,
)
from consumers.detectors._kernel import helper, kernel

FEATURES = (("time gap", "s"), ("time step", "s"))

# slots of the float state; first the tails of intervals and of steps back
_BACK = TAIL
_NOW, _TOKENS = 2 * TAIL, 2 * TAIL + 1
_ECHO, _ECHO_SEEN, _ECHO_HIGH = 2 * TAIL + 2, 2 * TAIL + 3, 2 * TAIL + 4
CLOCK_SLOTS = 2 * TAIL + 5
# slots of the integer state
_LAST, _SEEN = range(2)
CLOCK_INTS = 2

_INTERVALS_MIN = 30
_FOLDS = 14.0
_MARGIN = math.log(6.0)
_BACKS_MIN = 6.0
_BACK_FOLDS = 10.0
_BACK_MARGIN = math.log(3.0)
_JUMP_S = 10.0  # a forward gap beyond this, and beyond so many intervals, is the clock's and not the sender's
_JUMP_INTERVALS = 300.0
_TOKENS_MAX = 4.0
_TOKEN_ROWS = 4_000.0
_GAP_S_MAX = 1e9
_INTERVAL_S_MIN = 1e-6


@kernel
def clock(
    rows: Rows,
    floats: Floats,
    ints: Ints,
) -> None:
    """Judge the times of rows; writes the steady time of each (`now_s`) and where it is not continuous (`broken`)."""
    for i in range(len(rows.t_ns)):
        t = rows.t_ns[i]
        if ints[_SEEN] == 0:
            ints[_SEEN] = 1
            ints[_LAST] = t
            floats[_TOKENS] = _TOKENS_MAX
            rows.now_s[i] = 0.0
            continue
        last = ints[_LAST]
        ints[_LAST] = t
        floats[_TOKENS] = min(floats[_TOKENS] + 1.0 / _TOKEN_ROWS, _TOKENS_MAX)
        if floats[_ECHO] > 0.0:  # a jump is between two rows; the row after says it too, as a label may be rounded up
            post(rows, i, CLOCK_JUMP, floats[_ECHO], min(last, t), 1, floats[_ECHO_SEEN], 0.0, floats[_ECHO_HIGH])
            floats[_ECHO] = 0.0
        gap_s = min(max((float(t) - float(last)) * 1e-9, -_GAP_S_MAX), _GAP_S_MAX)
        if abs(gap_s) < 9e6:  # near times are subtracted exactly
            gap_s = float(t - last) * 1e-9
        known = floats[COUNT] >= _INTERVALS_MIN
        interval_s = usual(floats, 0) if floats[COUNT] > 0.0 else 0.0
        step_s = gap_s
        if gap_s < 0.0:
            step_s = interval_s
            if known:
                _back(rows, floats, i, -gap_s, interval_s)
        elif gap_s > 0.0:
            y = math.log(max(gap_s, _INTERVAL_S_MIN))
            if known and _gap(rows, floats, i, y, gap_s, interval_s, last):
                step_s = interval_s
            learn_tail(floats, 0, y)
        floats[_NOW] += step_s
        rows.now_s[i] = floats[_NOW]


@helper
def _back(rows: Rows, floats: Floats, i: int, back_s: float, interval_s: float) -> None:
    """A step back, beyond the steps back that come from rows out of order."""
    limit_s = max(interval_s, 1e-3)
    if floats[_BACK + COUNT] >= _BACKS_MIN:
        limit_s = max(limit_s, math.exp(min(tail_limit(floats, _BACK, _BACK_FOLDS, _BACK_MARGIN), 50.0)))
    learn_tail(floats, _BACK, math.log(max(back_s, _INTERVAL_S_MIN)))
    if back_s >= limit_s:
        rows.broken[i] = 1
    _say(rows, floats, i, CLOCK_JUMP, back_s / limit_s, rows.t_ns[i], 1, -back_s, 0.0, interval_s)


@helper
def _gap(rows: Rows, floats: Floats, i: int, y: float, gap_s: float, interval_s: float, last_ns: int) -> bool:
    """A gap of logarithm `y`; true when it was the clock that jumped, and no time passed."""
    limit = tail_limit(floats, 0, _FOLDS, _MARGIN)
    high = math.exp(min(limit, 50.0))
    if y < limit:
        near = max(1.0 - (limit - y) / (limit - floats[QUANTILE]), 0.0)
        post(rows, i, DROPOUT, 0.999 * near, last_ns, 0, gap_s, 0.0, high)
        return False
    score = math.exp(min(y - limit, 13.0))
    rows.broken[i] = 1
    if gap_s > _JUMP_S and gap_s > _JUMP_INTERVALS * interval_s:
        _say(rows, floats, i, CLOCK_JUMP, score, rows.t_ns[i], 1, gap_s, 0.0, high)
        return True
    _say(rows, floats, i, DROPOUT, score, last_ns, 0, gap_s, 0.0, high)
    return False


@helper
def _say(
    rows: Rows,
    floats: Floats,
    row: int,
    kind: int,
    score: float,
    since_ns: int,
    feature: int,
    seen: float,
    low: float,
    high: float,
) -> None:
    """Post an alarm while there are tokens; without one it stays below the threshold."""
    if score >= 1.0:
        if floats[_TOKENS] >= 1.0:
            floats[_TOKENS] -= 1.0
        else:
            score = 0.99
    if score >= 1.0 and kind == CLOCK_JUMP:
        floats[_ECHO], floats[_ECHO_SEEN], floats[_ECHO_HIGH] = score, seen, high
    post(rows, row, kind, score, since_ns, feature, seen, low, high)
