"""What `motion` remembers and tells: the slots of its state, the columns of a frame, and what is reckoned from both."""

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
A1, A2, FAST, MEAN0, MEAN, SLOW, RECENT, BEFORE, LOW1, LOW2, GYRO, W_LOW, ROTATED = range(0, 39, 3)
E_UP, E_SIDE, E_USUAL, E_ROCK, E_ROCK_USUAL, YAW0, YAW_RATE, YAW_SLOW = range(39, 47)
DT_A, DT_W, SINCE_GAP, LAST_SPEED, SPEED_AGE, W_AGE, ELSEWHERE, SINCE_PUSHED, FASTEST_SPEED = range(47, 56)
RING = 56  # means of the last moments: what they were `LAG_SLOTS` slots ago
SLOTS, WIDTH = 16, 6  # mean, rotation
SLOT_S, LAG_SLOTS = 0.04, 10
FRAME_SLOTS = RING + SLOTS * WIDTH
# slots of the integer state
T_A, T_W, N_A, N_W, T_ROW, N_ROW, HEAD = range(7)
FRAME_INTS = 7

FASTEST_S = 180.0  # for so long it counts how fast one was
_GAP_S = 0.4
_GAP_INTERVALS = 6.0


def fresh_frame() -> Floats:
    """The float state before the first row: no speed and no gyroscope yet."""
    floats = np.zeros(FRAME_SLOTS)
    floats[[SPEED_AGE, W_AGE]] = 1e3
    return floats


@kernel
def interval(t: int, last: int) -> float:
    """Seconds since `last`; 0 = no time passed that can be believed."""
    if t <= last:
        return 0.0
    rough_s = (float(t) - float(last)) * 1e-9
    return rough_s if rough_s > 9e6 else float(t - last) * 1e-9


@kernel
def share(dt_s: float, tau_s: float) -> float:
    """How much of a new value a mean of that time constant takes."""
    return 1.0 - math.exp(-dt_s / tau_s)


@kernel
def norm(floats: Floats, at: int) -> float:
    """The length of the vector in these slots."""
    return math.sqrt(floats[at] ** 2 + floats[at + 1] ** 2 + floats[at + 2] ** 2)


@kernel
def usual_interval(floats: Floats, at: int, dt_s: float) -> float:
    """The interval to count with: this one, or the usual one over a gap or a step back; learns the usual one."""
    usual = floats[at]
    if usual == 0.0:
        floats[at] = min(dt_s, 10.0)
        return float(floats[at])
    if dt_s == 0.0 or dt_s > max(_GAP_S, _GAP_INTERVALS * usual):
        if dt_s > 0.0:
            floats[at] += 0.02 * (min(dt_s, 2.0 * usual) - usual)
        return float(usual)
    floats[at] += 0.02 * (dt_s - usual)
    return dt_s


@kernel
def across(x: float, y: float, z: float, floats: Floats) -> float:
    """The length of a vector's part across gravity."""
    up = along(x, y, z, floats)
    return math.sqrt(max(x * x + y * y + z * z - up * up, 0.0))


@kernel
def along(x: float, y: float, z: float, floats: Floats) -> float:
    """A vector's part along gravity, upwards positive."""
    return float(x * floats[SLOW] + y * floats[SLOW + 1] + z * floats[SLOW + 2]) / (norm(floats, SLOW) + 1e-9)
