"""The first stage of `motion`: from raw rows to what a body or vehicle does, whichever way the phone lies.

A slow mean of the acceleration stands for gravity and the manoeuvre that already lasts; everything is told relative to
it: what lasts sideways, what shakes up and down, what turns.  The accelerometer and the gyroscope may come in rows of
their own; each group keeps its own time.  A sample is looked at when the next is there, so that a lone spike of the
sensor (one sample, back at once) is taken for what it is and does not shake anything.
"""

import math

import numpy as np

from consumers.detectors._kernel import kernel
from consumers.detectors._motion_slots import (
    A1,
    A2,
    BEFORE,
    DT_A,
    DT_W,
    E_ROCK,
    E_ROCK_USUAL,
    E_SIDE,
    E_UP,
    E_USUAL,
    ELSEWHERE,
    FAST,
    FASTEST_S,
    FASTEST_SPEED,
    FRESH,
    GYRO,
    HEAD,
    LAST_SPEED,
    LOW1,
    LOW2,
    MEAN,
    MEAN0,
    N_A,
    N_ROW,
    N_W,
    RECENT,
    RING,
    ROTATED,
    SINCE_GAP,
    SINCE_PUSHED,
    SLOT_S,
    SLOTS,
    SLOW,
    SPEED_AGE,
    T_A,
    T_ROW,
    T_W,
    W_AGE,
    W_LOW,
    WIDTH,
    YAW0,
    YAW_RATE,
    YAW_SLOW,
    Floats,
    Ints,
    across,
    along,
    interval,
    norm,
    share,
    usual_interval,
)
from consumers.detectors._motion_tell import tell

_A_MAX, _W_MAX = 2_000.0, 200.0  # beyond any sensor; keeps squares finite
_SPIKE = 10.0  # m/s2 there and back within one sample
_SPIKE_ALONE = 0.3  # what the other axes may do meanwhile
_LAID_ANEW = 3.5  # m/s2 beside gravity for `_LAID_ANEW_S`: the phone lies otherwise
_LAID_ANEW_S = 6.0

_FAST_S = 0.03
_MEAN_S = 0.07
_RECENT_S = 3.0
_BEFORE_S = 8.0
_SLOW_S = 30.0
_HIGH_S = 0.03
_ENERGY_S = 0.06
_USUAL_S = 4.0


@kernel
def frame(t_ns: Ints, values: Floats, columns: Ints, floats: Floats, ints: Ints, out: Floats) -> None:
    """Fill `out` [rows, FRAME]; `columns` says where ax ay az gx gy gz speed stand in `values` (-1 = nowhere)."""
    a = np.empty(3)
    w = np.empty(3)
    for i in range(len(t_ns)):
        _speed(t_ns[i], _at(values, i, columns[6]), floats, ints)
        if _triple(values, i, columns, 3, _W_MAX, w):
            _gyroscope(t_ns[i], w, floats, ints)
        out[i, FRESH] = 0.0
        if _triple(values, i, columns, 0, _A_MAX, a):
            _accelerometer(t_ns[i], a, floats, ints)
            out[i, FRESH] = 1.0
        tell(floats, ints, out[i])


@kernel
def _at(values: Floats, row: int, column: int) -> float:
    return values[row, column] if column >= 0 else math.nan


@kernel
def _triple(values: Floats, row: int, columns: Ints, first: int, top: float, into: Floats) -> bool:
    for j in range(3):
        x = _at(values, row, columns[first + j])
        if not math.isfinite(x):
            return False
        into[j] = min(max(x, -top), top)
    return True


@kernel
def _speed(t: int, speed: float, floats: Floats, ints: Ints) -> None:
    passed_s = min(interval(t, ints[T_ROW]), 1.0) if ints[N_ROW] else 0.0
    ints[T_ROW] = t
    ints[N_ROW] = 1
    floats[SPEED_AGE] = min(floats[SPEED_AGE] + passed_s, 1e3)
    floats[W_AGE] = min(floats[W_AGE] + passed_s, 1e3)
    if math.isfinite(speed) and speed >= 0.0:
        floats[LAST_SPEED] = min(speed, 1e4)
        floats[FASTEST_SPEED] = max(
            floats[FASTEST_SPEED] * (1.0 - share(floats[SPEED_AGE], FASTEST_S)), floats[LAST_SPEED]
        )
        floats[SPEED_AGE] = 0.0


@kernel
def _gyroscope(t: int, w: Floats, floats: Floats, ints: Ints) -> None:
    n = ints[N_W]
    floats[W_AGE] = 0.0
    dt_s = usual_interval(floats, DT_W, interval(t, ints[T_W])) if n else 0.0
    ints[T_W] = t
    ints[N_W] = n + 1
    if n == 0:
        floats[W_LOW : W_LOW + 3] = w
    quick = share(dt_s, _HIGH_S)
    energy = 0.0
    for j in range(3):
        floats[GYRO + j] = w[j]
        floats[W_LOW + j] += quick * (w[j] - floats[W_LOW + j])
        energy += (w[j] - floats[W_LOW + j]) ** 2
    floats[E_ROCK] += share(dt_s, _ENERGY_S) * (energy - floats[E_ROCK])
    usual = floats[E_ROCK_USUAL]
    floats[E_ROCK_USUAL] += max(share(dt_s, _USUAL_S), 1.0 / (n + 1.0)) * (min(energy, 9.0 * usual + 1e-4) - usual)
    gx, gy, gz = floats[RECENT], floats[RECENT + 1], floats[RECENT + 2]
    floats[ROTATED] += (w[2] * gy - w[1] * gz) * dt_s  # how gravity moves in the phone's frame as the phone turns
    floats[ROTATED + 1] += (w[0] * gz - w[2] * gx) * dt_s
    floats[ROTATED + 2] += (w[1] * gx - w[0] * gy) * dt_s
    up = norm(floats, SLOW) + 1e-9
    yaw = (w[0] * floats[SLOW] + w[1] * floats[SLOW + 1] + w[2] * floats[SLOW + 2]) / up
    mean = share(dt_s, _MEAN_S)
    floats[YAW0] += mean * (yaw - floats[YAW0])
    floats[YAW_RATE] += mean * (floats[YAW0] - floats[YAW_RATE])
    floats[YAW_SLOW] += share(dt_s, _RECENT_S) * (yaw - floats[YAW_SLOW])


@kernel
def _accelerometer(t: int, raw: Floats, floats: Floats, ints: Ints) -> None:
    n = ints[N_A]
    passed_s = interval(t, ints[T_A]) if n else 0.0
    ints[T_A] = t
    ints[N_A] = n + 1
    if n == 0:
        for at in (A1, A2, FAST, MEAN0, MEAN, SLOW, RECENT, BEFORE, LOW1):
            floats[at : at + 3] = raw
        _forget_moments(floats)
        return
    dt_s = usual_interval(floats, DT_A, passed_s)
    if passed_s > 2.0 * dt_s and n > 1:
        _after_gap(raw, floats)
    a = np.empty(3)
    _mend(raw, floats, a)
    floats[SINCE_GAP] = min(floats[SINCE_GAP] + dt_s, 1e6)
    _means(a, dt_s, n, floats)
    _shaking(a, dt_s, n, floats)
    _remember(dt_s, floats, ints)


@kernel
def _after_gap(raw: Floats, floats: Floats) -> None:
    """What is quick begins anew at this sample."""
    for at in (A1, A2, FAST, MEAN0, MEAN, LOW1):
        floats[at : at + 3] = raw
    floats[LOW2 : LOW2 + 3] = 0.0
    floats[SINCE_GAP] = 0.0
    _forget_moments(floats)


@kernel
def _forget_moments(floats: Floats) -> None:
    for slot in range(SLOTS):
        at = RING + slot * WIDTH
        for j in range(3):
            floats[at + j] = floats[MEAN + j]
            floats[at + 3 + j] = floats[ROTATED + j]


@kernel
def _remember(dt_s: float, floats: Floats, ints: Ints) -> None:
    """Push the means of now as often as `SLOT_S` went by; a slow stream fills several slots at once."""
    floats[SINCE_PUSHED] += dt_s
    for _ in range(SLOTS):
        if floats[SINCE_PUSHED] < SLOT_S:
            break
        floats[SINCE_PUSHED] -= SLOT_S
        ints[HEAD] = (ints[HEAD] + 1) % SLOTS
        at = RING + ints[HEAD] * WIDTH
        for j in range(3):
            floats[at + j] = floats[MEAN + j]
            floats[at + 3 + j] = floats[ROTATED + j]
    floats[SINCE_PUSHED] = min(floats[SINCE_PUSHED], SLOT_S)


@kernel
def _mend(raw: Floats, floats: Floats, a: Floats) -> None:
    """The sample before this one, with a lone spike on one axis taken out."""
    for j in range(3):
        there = floats[A1 + j] - floats[A2 + j]
        back = floats[A1 + j] - raw[j]
        others = 0.0
        for k in range(3):
            if k != j:
                others = max(others, abs(floats[A1 + k] - 0.5 * (floats[A2 + k] + raw[k])))
        a[j] = floats[A1 + j]
        size = min(abs(there), abs(back))
        if there * back > 0.0 and size > _SPIKE and others < _SPIKE_ALONE * size:
            a[j] = 0.5 * (floats[A2 + j] + raw[j])
    for j in range(3):
        floats[A2 + j] = a[j]
        floats[A1 + j] = raw[j]


@kernel
def _means(a: Floats, dt_s: float, n: int, floats: Floats) -> None:
    fast, mean = share(dt_s, _FAST_S), share(dt_s, _MEAN_S)
    recent, before = max(share(dt_s, _RECENT_S), 1.0 / (n + 1.0)), max(share(dt_s, _BEFORE_S), 1.0 / (n + 1.0))
    slow = max(share(dt_s, _SLOW_S), 1.0 / (n + 1.0))
    square = 0.0
    for j in range(3):
        floats[FAST + j] += fast * (a[j] - floats[FAST + j])
        floats[MEAN0 + j] += mean * (a[j] - floats[MEAN0 + j])
        floats[MEAN + j] += mean * (floats[MEAN0 + j] - floats[MEAN + j])
        floats[RECENT + j] += recent * (a[j] - floats[RECENT + j])
        floats[BEFORE + j] += before * (a[j] - floats[BEFORE + j])
        floats[SLOW + j] += slow * (a[j] - floats[SLOW + j])
        square += (floats[RECENT + j] - floats[SLOW + j]) ** 2
    if square < _LAID_ANEW**2:
        floats[ELSEWHERE] = 0.0
        return
    floats[ELSEWHERE] += dt_s
    if floats[ELSEWHERE] > _LAID_ANEW_S:
        floats[SLOW : SLOW + 3] = floats[RECENT : RECENT + 3]


@kernel
def _shaking(a: Floats, dt_s: float, n: int, floats: Floats) -> None:
    quick = share(dt_s, _HIGH_S)
    twice = np.empty(3)
    for j in range(3):
        floats[LOW1 + j] += quick * (a[j] - floats[LOW1 + j])
        once = a[j] - floats[LOW1 + j]
        floats[LOW2 + j] += quick * (once - floats[LOW2 + j])
        twice[j] = once - floats[LOW2 + j]
    e_up = along(twice[0], twice[1], twice[2], floats) ** 2
    e_side = across(twice[0], twice[1], twice[2], floats) ** 2
    new = share(dt_s, _ENERGY_S)
    floats[E_UP] += new * (e_up - floats[E_UP])
    floats[E_SIDE] += new * (e_side - floats[E_SIDE])
    usual = floats[E_USUAL]
    floats[E_USUAL] += max(share(dt_s, _USUAL_S), 1.0 / (n + 1.0)) * (min(e_up, 9.0 * usual + 1e-3) - usual)
