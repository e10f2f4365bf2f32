"""The second stage of `motion`: what a body or vehicle does, told as falls, crashes, potholes and harsh manoeuvres.

Each kind's score is the weakest of the signs it needs, each in units of its own threshold.  The floors are physical:
4.4 m/s2 for a brake and 5.5 for a corner (Digital Matter's defaults), 1 g for a crash (PosiTrace), a fall's dip below
0.6 g (Bourke 2007); the sizes of shaking and rocking are in units of what this stream usually does.
"""

import math

import numpy as np

from consumers.detectors._kernel import kernel
from consumers.detectors._motion_slots import (
    DT,
    FASTEST,
    FRESH,
    GRAVITY,
    HAS_GYRO,
    HEAVE,
    OFFSET,
    PUSH,
    ROCK,
    ROCK_USUAL,
    SETTLED,
    SHAKE,
    SHAKE_SIDE,
    SHAKE_USUAL,
    SIZE,
    SPEED,
    SPIN,
    STEADY_SIZE,
    STEP,
    TURNED,
    YAW,
    Floats,
    Ints,
)

KINDS = ("fall", "crash", "pothole", "harsh_brake", "harsh_corner")
FALL, CRASH, POTHOLE, BRAKE, CORNER = range(len(KINDS))
FEATURES = (
    ("free fall", "m/s2"),
    ("horizontal jolt", "m/s2"),
    ("vibration", "m/s2"),
    ("lasting horizontal acceleration", "m/s2"),
    ("lasting acceleration in a turn", "m/s2"),
)
"""A feature a kind, in the order of `KINDS`."""

# what is told of a kind at a row
SCORE, SEEN, LOW, HIGH = range(4)
TOLD = 4

# slots of the float state
_AGE, _DIP_AGE, _DIP, _SPUN, _IMPACT, _PUSHED, _SHAKEN, _CALM, _CRASH_AGE = range(9)
_QUIET = 9  # a slot a kind: seconds of quiet left
_FOR = 14  # a slot a kind: for how long it is in alarm
_PEAK = 19  # of the manoeuvre that lasts
_DIP_FOR, _JOLTED = 20, 21
RULE_SLOTS = 22
# slots of the integer state
_DIP_T = 0
_SINCE = 1  # a slot a kind
RULE_INTS = 6

G = 9.80665
_NEVER = 1e3
_WARM_S = 3.0
_GRAVITY_MIN, _GRAVITY_MAX = 6.5, 13.5
_SETTLED_S = 0.5
_INTERVAL_S_MAX = 0.3  # slower rows show no manoeuvre
_QUICK_INTERVAL_S_MAX = 0.045  # slower rows show no jolt and no vibration
_SPEED_MIN = 2.5  # m/s: who was no faster lately is on foot, where no crash, pothole nor harsh brake is

_DIP_SIZE = 6.4
_DIP_DEPTH = 4.0
_DIP_S = 1.5
_FELL_S = 0.12  # in free fall for so long: what jolts then is the ground
_SPUN_MIN = 2.4
_TURNED_MIN = 0.42
_TURNED_ALONE = 0.6
_IMPACT_MIN = 13.0

_JOLT = 6.5
_JOLT_ROCK = 4.0  # how much the jolt turns the phone, in units of what is usual
_JOLT_ROCK_SOME, _JOLT_STEP, _JOLT_KEPT_S = 1.2, 4.2, 0.3  # or little, with much speed lost
_SHAKE_FOLDS = 3.15
_SHAKE_MIN = 0.4
_ROCK_FOLDS = 1.2
_ROCK_SHARE = 0.025  # rad/s per m/s2 of shaking: a wheel in a hole rocks the car, a noisy sensor does not
_SHAKEN_S_MAX = 0.8
_CALM_S = 1.0
_STEP = 3.3  # m/s2 gained within 0.4 s
_OFFSET = 2.0  # m/s2 beside gravity
_BOTH = 5.0  # the step with a share of where it led
_OFFSET_SHARE = 0.3
_PUSH_KEPT = 2.2
_PUSHED_S = 0.2
_KEPT = 0.7
_TURN_SHARE = 0.5
_YAW_ALONE = 0.2
_SPEED_UNKNOWN = 13.0

_QUIET_S = (12.0, 3.0, 0.5, 3.0, 3.0)
_FOR_S_MAX = (3.0, 1.0, 1.0, 4.0, 4.0)


def fresh_rules() -> Floats:
    """The float state before the first row: no dip and no crash yet."""
    floats = np.zeros(RULE_SLOTS)
    floats[[_DIP_AGE, _CRASH_AGE]] = _NEVER
    return floats


@kernel
def judge(t_ns: Ints, frames: Floats, floats: Floats, ints: Ints, told: Floats, since: Ints) -> None:
    """Fill `told` [rows, kinds, TOLD] and `since` [rows, kinds] from frames."""
    for i in range(len(t_ns)):
        f = frames[i]
        if f[FRESH] == 0.0:
            continue
        floats[_AGE] = min(floats[_AGE] + f[DT], _NEVER)
        for kind in range(5):
            floats[_QUIET + kind] = max(floats[_QUIET + kind] - f[DT], 0.0)
        _fall(t_ns[i], f, floats, ints, told[i])
        _crash(f, floats, told[i])
        _pothole(f, floats, told[i])
        _manoeuvre(f, floats, told[i])
        for kind in range(5):
            _settle(t_ns[i], kind, f, floats, ints, told[i])
            since[i, kind] = ints[_SINCE + kind]


@kernel
def _settle(t: int, kind: int, f: Floats, floats: Floats, ints: Ints, told: Floats) -> None:
    """Apply the policy: warm-up, quiet after an alarm, and no alarm that never ends; keep since when it lasts."""
    weighs = f[GRAVITY] > _GRAVITY_MIN and f[GRAVITY] < _GRAVITY_MAX  # else gravity is not in these numbers
    if floats[_AGE] < _WARM_S or floats[_QUIET + kind] > 0.0 or not weighs:
        told[kind, SCORE] = min(told[kind, SCORE], 0.99)
    if told[kind, SCORE] < 1.0:
        if floats[_FOR + kind] > 0.0:
            floats[_FOR + kind] = 0.0
            floats[_QUIET + kind] = _QUIET_S[kind]
        ints[_SINCE + kind] = t
        return
    if floats[_FOR + kind] == 0.0:
        ints[_SINCE + kind] = min(ints[_DIP_T], t) if kind == FALL else t
    floats[_FOR + kind] += f[DT]
    if floats[_FOR + kind] > _FOR_S_MAX[kind]:
        told[kind, SCORE] = 0.99


@kernel
def _say(told: Floats, kind: int, score: float, seen: float, low: float, high: float) -> None:
    told[kind, SCORE] = min(max(score, 0.0), 1e6)
    told[kind, SEEN] = seen
    told[kind, LOW] = low
    told[kind, HIGH] = high


@kernel
def _fall(t: int, f: Floats, floats: Floats, ints: Ints, told: Floats) -> None:
    floats[_DIP_AGE] = min(floats[_DIP_AGE] + f[DT], _NEVER)
    if f[SIZE] < _DIP_SIZE:
        if floats[_DIP_AGE] > _DIP_S:
            ints[_DIP_T] = t
            floats[_DIP], floats[_DIP_FOR], floats[_SPUN], floats[_IMPACT] = f[SIZE], 0.0, 0.0, 0.0
        floats[_DIP] = min(floats[_DIP], f[SIZE])
        floats[_DIP_AGE] = 0.0
        floats[_DIP_FOR] += f[DT]
    if floats[_DIP_AGE] > _DIP_S or f[DT] > _QUICK_INTERVAL_S_MAX * 2.0:
        return
    floats[_SPUN] = max(floats[_SPUN], f[SPIN])
    floats[_IMPACT] = max(floats[_IMPACT], f[SIZE])
    dip = (G - floats[_DIP]) / _DIP_DEPTH
    if f[HAS_GYRO] > 0.0:
        score = min(dip, floats[_SPUN] / _SPUN_MIN, f[TURNED] / _TURNED_MIN)
    else:
        lies = 1.5 - abs(f[STEADY_SIZE] - G) / 3.0 if floats[_DIP_AGE] > 0.5 else 0.0
        score = min(dip, f[TURNED] / _TURNED_ALONE, floats[_IMPACT] / _IMPACT_MIN, lies)
    _say(told, FALL, score, floats[_DIP], G - _DIP_DEPTH, 2.0 * G - floats[_DIP])


@kernel
def _crash(f: Floats, floats: Floats, told: Floats) -> None:
    floats[_JOLTED] = max(floats[_JOLTED] * (1.0 - min(f[DT] / _JOLT_KEPT_S, 1.0)), f[PUSH])
    score = f[PUSH] / G
    if f[HAS_GYRO] > 0.0:
        rocks = f[ROCK] / (f[ROCK_USUAL] + 0.01)
        hard = min(floats[_JOLTED] / G, f[STEP] / _JOLT_STEP, rocks / _JOLT_ROCK_SOME)
        score = max(min(f[PUSH] / _JOLT, rocks / _JOLT_ROCK), hard)
    score = min(score, score * f[PUSH] / (1.1 * f[HEAVE] + 1e-9))
    fell = floats[_DIP_AGE] < _DIP_S and floats[_DIP_FOR] > _FELL_S
    if fell or _on_foot(f) or f[DT] > _QUICK_INTERVAL_S_MAX or f[SETTLED] < _SETTLED_S:
        score = min(score, 0.9)
    _say(told, CRASH, score, floats[_JOLTED], 0.0, _JOLT)
    floats[_CRASH_AGE] = 0.0 if score >= 1.0 else min(floats[_CRASH_AGE] + f[DT], _NEVER)


@kernel
def _on_foot(f: Floats) -> bool:
    return bool(f[FASTEST] >= 0.0 and f[FASTEST] < _SPEED_MIN)


@kernel
def _pothole(f: Floats, floats: Floats, told: Floats) -> None:
    usual = f[SHAKE_USUAL] + 0.02
    score = min(f[SHAKE] / (_SHAKE_FOLDS * usual), f[SHAKE] / _SHAKE_MIN, f[SHAKE] / (f[SHAKE_SIDE] + 1e-9))
    if f[HAS_GYRO] > 0.0:
        rocks = math.sqrt((f[ROCK_USUAL] + 0.003) ** 2 + (_ROCK_SHARE * f[SHAKE]) ** 2)
        score = min(score, f[ROCK] / (_ROCK_FOLDS * rocks))
    floats[_SHAKEN] = floats[_SHAKEN] + f[DT] if f[SHAKE] > 2.0 * usual else max(floats[_SHAKEN] - f[DT], 0.0)
    lasts = floats[_SHAKEN] > _SHAKEN_S_MAX
    shadowed = floats[_CRASH_AGE] < 1.0 or (
        floats[_DIP_AGE] < _DIP_S and f[HAS_GYRO] > 0.0 and floats[_SPUN] > _SPUN_MIN
    )
    if lasts or _on_foot(f) or shadowed or f[DT] > _QUICK_INTERVAL_S_MAX or f[SETTLED] < _SETTLED_S:
        score = min(score, 0.9)
    _say(told, POTHOLE, score, f[SHAKE], 0.0, _SHAKE_FOLDS * usual)


@kernel
def _manoeuvre(f: Floats, floats: Floats, told: Floats) -> None:
    floats[_PUSHED] = floats[_PUSHED] + f[DT] if f[PUSH] > _PUSH_KEPT else 0.0
    both = f[STEP] + _OFFSET_SHARE * f[OFFSET]
    score = min(both / _BOTH, f[STEP] / _STEP, f[OFFSET] / _OFFSET)
    shadowed = floats[_CRASH_AGE] < 1.5 or floats[_DIP_AGE] < 2.0 * _DIP_S
    if _on_foot(f) or shadowed or floats[_PUSHED] < _PUSHED_S or f[DT] > _INTERVAL_S_MAX or f[SETTLED] < _SETTLED_S:
        score = min(score, 0.9)
    kind = CORNER if _turns(f) else BRAKE
    seen = f[STEP]
    for lasting in (BRAKE, CORNER):
        if floats[_FOR + lasting] > 0.0:  # it keeps its name, and lasts while the acceleration does
            kind = lasting
            score = max(score, f[OFFSET] / (_KEPT * floats[_PEAK]))
            seen = max(seen, f[OFFSET])
    floats[_PEAK] = max(floats[_PEAK], f[OFFSET]) if score >= 1.0 else _OFFSET
    _say(told, kind, score, seen, 0.0, _STEP)


@kernel
def _turns(f: Floats) -> bool:
    if f[SPEED] >= 0.0:
        return bool(f[YAW] * max(f[SPEED], 6.0) > _TURN_SHARE * f[STEP])
    return bool(f[YAW] * _SPEED_UNKNOWN > _TURN_SHARE * f[STEP] or f[YAW] > _YAW_ALONE)
