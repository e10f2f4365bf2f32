"""The inertial rules: what an accelerometer or a gyroscope shows when it, and not what it is fixed to, has failed.

Stuck: an axis repeats its value for longer than it ever does.  Spike: one sample of one axis stands out from the two
before and the two after it.  Noise: white noise, seen in the second difference, far above this mounting's own.
Gravity: the ten-second mean of the acceleration is not 9.8 m/s2 long.  A jolt of the body is none of these: it takes
several samples and shows in more than one axis, in both sensors.
"""

import math

from consumers.detectors._health_board import (
    COUNT,
    GRAVITY,
    NOISE,
    SPIKE,
    STUCK,
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

FEATURES = (
    ("samples with the same acceleration", ""),
    ("samples with the same turn rate", ""),
    ("single sample of acceleration", "m/s2"),
    ("single sample of turn rate", "rad/s"),
    ("noise of acceleration", "m/s2"),
    ("noise of turn rate", "rad/s"),
    ("mean acceleration", "m/s2"),
)

GROUPS = 2  # accelerometer, gyroscope
AXES = 3 * GROUPS
BODY_INTS = AXES + 3 * GROUPS  # when each axis began its run; each sensor's last two samples, and its noise

# an axis: the tail of its run lengths, its last four values (newest first), the run that goes on
_X = TAIL
_RUN, _RUN_FROM = TAIL + 4, TAIL + 5
AXIS_SLOTS = TAIL + 6
# a sensor: the tail of its noise level, then
_HAVE, _LAST, _LEVEL, _QUIET, _NEXT, _SLOW, _LIMIT, _USUAL, _TOKENS = range(TAIL, TAIL + 9)
GROUP_SLOTS = TAIL + 9
# gravity
_MX, _MY, _MZ, _MEAN, _STARTED, _OFF_FROM = range(6)
GRAVITY_SLOTS = 6

_VALUE_MAX = 1e6
_RUNS_MIN = 100.0
_APART_S = 0.5  # samples further apart tell nothing of each other
_RUN_ROWS = 25.0
_RUN_S = 0.5
_RUN_FOLDS = 14.0
_SPIKE_MIN = (8.0, 5.0)
_SPIKE_LEVELS = 5.0
_SPIKE_NOISES = 2.5
_SPIKE_OTHERS = 0.4
_TOKENS_MAX = 10.0  # spikes that may come at once; each comes back after
_TOKEN_S = 10.0
_NOISE_MIN = (6.2, 0.6)
_NOISE_TAU_S = 0.6
_NOISE_CLIP = 1.5
_NOISE_FOLDS = 3.0
_NOISE_MARGIN = math.log(1.5)
_NOISE_EVERY_S = 1.0
_NOISE_KNOWN = 15.0
_NOISE_HITS_S = 60.0
_SLOW_TAU_S = 60.0
_FAST_HZ = 25.0
G = 9.80665
_GRAVITY_TAU_S = 10.0
_GRAVITY_OFF = 2.0
_GRAVITY_WAIT_S = 12.0
_GRAVITY_HITS_S = 60.0


@kernel
def body(
    rows: Rows,
    values: Floats,
    columns: Ints,
    axes: Floats,
    since: Ints,
    groups: Floats,
    gravity: Floats,
    base: int,
) -> None:
    """Judge rows; `columns` int64[6] says where ax..gz stand (-1: absent), `base` is the first of `FEATURES`."""
    for i in range(len(rows.t_ns)):
        for g in range(GROUPS):
            if rows.broken[i] != 0:
                groups[g, _HAVE] = 0.0
            if columns[3 * g] < 0 or columns[3 * g + 1] < 0 or columns[3 * g + 2] < 0:
                continue
            a, b, c = values[i, columns[3 * g]], values[i, columns[3 * g + 1]], values[i, columns[3 * g + 2]]
            if math.isnan(a) or math.isnan(b) or math.isnan(c):
                continue
            a, b, c = _held(a), _held(b), _held(c)
            dt_s = min(max(rows.now_s[i] - groups[g, _LAST], 0.0), 1.0)
            groups[g, _LAST] = rows.now_s[i]
            if dt_s > _APART_S:
                groups[g, _HAVE] = 0.0
            for j in range(3):
                _stuck(rows, axes, since, 3 * g + j, a if j == 0 else (b if j == 1 else c), i, base + g)
            if groups[g, _HAVE] >= 4.0:
                _spike(rows, axes, groups, g, a, b, c, i, since[AXES + 2 * g + 1], base + 2 + g)
            if groups[g, _HAVE] >= 2.0:
                _noise(rows, axes, since, groups, g, a, b, c, dt_s, i, base + 4 + g)
            groups[g, _HAVE] += 1.0
            groups[g, _TOKENS] = min(groups[g, _TOKENS] + dt_s / _TOKEN_S, 0.0)
            since[AXES + 2 * g + 1] = since[AXES + 2 * g]
            since[AXES + 2 * g] = rows.t_ns[i]
            _push(axes, 3 * g, a)
            _push(axes, 3 * g + 1, b)
            _push(axes, 3 * g + 2, c)
            if g == 0:
                _gravity(rows, gravity, a, b, c, dt_s, i, base + 6)


@helper
def _held(x: float) -> float:
    return min(max(x, -_VALUE_MAX), _VALUE_MAX)


@helper
def _push(axes: Floats, axis: int, x: float) -> None:
    axes[axis, _X + 3] = axes[axis, _X + 2]
    axes[axis, _X + 2] = axes[axis, _X + 1]
    axes[axis, _X + 1] = axes[axis, _X]
    axes[axis, _X] = x


@helper
def _stuck(
    rows: Rows,
    axes: Floats,
    since: Ints,
    axis: int,
    x: float,
    i: int,
    feature: int,
) -> None:
    run = axes[axis, _RUN]
    if run == 0.0 or x != axes[axis, _X]:
        if run > 0.0:
            learn_tail(axes[axis], 0, math.log(run) if run > 1.0 else 0.0)
        axes[axis, _RUN] = 1.0
        axes[axis, _RUN_FROM] = rows.now_s[i]
        since[axis] = rows.t_ns[i]
        return
    run += 1.0
    axes[axis, _RUN] = run
    if axes[axis, COUNT] < _RUNS_MIN or run < 4.0:
        return
    high = math.exp(min(tail_limit(axes[axis], 0, _RUN_FOLDS, 1.0), 50.0))
    need = max(high, _RUN_ROWS)
    score = min(run / need, (rows.now_s[i] - axes[axis, _RUN_FROM]) / _RUN_S)
    post(rows, i, STUCK, score, since[axis], feature, run, 1.0, high)


@helper
def _outlier(axes: Floats, axis: int, x: float) -> tuple[float, float]:
    """How far the sample before the last stands out from its four neighbours, and how far these are apart."""
    low = min(x, axes[axis, _X], axes[axis, _X + 2], axes[axis, _X + 3])
    high = max(x, axes[axis, _X], axes[axis, _X + 2], axes[axis, _X + 3])
    middle = axes[axis, _X + 1]
    return max(middle - high, low - middle), high - low


@helper
def _spike(
    rows: Rows,
    axes: Floats,
    groups: Floats,
    g: int,
    a: float,
    b: float,
    c: float,
    i: int,
    since_ns: int,
    feature: int,
) -> None:
    best, spread, others, axis = 0.0, 0.0, 0.0, 3 * g
    for j in range(3):
        out, apart = _outlier(axes, 3 * g + j, a if j == 0 else (b if j == 1 else c))
        if out > best:
            best, others, spread, axis = out, max(best, others), apart, 3 * g + j
        else:
            others = max(others, out)
    if best <= 0.0:
        return
    limit = max(
        _SPIKE_MIN[g],
        _SPIKE_LEVELS * groups[g, _SLOW],
        2.0 * spread,
        _SPIKE_NOISES * groups[g, _LEVEL],
        others / _SPIKE_OTHERS,
    )
    seen = axes[axis, _X + 1]
    x = a if axis == 3 * g else (b if axis == 3 * g + 1 else c)
    score = best / limit
    if score >= 1.0:
        if groups[g, _TOKENS] < -_TOKENS_MAX:
            score = 0.99
        else:
            groups[g, _TOKENS] -= 1.0
    middle = 0.5 * (x + axes[axis, _X])
    post(rows, i, SPIKE, score, min(since_ns, rows.t_ns[i]), feature, seen, middle - limit, middle + limit)


@helper
def _noise(
    rows: Rows,
    axes: Floats,
    since: Ints,
    groups: Floats,
    g: int,
    a: float,
    b: float,
    c: float,
    dt_s: float,
    i: int,
    feature: int,
) -> None:
    state = groups[g]
    e = 0.0
    for j in range(3):
        x = a if j == 0 else (b if j == 1 else c)
        d = x - 2.0 * axes[3 * g + j, _X] + axes[3 * g + j, _X + 1]
        e += d * d
    e = math.sqrt(e)
    known = state[COUNT] >= _NOISE_KNOWN
    limit = _NOISE_MIN[g] if known else 2.0 * _NOISE_MIN[g]
    if dt_s * _FAST_HZ > 1.0:
        limit *= 2.0  # at low rates a movement itself is rough
    if known:
        limit = max(limit, state[_LIMIT])
    rate = dt_s / (_NOISE_TAU_S + dt_s)
    state[_LEVEL] += rate * (min(e, _NOISE_CLIP * limit) - state[_LEVEL])
    level = state[_LEVEL]
    slow = dt_s / (_SLOW_TAU_S + dt_s)
    state[_SLOW] += slow * (min(e, 3.0 * state[_SLOW] + 0.1) - state[_SLOW])
    other = groups[1 - g]
    moved = 1.0
    if other[COUNT] >= _NOISE_KNOWN:
        moved = max(other[_LEVEL] / (2.0 * other[_USUAL] + 1e-9), 1.0)
    score = level / limit / moved
    if score < 1.0:
        state[_QUIET] = rows.now_s[i]
    if rows.now_s[i] >= state[_NEXT] and (score < 1.0 or rows.now_s[i] - state[_QUIET] > _NOISE_HITS_S):
        learn_tail(state, 0, math.log(level + 1e-6))  # noise that stays becomes this mounting's own
        state[_LIMIT] = math.exp(min(tail_limit(state, 0, _NOISE_FOLDS, _NOISE_MARGIN), 50.0))
        state[_USUAL] = usual(state, 0)
        state[_NEXT] = rows.now_s[i] + _NOISE_EVERY_S
    began = AXES + 2 * GROUPS + g
    if score < 0.5:
        since[began] = rows.t_ns[i]
    post(rows, i, NOISE, score, since[began], feature, level, 0.0, limit)


@helper
def _gravity(
    rows: Rows,
    state: Floats,
    a: float,
    b: float,
    c: float,
    dt_s: float,
    i: int,
    feature: int,
) -> None:
    size = math.sqrt(a * a + b * b + c * c)
    if state[_STARTED] == 0.0:
        state[_STARTED] = 1.0
        state[_MX], state[_MY], state[_MZ], state[_MEAN] = a, b, c, size
        state[_OFF_FROM] = -1.0
    rate = dt_s / (_GRAVITY_TAU_S + dt_s)
    state[_MX] += rate * (a - state[_MX])
    state[_MY] += rate * (b - state[_MY])
    state[_MZ] += rate * (c - state[_MZ])
    state[_MEAN] += rate * (size - state[_MEAN])
    mean = math.sqrt(state[_MX] ** 2 + state[_MY] ** 2 + state[_MZ] ** 2)
    # a body that turns shortens the mean vector, and shaking lengthens the mean length: only both together count
    off = 0.0
    if (mean < G) == (state[_MEAN] < G):
        off = min(abs(mean - G), abs(state[_MEAN] - G)) / _GRAVITY_OFF
    if off < 0.7:
        state[_OFF_FROM] = -1.0
    elif off >= 1.0 and state[_OFF_FROM] < 0.0:
        state[_OFF_FROM] = rows.now_s[i]
    score, lasting = 0.5 * min(off, 1.0), 0.0
    if state[_OFF_FROM] >= 0.0:
        lasting = rows.now_s[i] - state[_OFF_FROM]
        if _GRAVITY_WAIT_S <= lasting <= _GRAVITY_WAIT_S + _GRAVITY_HITS_S:
            score = max(off, 1.0)
        else:
            score = 0.5 + 0.49 * min(lasting / _GRAVITY_WAIT_S, 1.0)
    post(rows, i, GRAVITY, score, rows.t_ns[i] - int(lasting * 1e9), feature, mean, G - _GRAVITY_OFF, G + _GRAVITY_OFF)
