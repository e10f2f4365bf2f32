"""The rules for a column of which only its past is known: stuck, spike, noise, drift.

They speak seldom.  Each first learns how long this column repeats a value, how far single samples stand out, how rough
and how wandering it is, and all in logarithms, so that a quantised temperature, a counter, a switch and a heavy-tailed
load each get limits of their own.  Only a column that has been restless can be stuck, and not at rest at an end of its
range; only one that keeps coming back can drift; what lasts becomes usual.
"""

import math

from consumers.detectors._health_board import (
    COUNT,
    DRIFT,
    NOISE,
    QUANTILE,
    SPIKE,
    STUCK,
    TAIL,
    Floats,
    Ints,
    Rows,
    learn_tail,
    post,
    tail_limit,
)
from consumers.detectors._kernel import helper, kernel

FEATURES = ("samples with the same {}", "single sample of {}", "roughness of {}", "slow mean of {}")
COLUMNS_MAX = 100  # columns beyond are not judged: the state stays within its bound

# four tails: run lengths, single samples, roughness, wander; then
_SPIKES, _ROUGH, _WANDER = TAIL, 2 * TAIL, 3 * TAIL
_X = 4 * TAIL
_HAVE, _ROWS, _RUN, _LONGEST, _MOVE, _LEVEL, _FAST, _SLOW, _SIGN, _TURNS, _LOW, _HIGH, _NOISY, _AWAY, _PAID, _TOKENS = (
    range(_X + 4, _X + 20)
)
COLUMN_SLOTS = _X + 20
# integers: when the run began, when the last two samples came, when noise and drift began
_RUN_NS, _LAST_NS, _BEFORE_NS, _NOISY_NS, _AWAY_NS = range(5)
COLUMN_INTS = 5

_VALUE_MAX = 1e290
_FOLDS = 10.0
_RUNS_MIN = 100.0
_RUN_ROWS = 20.0
_RUN_MARGIN = math.log(5.0)
_RESTLESS = math.log(8.0)
_LONGEST_HALF_ROWS = 50_000.0
_SPIKE_MIN = 50.0
_SPIKE_MARGIN = math.log(10.0)
_SPIKE_SPREADS = 3.0
_SPIKE_MOVES = 6.0
_MOVES_MEMORY = 2_000.0
_MOVES_KNOWN = 50.0
_ROUGH_ROWS = 16.0
_ROUGH_EVERY = 32
_ROUGH_MIN = 40.0
_ROUGH_FOLDS = 7.0
_ROUGH_MARGIN = math.log(4.0)
_ROUGH_MOVES = 6.0
_ROUGH_CLIP = 1.5
_FAST_ROWS = 64.0
_SLOW_ROWS = 2048.0
_WANDER_EVERY = 64
_WANDER_MIN = 200.0
_WANDER_MOVES = 3.0
_WANDER_FOLDS = 6.0
_WANDER_MARGIN = math.log(3.0)
_TURNS_MIN = 10.0
_AWAY_FROM = 0.4
_LASTING_ROWS = 4_000.0
_TOKENS_MAX = 3.0
_TOKEN_ROWS = 3_000.0


@kernel
def columns(rows: Rows, values: Floats, places: Ints, state: Floats, since: Ints, base: int) -> None:
    """Judge rows; `places` int64[m] says which columns of `values`; a column has a row in `state` and in `since`."""
    for i in range(len(rows.t_ns)):
        for c in range(len(places)):
            x = values[i, places[c]]
            if math.isnan(x):
                continue
            x = min(max(x, -_VALUE_MAX), _VALUE_MAX)
            own, times = state[c], since[c]
            if rows.broken[i] != 0:
                own[_HAVE] = 0.0
            own[_TOKENS] = min(own[_TOKENS] + 1.0 / _TOKEN_ROWS, _TOKENS_MAX) if own[_ROWS] > 0.0 else _TOKENS_MAX
            feature = base + c * 4
            _stuck(rows, i, own, times, x, feature)
            if own[_HAVE] >= 4.0:
                _spike(rows, i, own, times, x, feature + 1)
            if own[_HAVE] >= 2.0:
                _rough(rows, i, own, times, x, feature + 2)
            _wander(rows, i, own, times, x, feature + 3)
            _push(own, times, x, rows.t_ns[i])


@helper
def _push(own: Floats, times: Ints, x: float, t_ns: int) -> None:
    if own[_ROWS] == 0.0:
        own[_LOW], own[_HIGH] = x, x
    elif x != own[_X]:
        moved = abs(x - own[_X])
        if own[COUNT] > _MOVES_KNOWN:
            moved = min(moved, 4.0 * own[_MOVE])
        own[_MOVE] += (moved - own[_MOVE]) / min(own[COUNT] + 1.0, _MOVES_MEMORY)
    own[_LOW], own[_HIGH] = min(own[_LOW], x), max(own[_HIGH], x)
    own[_X + 3], own[_X + 2], own[_X + 1], own[_X] = own[_X + 2], own[_X + 1], own[_X], x
    own[_HAVE] += 1.0
    own[_ROWS] += 1.0
    times[_BEFORE_NS] = times[_LAST_NS]
    times[_LAST_NS] = t_ns


@helper
def _paid(own: Floats, score: float, lasting: bool) -> float:
    """An alarm's score, if it goes on or a token pays for its beginning; else just below the threshold."""
    if score < 1.0 or lasting:
        return score
    if own[_TOKENS] >= 1.0:
        own[_TOKENS] -= 1.0
        return score
    return 0.99


@helper
def _stuck(rows: Rows, i: int, own: Floats, times: Ints, x: float, feature: int) -> None:
    own[_LONGEST] -= own[_LONGEST] * (0.693 / _LONGEST_HALF_ROWS)
    run = own[_RUN]
    if run == 0.0 or x != own[_X]:
        if run > 0.0:
            learn_tail(own, 0, math.log(run))
            own[_LONGEST] = max(own[_LONGEST], run)
        own[_RUN] = 1.0
        times[_RUN_NS] = rows.t_ns[i]
        return
    run += 1.0
    own[_RUN] = run
    at_rest = x == 0.0 or x <= own[_LOW] or x >= own[_HIGH]
    if own[COUNT] < _RUNS_MIN or own[QUANTILE] > _RESTLESS or at_rest:
        return
    usual = math.exp(min(tail_limit(own, 0, _FOLDS, _RUN_MARGIN), 50.0))
    need = max(usual, _RUN_ROWS, 1.5 * own[_LONGEST])
    score = _paid(own, run / need, run - 1.0 >= need)
    post(rows, i, STUCK, score, times[_RUN_NS], feature, run, 1.0, need)


@helper
def _spike(rows: Rows, i: int, own: Floats, times: Ints, x: float, feature: int) -> None:
    low = min(x, own[_X], own[_X + 2], own[_X + 3])
    high = max(x, own[_X], own[_X + 2], own[_X + 3])
    middle = own[_X + 1]
    out = max(middle - high, low - middle)
    if out <= 0.0:
        return
    y = math.log(out)
    if own[_SPIKES + COUNT] >= _SPIKE_MIN:
        limit = math.exp(min(tail_limit(own, _SPIKES, _FOLDS, _SPIKE_MARGIN), 690.0))
        limit = max(limit, _SPIKE_SPREADS * (high - low), _SPIKE_MOVES * own[_MOVE])
        score = _paid(own, out / limit, False)
        post(rows, i, SPIKE, score, times[_BEFORE_NS], feature, middle, low - limit, high + limit)
    learn_tail(own, _SPIKES, y)


@helper
def _rough(rows: Rows, i: int, own: Floats, times: Ints, x: float, feature: int) -> None:
    e = abs(x - 2.0 * own[_X] + own[_X + 1])
    known = own[_ROUGH + COUNT] >= _ROUGH_MIN
    limit = 0.0
    if known:
        limit = math.exp(min(tail_limit(own, _ROUGH, _ROUGH_FOLDS, _ROUGH_MARGIN), 690.0))
        limit = max(limit, _ROUGH_MOVES * own[_MOVE])
        e = min(e, _ROUGH_CLIP * limit)
    own[_LEVEL] += (e - own[_LEVEL]) / _ROUGH_ROWS
    level = own[_LEVEL]
    over = known and limit > 0.0 and level >= limit
    if not over:
        own[_NOISY] = 0.0
        times[_NOISY_NS] = rows.t_ns[i]
    if known and limit > 0.0:
        score = level / limit
        if over:
            score = _paid(own, score, own[_NOISY] > 0.0)
            if score >= 1.0:
                own[_NOISY] += 1.0
        post(rows, i, NOISE, score, times[_NOISY_NS], feature, level, 0.0, limit)
    if level > 0.0 and own[_ROWS] % _ROUGH_EVERY == 0.0 and (not over or own[_NOISY] == 0.0 or own[_NOISY] > 300.0):
        learn_tail(own, _ROUGH, math.log(level))


@helper
def _wander(rows: Rows, i: int, own: Floats, times: Ints, x: float, feature: int) -> None:
    if own[COUNT] >= _RUNS_MIN and own[QUANTILE] <= _RESTLESS and own[_RUN] > 0.5 * _RUN_ROWS:
        return  # perhaps stuck: that is no wander
    n = own[_ROWS] + 1.0
    if own[COUNT] > _MOVES_KNOWN:  # one sample is no wander
        x = own[_FAST] + min(max(x - own[_FAST], -_WANDER_MOVES * own[_MOVE]), _WANDER_MOVES * own[_MOVE])
    own[_FAST] += (x - own[_FAST]) / min(n, _FAST_ROWS)
    own[_SLOW] += (x - own[_SLOW]) / min(n, _SLOW_ROWS)
    away = own[_FAST] - own[_SLOW]
    sign = 1.0 if away > 0.0 else -1.0
    if sign != own[_SIGN]:
        own[_SIGN] = sign
        own[_TURNS] += 1.0
    learns = True
    if own[_WANDER + COUNT] >= _WANDER_MIN and own[_TURNS] >= _TURNS_MIN:
        limit = math.exp(min(tail_limit(own, _WANDER, _WANDER_FOLDS, _WANDER_MARGIN), 690.0))
        score = abs(away) / limit if limit > 0.0 else 0.0
        own[_AWAY] = own[_AWAY] + 1.0 if score >= _AWAY_FROM else 0.0
        learns = own[_AWAY] == 0.0 or own[_AWAY] > _LASTING_ROWS
        if score < _AWAY_FROM:
            times[_AWAY_NS] = rows.t_ns[i]
        if score < 1.0 or learns:
            own[_PAID] = own[_PAID] if own[_AWAY] > 0.0 else 0.0
            score = min(score, 0.99)
        else:
            score = _paid(own, score, own[_PAID] > 0.0)
            own[_PAID] = 1.0 if score >= 1.0 else own[_PAID]
        post(rows, i, DRIFT, score, times[_AWAY_NS], feature, own[_FAST], own[_SLOW] - limit, own[_SLOW] + limit)
    if away != 0.0 and n % _WANDER_EVERY == 0.0 and learns:
        learn_tail(own, _WANDER, math.log(abs(away)))
