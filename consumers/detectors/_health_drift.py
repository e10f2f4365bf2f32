"""Slow drift of an inertial axis: what it says over many seconds against what the GPS and the other axes say.

At every fix (or every second and a half without one) the means since the last are set against a model that is learned
by recursive least squares: acceleration from speed times turn rates and from the change of speed, turn rate from the
change of course.  Both know nothing of how the device is mounted.  The remainder, low-passed, is a drift when it grows
far beyond its own usual size; a turn of the device grows it at once instead of slowly and is held back.
"""

import math

import numpy as np

from consumers.detectors._health_board import DRIFT, Floats, Ints, Rows, post
from consumers.detectors._kernel import helper, kernel

FEATURES = (("slow acceleration beside the movement", "m/s2"), ("slow turn rate beside the course", "rad/s"))

SENSORS = 2
INPUTS = 5  # of the accelerometer's model: 1, speed x each turn rate, change of speed
_OF_MODEL = (INPUTS, 2)  # of the gyroscope's: 1, change of course
# a sensor: the remainder of each axis and its mean square, both low-passed sides of its model, both sides now
_REST, _POWER, _X, _Y = 0, 3, 6, 6 + INPUTS
_X_NOW, _Y_NOW = 9 + INPUTS, 9 + 2 * INPUTS
SLOW_SLOTS = 12 + 2 * INPUTS
# the tick that is being gathered: sums, and what the last one knew
_SUM, _COUNT, _BEFORE = 0, 6, 8
_TICKS, _FROM, _SPEED, _SPEED_AT, _COURSE, _HAS_COURSE, _LAT, _LON, _HAS_FIX, _HELD, _HAS_TURN = range(11, 22)
TICK_SLOTS = 22
DRIFT_INTS = 1  # since when the remainder has been growing

_TAU_S = 8.0
_FORGET = 0.998
_CLIP = (0.5, 0.15)
_FLOOR = (0.8, 0.11)
_FOLDS = 3.2
_LEARN_BELOW = 0.6
_GROWS_AT = 0.3
_SETTLE_TICKS = 10
_WARM_TICKS = 40.0
_POWER_TICKS = 120.0
_HELD_S_MAX = 150.0
_TICK_S_MIN = 0.7
_TICK_S_MAX = 1.5
_TICK_S_LOST = 10.0
_SPEED_STALE_S = 5.0
_COURSE_SPEED = 4.0
_COURSE_GROUND = 3.0
_TURN_MAX = 0.5
_CHANGE_MAX = 10.0
_VALUE_MAX = 200.0
_M_PER_DEG = 111_195.0


@kernel
def drift(
    rows: Rows,
    values: Floats,
    columns: Ints,
    tick: Floats,
    since: Ints,
    slow: Floats,
    model_p: Floats,
    model_w: Floats,
    base: int,
) -> None:
    """Judge rows; `columns` int64[9]: ax..gz, latitude, longitude, speed (-1: absent)."""
    for i in range(len(rows.t_ns)):
        if rows.broken[i] != 0 or tick[_FROM] == 0.0 or rows.now_s[i] + 1.0 - tick[_FROM] > _TICK_S_LOST:
            _gather_anew(tick, rows.now_s[i])
            tick[_HAS_COURSE] = 0.0
            tick[_HAS_FIX] = 0.0
            tick[_HAS_TURN] = 0.0
        for g in range(2):
            a, b, c = (
                _cell(values, i, columns[3 * g]),
                _cell(values, i, columns[3 * g + 1]),
                _cell(values, i, columns[3 * g + 2]),
            )
            if not math.isnan(a + b + c):
                tick[_SUM + 3 * g] += min(max(a, -_VALUE_MAX), _VALUE_MAX)
                tick[_SUM + 3 * g + 1] += min(max(b, -_VALUE_MAX), _VALUE_MAX)
                tick[_SUM + 3 * g + 2] += min(max(c, -_VALUE_MAX), _VALUE_MAX)
                tick[_COUNT + g] += 1.0
        dt_s = rows.now_s[i] + 1.0 - tick[_FROM]
        lat, lon = _cell(values, i, columns[6]), _cell(values, i, columns[7])
        fix = not math.isnan(lat + lon) and abs(lat) <= 90.0 and abs(lon) <= 360.0
        if dt_s < _TICK_S_MIN or not (fix or dt_s >= _TICK_S_MAX):
            continue
        speed, change, turn = 0.0, 0.0, 0.0
        if fix:
            speed, change, turn = _course(tick, lat, lon, _cell(values, i, columns[8]), rows.now_s[i], dt_s)
        else:
            tick[_HAS_COURSE] = 0.0
            tick[_HAS_FIX] = 0.0
            if rows.now_s[i] - tick[_SPEED_AT] < _SPEED_STALE_S:
                speed = tick[_SPEED]
        _tick(rows, i, tick, since, slow, model_p, model_w, speed, change, turn, min(dt_s, 5.0), base)
        _gather_anew(tick, rows.now_s[i])


@helper
def _cell(values: Floats, i: int, column: int) -> float:
    return float(values[i, column]) if column >= 0 else math.nan


@helper
def _gather_anew(tick: Floats, now_s: float) -> None:
    for j in range(_SUM, _BEFORE):
        tick[j] = 0.0
    tick[_FROM] = now_s + 1.0  # 0 = never


@helper
def _course(
    tick: Floats, lat: float, lon: float, speed: float, now_s: float, dt_s: float
) -> tuple[float, float, float]:
    """Mean speed, change of speed and of course (m/s, m/s2, rad/s) between the last fix and this one."""
    if not speed >= 0.0:
        speed = 0.0
    speed = min(speed, _VALUE_MAX)
    mean, change, turn = speed, 0.0, 0.0
    if now_s - tick[_SPEED_AT] < _SPEED_STALE_S:
        mean = 0.5 * (speed + tick[_SPEED])
        change = min(max((speed - tick[_SPEED]) / dt_s, -_CHANGE_MAX), _CHANGE_MAX)
    has_course = 0.0
    if tick[_HAS_FIX] > 0.0:
        north = (lat - tick[_LAT]) * _M_PER_DEG
        east = (lon - tick[_LON]) * _M_PER_DEG * math.cos(math.radians(lat))
        if mean > _COURSE_SPEED and math.sqrt(north * north + east * east) > _COURSE_GROUND * dt_s:
            course = math.atan2(north, east)
            has_course = 1.0
            if tick[_HAS_COURSE] > 0.0:
                turned = course - tick[_COURSE]
                turned -= 2.0 * math.pi * math.floor((turned + math.pi) / (2.0 * math.pi))
                turn = min(max(turned / dt_s, -_TURN_MAX), _TURN_MAX)
            tick[_COURSE] = course
    tick[_HAS_COURSE] = has_course
    tick[_HAS_FIX] = 1.0
    tick[_LAT], tick[_LON], tick[_SPEED], tick[_SPEED_AT] = lat, lon, speed, now_s
    return mean, change, turn


@helper
def _tick(
    rows: Rows,
    i: int,
    tick: Floats,
    since: Ints,
    slow: Floats,
    model_p: Floats,
    model_w: Floats,
    speed: float,
    change: float,
    turn: float,
    dt_s: float,
    base: int,
) -> None:
    if tick[_COUNT] == 0.0 and tick[_COUNT + 1] == 0.0:
        return
    if tick[_TICKS] == 0.0:
        since[0] = rows.t_ns[i]
        _fresh(slow, model_p, model_w)
    tick[_TICKS] += 1.0
    _sides(tick, slow, speed, change, turn)
    best, axis, limit = 0.0, 0, 1.0
    for sensor in range(SENSORS):
        if tick[_COUNT + sensor] > 0.0:
            rate = dt_s / (_TAU_S + 0.5 * dt_s)
            s, j, at = _rest(tick[_TICKS], slow[sensor], model_p[sensor], model_w[sensor], sensor, rate)
            if s > best:
                best, axis, limit = s, 3 * sensor + j, at
    if best < _GROWS_AT:
        since[0] = rows.t_ns[i]
    tick[_HELD] = tick[_HELD] + dt_s if best >= _LEARN_BELOW else 0.0
    post(rows, i, DRIFT, best, since[0], base + axis // 3, slow[axis // 3, _REST + axis % 3], -limit, limit)
    if tick[_HELD] > _HELD_S_MAX:  # it stays: this is how the sensor is from now on
        tick[_HELD] = 0.0
        tick[_TICKS] = 0.0


@helper
def _sides(tick: Floats, slow: Floats, speed: float, change: float, turn: float) -> None:
    """Write what the sensors said in this tick and what their models make it from; 0 where one said nothing."""
    for j in range(3):
        a = tick[_SUM + j] / max(tick[_COUNT], 1.0)
        w = tick[_SUM + 3 + j] / max(tick[_COUNT + 1], 1.0)
        slow[0, _Y_NOW + j] = a
        slow[0, _X_NOW + 1 + j] = speed * w
        # a change of course lies half a tick behind
        slow[1, _Y_NOW + j] = 0.5 * (w + tick[_BEFORE + j]) if tick[_HAS_TURN] > 0.0 else w
        tick[_BEFORE + j] = w
    tick[_HAS_TURN] = 1.0
    slow[0, _X_NOW], slow[0, _X_NOW + 4] = 1.0, change
    slow[1, _X_NOW], slow[1, _X_NOW + 1] = 1.0, turn


@helper
def _fresh(slow: Floats, model_p: Floats, model_w: Floats) -> None:
    slow[:] = 0.0
    model_p[:] = 0.0
    model_w[:] = 0.0
    for j in range(INPUTS):
        model_p[:, j, j] = 1.0


@helper
def _rest(ticks: float, own: Floats, p: Floats, weights: Floats, sensor: int, rate: float) -> tuple[float, int, float]:
    """Follow what a sensor's model leaves over; the greatest score, its axis (0..2) and limit.  Then learn."""
    clip, n = _CLIP[sensor], _OF_MODEL[sensor]
    best, axis, best_limit = -1.0, 0, 1.0
    follow = max(rate, 1.0 / ticks)
    young = _WARM_TICKS / ticks
    for k in range(n):
        own[_X + k] += follow * (own[_X_NOW + k] - own[_X + k])
    for j in range(3):
        rest, held = own[_REST + j], own[_Y_NOW + j]
        step = held - rest
        for k in range(n):
            step -= own[_X_NOW + k] * weights[k, j]
        if ticks > _SETTLE_TICKS:
            grows = abs(rest + rate * step) > abs(rest)
            rest += rate * (min(max(step, -clip), clip) if grows else step)
        limit = max(_FLOOR[sensor], _FOLDS * math.sqrt(own[_POWER + j])) * (1.0 + young * young)
        score = abs(rest) / limit
        if score > best:
            best, axis, best_limit = score, j, limit
        if ticks > _SETTLE_TICKS and score < 1.0:
            usual = min(rest * rest, 0.36 * limit * limit)
            own[_POWER + j] += max(1.0 / _POWER_TICKS, 1.0 / (ticks - _SETTLE_TICKS)) * (usual - own[_POWER + j])
        own[_REST + j] = rest
        if ticks > 2 * _SETTLE_TICKS:
            held += min(max(step, -2.0 * clip), 2.0 * clip) - step
        own[_Y + j] += follow * (held - own[_Y + j])
    weight = 1.0 if best < _LEARN_BELOW else (0.1 if ticks < 60.0 else 0.0)
    if weight > 0.0:
        _learn(own, p, weights, n, weight)
    return best, axis, best_limit


@helper
def _learn(own: Floats, p: Floats, weights: Floats, n: int, weight: float) -> None:
    """One step of recursive least squares with forgetting, on the low-passed sides."""
    px = np.zeros(n)
    total = _FORGET
    for j in range(n):
        for k in range(n):
            px[j] += p[j, k] * own[_X + k]
        total += weight * own[_X + j] * px[j]
    for j in range(3):
        e = own[_Y + j]
        for k in range(n):
            e -= own[_X + k] * weights[k, j]
        for k in range(n):
            weights[k, j] += weight * px[k] / total * e
    trace = 0.0
    for j in range(n):
        for k in range(n):
            p[j, k] -= weight * px[j] * px[k] / total
        trace += p[j, j]
    # forgetting stops where nothing excites the model
    if trace < 50.0 * n:
        for j in range(n):
            for k in range(n):
                p[j, k] /= _FORGET
