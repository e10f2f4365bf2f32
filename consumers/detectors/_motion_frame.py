"""The first stage of `motion`: from raw rows to what a body or vehicle does, whichever way the phone lies.

A slow mean of the acceleration stands for gravity and the manoeuvre that already lasts; everything is told relative to
it: what lasts sideways, what shakes up and down, what turns.  The accelerometer and the gyroscope may come in rows of
their own; each group keeps its own time.  A sample is looked at when the next is there, so that a lone spike of the
sensor (one sample, back at once) is taken for what it is and does not shake anything.
"""

import math

import numpy as np
import numpy.typing as npt

from consumers.detectors._kernel import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# columns of a frame
(FRESH, DT, SIZE, STEP, OFFSET, STEADY_SIZE, YAW, SPIN, SHAKE, SHAKE_SIDE, SHAKE_USUAL, ROCK, ROCK_USUAL) = range(13)
(PUSH, HEAVE, TURNED, SPEED, FASTEST, HAS_GYRO, SETTLED, GRAVITY) = range(13, 21)
FRAME = 21

# slots of the float state: vectors first
_A1, _A2, _FAST, _MEAN0, _MEAN, _SLOW, _RECENT, _BEFORE, _LOW1, _LOW2, _W, _W_LOW, _ROTATED = range(0, 39, 3)
_E_UP, _E_SIDE, _E_USUAL, _E_ROCK, _E_ROCK_USUAL, _YAW0, _YAW, _YAW_SLOW = range(39, 47)
_DT_A, _DT_W, _SINCE_GAP, _SPEED, _SPEED_AGE, _W_AGE, _ELSEWHERE, _SINCE_PUSHED, _FASTEST = range(47, 56)
_RING = 56  # means of the last moments: what they were `_LAG_S` ago
_SLOTS, _WIDTH = 16, 6  # mean, rotation
_SLOT_S, _LAG_SLOTS = 0.04, 10
FRAME_SLOTS = _RING + _SLOTS * _WIDTH
# slots of the integer state
_T_A, _T_W, _N_A, _N_W, _T_ROW, _N_ROW, _HEAD = range(7)
FRAME_INTS = 7

_A_MAX, _W_MAX = 2_000.0, 200.0  # beyond any sensor; keeps squares finite
_GAP_S = 0.4
_GAP_INTERVALS = 6.0
_SPIKE = 10.0  # m/s2 there and back within one sample
_SPIKE_ALONE = 0.3  # what the other axes may do meanwhile
_FIX_S = 5.0  # a speed is known for so long
_GYRO_S = 1.0
_FASTEST_S = 180.0
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


def fresh_frame() -> Floats:
    """The float state before the first row: no speed and no gyroscope yet."""
    floats = np.zeros(FRAME_SLOTS)
    floats[[_SPEED_AGE, _W_AGE]] = 1e3
    return floats


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
        _tell(floats, ints, out[i])


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
def _interval(t: int, last: int) -> float:
    """Seconds since `last`; 0 = no time passed that can be believed."""
    if t <= last:
        return 0.0
    rough_s = (float(t) - float(last)) * 1e-9
    return rough_s if rough_s > 9e6 else float(t - last) * 1e-9


@kernel
def _speed(t: int, speed: float, floats: Floats, ints: Ints) -> None:
    passed_s = min(_interval(t, ints[_T_ROW]), 1.0) if ints[_N_ROW] else 0.0
    ints[_T_ROW] = t
    ints[_N_ROW] = 1
    floats[_SPEED_AGE] = min(floats[_SPEED_AGE] + passed_s, 1e3)
    floats[_W_AGE] = min(floats[_W_AGE] + passed_s, 1e3)
    if math.isfinite(speed) and speed >= 0.0:
        floats[_SPEED] = min(speed, 1e4)
        floats[_FASTEST] = max(floats[_FASTEST] * (1.0 - _share(floats[_SPEED_AGE], _FASTEST_S)), floats[_SPEED])
        floats[_SPEED_AGE] = 0.0


@kernel
def _share(dt_s: float, tau_s: float) -> float:
    return 1.0 - math.exp(-dt_s / tau_s)


@kernel
def _norm(floats: Floats, at: int) -> float:
    return math.sqrt(floats[at] ** 2 + floats[at + 1] ** 2 + floats[at + 2] ** 2)


@kernel
def _usual_interval(floats: Floats, at: int, dt_s: float) -> float:
    """The interval to count with: this one, or the usual one over a gap or a step back; learns the usual one."""
    usual = floats[at]
    if usual == 0.0:
        floats[at] = min(dt_s, 10.0)
        return floats[at]
    if dt_s == 0.0 or dt_s > max(_GAP_S, _GAP_INTERVALS * usual):
        if dt_s > 0.0:
            floats[at] += 0.02 * (min(dt_s, 2.0 * usual) - usual)
        return usual
    floats[at] += 0.02 * (dt_s - usual)
    return dt_s


@kernel
def _gyroscope(t: int, w: Floats, floats: Floats, ints: Ints) -> None:
    n = ints[_N_W]
    floats[_W_AGE] = 0.0
    dt_s = _usual_interval(floats, _DT_W, _interval(t, ints[_T_W])) if n else 0.0
    ints[_T_W] = t
    ints[_N_W] = n + 1
    if n == 0:
        floats[_W_LOW : _W_LOW + 3] = w
    quick = _share(dt_s, _HIGH_S)
    energy = 0.0
    for j in range(3):
        floats[_W + j] = w[j]
        floats[_W_LOW + j] += quick * (w[j] - floats[_W_LOW + j])
        energy += (w[j] - floats[_W_LOW + j]) ** 2
    floats[_E_ROCK] += _share(dt_s, _ENERGY_S) * (energy - floats[_E_ROCK])
    usual = floats[_E_ROCK_USUAL]
    floats[_E_ROCK_USUAL] += max(_share(dt_s, _USUAL_S), 1.0 / (n + 1.0)) * (min(energy, 9.0 * usual + 1e-4) - usual)
    gx, gy, gz = floats[_RECENT], floats[_RECENT + 1], floats[_RECENT + 2]
    floats[_ROTATED] += (w[2] * gy - w[1] * gz) * dt_s  # how gravity moves in the phone's frame as the phone turns
    floats[_ROTATED + 1] += (w[0] * gz - w[2] * gx) * dt_s
    floats[_ROTATED + 2] += (w[1] * gx - w[0] * gy) * dt_s
    up = _norm(floats, _SLOW) + 1e-9
    yaw = (w[0] * floats[_SLOW] + w[1] * floats[_SLOW + 1] + w[2] * floats[_SLOW + 2]) / up
    mean = _share(dt_s, _MEAN_S)
    floats[_YAW0] += mean * (yaw - floats[_YAW0])
    floats[_YAW] += mean * (floats[_YAW0] - floats[_YAW])
    floats[_YAW_SLOW] += _share(dt_s, _RECENT_S) * (yaw - floats[_YAW_SLOW])


@kernel
def _accelerometer(t: int, raw: Floats, floats: Floats, ints: Ints) -> None:
    n = ints[_N_A]
    passed_s = _interval(t, ints[_T_A]) if n else 0.0
    ints[_T_A] = t
    ints[_N_A] = n + 1
    if n == 0:
        for at in (_A1, _A2, _FAST, _MEAN0, _MEAN, _SLOW, _RECENT, _BEFORE, _LOW1):
            floats[at : at + 3] = raw
        _forget_moments(floats)
        return
    dt_s = _usual_interval(floats, _DT_A, passed_s)
    if passed_s > 2.0 * dt_s and n > 1:
        _after_gap(raw, floats)
    a = np.empty(3)
    _mend(raw, floats, a)
    floats[_SINCE_GAP] = min(floats[_SINCE_GAP] + dt_s, 1e6)
    _means(a, dt_s, n, floats)
    _shaking(a, dt_s, n, floats)
    _remember(dt_s, floats, ints)


@kernel
def _after_gap(raw: Floats, floats: Floats) -> None:
    """What is quick begins anew at this sample."""
    for at in (_A1, _A2, _FAST, _MEAN0, _MEAN, _LOW1):
        floats[at : at + 3] = raw
    floats[_LOW2 : _LOW2 + 3] = 0.0
    floats[_SINCE_GAP] = 0.0
    _forget_moments(floats)


@kernel
def _forget_moments(floats: Floats) -> None:
    for slot in range(_SLOTS):
        at = _RING + slot * _WIDTH
        for j in range(3):
            floats[at + j] = floats[_MEAN + j]
            floats[at + 3 + j] = floats[_ROTATED + j]


@kernel
def _remember(dt_s: float, floats: Floats, ints: Ints) -> None:
    """Push the means of now as often as `_SLOT_S` went by; a slow stream fills several slots at once."""
    floats[_SINCE_PUSHED] += dt_s
    for _ in range(_SLOTS):
        if floats[_SINCE_PUSHED] < _SLOT_S:
            break
        floats[_SINCE_PUSHED] -= _SLOT_S
        ints[_HEAD] = (ints[_HEAD] + 1) % _SLOTS
        at = _RING + ints[_HEAD] * _WIDTH
        for j in range(3):
            floats[at + j] = floats[_MEAN + j]
            floats[at + 3 + j] = floats[_ROTATED + j]
    floats[_SINCE_PUSHED] = min(floats[_SINCE_PUSHED], _SLOT_S)


@kernel
def _mend(raw: Floats, floats: Floats, a: Floats) -> None:
    """The sample before this one, with a lone spike on one axis taken out."""
    for j in range(3):
        there = floats[_A1 + j] - floats[_A2 + j]
        back = floats[_A1 + j] - raw[j]
        others = 0.0
        for k in range(3):
            if k != j:
                others = max(others, abs(floats[_A1 + k] - 0.5 * (floats[_A2 + k] + raw[k])))
        a[j] = floats[_A1 + j]
        size = min(abs(there), abs(back))
        if there * back > 0.0 and size > _SPIKE and others < _SPIKE_ALONE * size:
            a[j] = 0.5 * (floats[_A2 + j] + raw[j])
    for j in range(3):
        floats[_A2 + j] = a[j]
        floats[_A1 + j] = raw[j]


@kernel
def _means(a: Floats, dt_s: float, n: int, floats: Floats) -> None:
    fast, mean = _share(dt_s, _FAST_S), _share(dt_s, _MEAN_S)
    recent, before = max(_share(dt_s, _RECENT_S), 1.0 / (n + 1.0)), max(_share(dt_s, _BEFORE_S), 1.0 / (n + 1.0))
    slow = max(_share(dt_s, _SLOW_S), 1.0 / (n + 1.0))
    square = 0.0
    for j in range(3):
        floats[_FAST + j] += fast * (a[j] - floats[_FAST + j])
        floats[_MEAN0 + j] += mean * (a[j] - floats[_MEAN0 + j])
        floats[_MEAN + j] += mean * (floats[_MEAN0 + j] - floats[_MEAN + j])
        floats[_RECENT + j] += recent * (a[j] - floats[_RECENT + j])
        floats[_BEFORE + j] += before * (a[j] - floats[_BEFORE + j])
        floats[_SLOW + j] += slow * (a[j] - floats[_SLOW + j])
        square += (floats[_RECENT + j] - floats[_SLOW + j]) ** 2
    if square < _LAID_ANEW**2:
        floats[_ELSEWHERE] = 0.0
        return
    floats[_ELSEWHERE] += dt_s
    if floats[_ELSEWHERE] > _LAID_ANEW_S:
        floats[_SLOW : _SLOW + 3] = floats[_RECENT : _RECENT + 3]


@kernel
def _across(x: float, y: float, z: float, floats: Floats) -> float:
    """The length of a vector's part across gravity."""
    along = _along(x, y, z, floats)
    return math.sqrt(max(x * x + y * y + z * z - along * along, 0.0))


@kernel
def _along(x: float, y: float, z: float, floats: Floats) -> float:
    return (x * floats[_SLOW] + y * floats[_SLOW + 1] + z * floats[_SLOW + 2]) / (_norm(floats, _SLOW) + 1e-9)


@kernel
def _shaking(a: Floats, dt_s: float, n: int, floats: Floats) -> None:
    quick = _share(dt_s, _HIGH_S)
    twice = np.empty(3)
    for j in range(3):
        floats[_LOW1 + j] += quick * (a[j] - floats[_LOW1 + j])
        once = a[j] - floats[_LOW1 + j]
        floats[_LOW2 + j] += quick * (once - floats[_LOW2 + j])
        twice[j] = once - floats[_LOW2 + j]
    along, across = _along(twice[0], twice[1], twice[2], floats), _across(twice[0], twice[1], twice[2], floats)
    e_up, e_side = along * along, across * across
    share = _share(dt_s, _ENERGY_S)
    floats[_E_UP] += share * (e_up - floats[_E_UP])
    floats[_E_SIDE] += share * (e_side - floats[_E_SIDE])
    usual = floats[_E_USUAL]
    floats[_E_USUAL] += max(_share(dt_s, _USUAL_S), 1.0 / (n + 1.0)) * (min(e_up, 9.0 * usual + 1e-3) - usual)


@kernel
def _tell(floats: Floats, ints: Ints, out: Floats) -> None:
    then = _RING + (ints[_HEAD] - _LAG_SLOTS + _SLOTS) % _SLOTS * _WIDTH
    has_gyro = floats[_W_AGE] < _GYRO_S and ints[_N_W] > 0
    step, turned, fast, offset = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for j in range(3):
        step[j] = floats[_MEAN + j] - floats[then + j]
        turned[j] = step[j] - (floats[_ROTATED + j] - floats[then + 3 + j])
        fast[j] = floats[_FAST + j] - floats[then + j]
        offset[j] = floats[_MEAN + j] - floats[_SLOW + j]
    out[DT] = floats[_DT_A]
    out[SIZE] = _norm(floats, _FAST)
    out[STEP] = _across(step[0], step[1], step[2], floats)
    if has_gyro:  # what the phone's own turning explains is no step
        out[STEP] = min(out[STEP], _across(turned[0], turned[1], turned[2], floats))
    out[OFFSET] = _across(offset[0], offset[1], offset[2], floats)
    out[STEADY_SIZE] = _norm(floats, _MEAN)
    out[YAW] = abs(floats[_YAW] - floats[_YAW_SLOW])
    out[SPIN] = _norm(floats, _W)
    out[SHAKE] = math.sqrt(floats[_E_UP])
    out[SHAKE_SIDE] = math.sqrt(floats[_E_SIDE])
    out[SHAKE_USUAL] = math.sqrt(floats[_E_USUAL])
    out[ROCK] = math.sqrt(floats[_E_ROCK])
    out[ROCK_USUAL] = math.sqrt(floats[_E_ROCK_USUAL])
    out[PUSH] = _across(fast[0], fast[1], fast[2], floats)
    out[HEAVE] = abs(_along(fast[0], fast[1], fast[2], floats))
    dot = 0.0
    for j in range(3):
        dot += floats[_MEAN + j] * floats[_BEFORE + j]
    dot /= _norm(floats, _MEAN) * _norm(floats, _BEFORE) + 1e-9
    out[TURNED] = math.acos(min(max(dot, -1.0), 1.0))
    out[SPEED] = floats[_SPEED] if floats[_SPEED_AGE] < _FIX_S else -1.0
    out[FASTEST] = floats[_FASTEST] if floats[_SPEED_AGE] < _FASTEST_S else -1.0
    out[HAS_GYRO] = 1.0 if has_gyro else 0.0
    out[GRAVITY] = _norm(floats, _BEFORE)
    out[SETTLED] = floats[_SINCE_GAP]
