"""What `motion` tells of a row: the columns of its frame, reckoned from the means it keeps."""

import math

import numpy as np

from consumers.detectors._kernel import kernel
from consumers.detectors._motion_slots import (
    BEFORE,
    DT,
    DT_A,
    E_ROCK,
    E_ROCK_USUAL,
    E_SIDE,
    E_UP,
    E_USUAL,
    FAST,
    FASTEST,
    FASTEST_S,
    FASTEST_SPEED,
    GRAVITY,
    GYRO,
    HAS_GYRO,
    HEAD,
    HEAVE,
    LAG_SLOTS,
    LAST_SPEED,
    MEAN,
    N_W,
    OFFSET,
    PUSH,
    RING,
    ROCK,
    ROCK_USUAL,
    ROTATED,
    SETTLED,
    SHAKE,
    SHAKE_SIDE,
    SHAKE_USUAL,
    SINCE_GAP,
    SIZE,
    SLOTS,
    SLOW,
    SPEED,
    SPEED_AGE,
    SPIN,
    STEADY_SIZE,
    STEP,
    TURNED,
    W_AGE,
    WIDTH,
    YAW,
    YAW_RATE,
    YAW_SLOW,
    Floats,
    Ints,
    across,
    along,
    norm,
)

_FIX_S = 5.0  # a speed is known for so long
_GYRO_S = 1.0


@kernel
def tell(floats: Floats, ints: Ints, out: Floats) -> None:
    """Fill one row's columns from the state."""
    then = RING + (ints[HEAD] - LAG_SLOTS + SLOTS) % SLOTS * WIDTH
    has_gyro = floats[W_AGE] < _GYRO_S and ints[N_W] > 0
    step, turned, fast, offset = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for j in range(3):
        step[j] = floats[MEAN + j] - floats[then + j]
        turned[j] = step[j] - (floats[ROTATED + j] - floats[then + 3 + j])
        fast[j] = floats[FAST + j] - floats[then + j]
        offset[j] = floats[MEAN + j] - floats[SLOW + j]
    out[DT] = floats[DT_A]
    out[SIZE] = norm(floats, FAST)
    out[STEP] = across(step[0], step[1], step[2], floats)
    if has_gyro:  # what the phone's own turning explains is no step
        out[STEP] = min(out[STEP], across(turned[0], turned[1], turned[2], floats))
    out[OFFSET] = across(offset[0], offset[1], offset[2], floats)
    out[STEADY_SIZE] = norm(floats, MEAN)
    out[YAW] = abs(floats[YAW_RATE] - floats[YAW_SLOW])
    out[SPIN] = norm(floats, GYRO)
    out[SHAKE] = math.sqrt(floats[E_UP])
    out[SHAKE_SIDE] = math.sqrt(floats[E_SIDE])
    out[SHAKE_USUAL] = math.sqrt(floats[E_USUAL])
    out[ROCK] = math.sqrt(floats[E_ROCK])
    out[ROCK_USUAL] = math.sqrt(floats[E_ROCK_USUAL])
    out[PUSH] = across(fast[0], fast[1], fast[2], floats)
    out[HEAVE] = abs(along(fast[0], fast[1], fast[2], floats))
    dot = 0.0
    for j in range(3):
        dot += floats[MEAN + j] * floats[BEFORE + j]
    dot /= norm(floats, MEAN) * norm(floats, BEFORE) + 1e-9
    out[TURNED] = math.acos(min(max(dot, -1.0), 1.0))
    out[SPEED] = floats[LAST_SPEED] if floats[SPEED_AGE] < _FIX_S else -1.0
    out[FASTEST] = floats[FASTEST_SPEED] if floats[SPEED_AGE] < FASTEST_S else -1.0
    out[HAS_GYRO] = 1.0 if has_gyro else 0.0
    out[GRAVITY] = norm(floats, BEFORE)
    out[SETTLED] = floats[SINCE_GAP]
