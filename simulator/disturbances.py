"""What goes wrong in a simulated world, on purpose and with its place known: falls, potholes, and sensors that fail.

Two families.  Some move the body (`BODY`): terms of the behaviour's own motion, so that every sensor sees them.  Others
break a sensor (`SENSOR`): they change what it says, and nothing else.  Sizes: a fall is 0.2-0.5 s near weightlessness,
an impact of 1.6-3.5 g, then lying still, turned (Bourke et al. 2007, 2008); a pothole a damped burst of 10-15 Hz and
5-15 m/s2 (Eriksson et al. 2008); a crash a pulse of 1-2.5 g for 80-150 ms.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from simulator.behaviours import TAU, Behaviour, Motion, Reals
from telemetry.batch import Series

GRAVITY_M_S2 = 9.80665
FALL_S, IMPACT_S, LIE_S, RISE_S = 0.35, 0.08, 8.0, 1.5
POTHOLE_S, CRASH_S = 0.3, 0.12
EARTH_DEG_M = 111_320.0
QUIET_S = 20.0  # before the first: a detector must know what is usual


@dataclass(frozen=True, slots=True)
class Disturbance:
    """`at_s` is seconds since the device's start; `end_s` when it is over."""

    kind: str
    at_s: float
    seconds: float

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.at_s + self.seconds


@dataclass(frozen=True, slots=True)
class Happening:
    """A disturbance where it will be found: times are device times, UTC nanoseconds."""

    device: str
    kind: str
    start_ns: int
    end_ns: int


def disturbance(kind: str, at_s: float) -> Disturbance:
    """One of the usual length; raises `KeyError` for a kind that is not there."""
    return Disturbance(kind, at_s, SECONDS[kind])


# --- what moves the body: (motion, t, seconds since its start) -> motion


def _within(since_s: Reals, begin_s: float, end_s: float) -> Reals:
    """How far through [begin, end): 0..1 inside, NaN outside."""
    inside = (since_s >= begin_s) & (since_s < end_s)
    return np.where(inside, (since_s - begin_s) / (end_s - begin_s), np.nan)


def _pulse(through: Reals) -> Reals:
    """A half sine over the stretch, 0 outside."""
    return np.nan_to_num(np.sin(np.pi * through))


def _fall(motion: Motion, since_s: Reals) -> Motion:
    """Nearly weightless, an impact, then on the ground and turned until it gets up."""
    down = _within(since_s, 0, FALL_S)
    impact = _pulse(_within(since_s, FALL_S, FALL_S + IMPACT_S))
    lying = np.clip(since_s / FALL_S, 0, 1) * np.clip((FALL_S + LIE_S + RISE_S - since_s) / RISE_S, 0, 1)
    still = np.where((since_s > FALL_S) & (since_s < FALL_S + LIE_S), 0.03, 1.0)[:, None]
    acceleration = motion.acceleration * np.where(np.isnan(down), 1.0, 0.3)[:, None] * still
    acceleration[:, 2] -= 0.75 * GRAVITY_M_S2 * _pulse(down) ** 0.5
    acceleration += impact[:, None] * np.array([0.6, 0.3, 1.6]) * GRAVITY_M_S2
    angles, rates = motion.angles.copy(), motion.rates * still
    angles[:, 2] += 1.3 * lying
    rates[:, 2] += 1.3 * ((since_s >= 0) & (since_s < FALL_S)) / FALL_S
    rates[:, 2] -= 1.3 * ((since_s >= FALL_S + LIE_S) & (since_s < FALL_S + LIE_S + RISE_S)) / RISE_S
    return Motion(acceleration, angles, rates)


def _pothole(motion: Motion, since_s: Reals) -> Motion:
    """The wheel drops and strikes: up and down at 12 Hz, dying away."""
    inside = (since_s >= 0) & (since_s < POTHOLE_S)
    burst = np.where(inside, np.sin(TAU * 12 * since_s) * np.exp(-since_s / (POTHOLE_S / 2.5)), 0.0)
    acceleration = motion.acceleration - burst[:, None] * np.array([2.0, -3.0, 13.0])
    rates = motion.rates.copy()
    rates[:, 1:] += burst[:, None] * np.array([0.6, 0.5])
    return Motion(acceleration, motion.angles, rates)


def _crash(motion: Motion, since_s: Reals) -> Motion:
    """Stopped by something hard: 2 g from the front."""
    pulse = _pulse(_within(since_s, 0, CRASH_S))[:, None]
    acceleration = motion.acceleration + pulse * np.array([-2.0, 0.5, 0.6]) * GRAVITY_M_S2
    return Motion(acceleration, motion.angles, motion.rates + pulse * np.array([1.5, 1.0, 0.8]))


BODY: Mapping[str, Callable[[Motion, Reals], Motion]] = MappingProxyType(
    {"fall": _fall, "pothole": _pothole, "crash": _crash}
)


class Disturbed(Behaviour):
    """A behaviour with disturbances of its body."""

    def __init__(self, own: Behaviour, disturbances: Sequence[Disturbance]) -> None:
        self._own = own
        self._disturbances = [d for d in disturbances if d.kind in BODY]
        self.heading_rad = own.heading_rad
        self.noise_m_s2, self.noise_rad_s = own.noise_m_s2, own.noise_rad_s
        self.speed_mean_m_s = own.speed_mean_m_s

    def speed(self, t: Reals) -> Reals:
        speed = self._own.speed(t)
        for d in self._disturbances:
            if d.kind == "fall":  # nobody walks lying down
                speed = np.where((t > d.at_s) & (t < d.at_s + FALL_S + LIE_S), 0.0, speed)
        return speed

    def heading(self, t: Reals) -> Reals:
        return self._own.heading(t)

    def motion(self, t: Reals) -> Motion:
        motion = self._own.motion(t)
        for d in self._disturbances:
            if t[0] <= d.end_s and t[-1] >= d.at_s:
                motion = BODY[d.kind](motion, t - d.at_s)
        return motion


# --- what breaks a sensor: its columns are changed where `inside`; `held` is what it said last before

Columns = dict[str, Reals]
Inside = npt.NDArray[np.bool_]
Held = Mapping[str, float]


def _stuck(columns: Columns, inside: Inside, held: Held) -> None:
    """It goes on saying what it said."""
    for name, column in columns.items():
        column[inside] = held[name]


def _spike(columns: Columns, inside: Inside, held: Held) -> None:
    """One sample of one axis, 60 m/s2 off."""
    columns["y"][np.flatnonzero(inside)[:1]] += 60.0


def _gps_jump(columns: Columns, inside: Inside, held: Held) -> None:
    """The fix lies 300 m north of where it is."""
    columns["latitude"][inside] += 300.0 / EARTH_DEG_M


SENSOR: Mapping[str, tuple[str, Callable[[Columns, Inside, Held], None]]] = MappingProxyType(
    {"stuck": ("acceleration", _stuck), "spike": ("acceleration", _spike), "gps_jump": ("location", _gps_jump)}
)
"""The sensor that breaks, and how."""

SECONDS: Mapping[str, float] = MappingProxyType(
    {
        "fall": FALL_S + LIE_S + RISE_S,
        "pothole": POTHOLE_S,
        "crash": CRASH_S,
        "stuck": 6.0,
        "spike": 0.01,
        "gps_jump": 3.0,
    }
)
"""How long each lasts."""

KINDS = tuple(SECONDS)


def broken(
    series: Sequence[Series],
    disturbances: Sequence[Disturbance],
    start_ns: int,
    last_said: Callable[[Disturbance, str], Held],
) -> list[Series]:
    """These series as broken sensors say them; `last_said` gives a sensor's reading at a disturbance's start."""
    said = list(series)
    for d in disturbances:
        if d.kind not in SENSOR:
            continue
        sensor, change = SENSOR[d.kind]
        for n, one in enumerate(said):
            since_s = (one.t - start_ns) / 1e9 - d.at_s
            inside = (since_s >= 0) & (since_s < d.seconds)
            if one.sensor == sensor and inside.any():
                columns = {name: np.array(column, np.float64) for name, column in one.values.items()}
                change(columns, inside, last_said(d, sensor))
                said[n] = Series.of(sensor, one.t, columns)
    return said


def drawn(seed: int, kinds: Sequence[str], a_minute: float, seconds: int) -> list[Disturbance]:
    """Kinds at random times, `a_minute` of them on average, none before the last is over and 5 s have passed."""
    random = np.random.default_rng([seed, 2])
    found: list[Disturbance] = []
    at_s = QUIET_S
    while kinds and a_minute > 0:
        at_s += random.exponential(60.0 / a_minute)
        if at_s >= seconds:
            break
        found.append(disturbance(str(random.choice(list(kinds))), round(at_s, 2)))
        at_s = found[-1].end_s + 5.0
    return found
