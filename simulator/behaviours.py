"""How a device moves: walk, drive, rest.  Closed forms of time, so that any second can be asked for by itself.

Magnitudes: walking from the gait literature (1.8 steps/s, vertical swing 2-3 m/s2); driving as measured on phones in
cars (standard deviation outside manoeuvres 0.7 m/s2 horizontal, 0.5-0.7 vertical, 0.08-0.19 rad/s yaw, the vertical
energy mostly at 8-16 Hz).  A disturbance that a later part injects (a fall, an aggressive turn) is one more term of
`Motion`: everything downstream projects whatever stands there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Reals: TypeAlias = npt.NDArray[np.float64]
TAU = 2 * np.pi


@dataclass(frozen=True, slots=True)
class Motion:
    """What a body does at times (n,): level acceleration (n, 3) forward, left, up in m/s2; Euler angles yaw
    (counter-clockwise from east), pitch, roll (n, 3) in rad and their rates (n, 3) in rad/s."""

    acceleration: Reals
    angles: Reals
    rates: Reals


@dataclass(frozen=True, slots=True)
class Waves:
    """A sum of sinusoids: amplitudes, angular frequencies and phases, each (m,)."""

    amplitude: Reals
    omega: Reals
    phase: Reals

    @classmethod
    def drawn(cls, random: np.random.Generator, count: int, low_hz: float, high_hz: float, std: float) -> "Waves":
        """`count` tones between two frequencies with this standard deviation in all."""
        omega = TAU * random.uniform(low_hz, high_hz, count)
        return cls(np.full(count, std * np.sqrt(2 / count)), omega, random.uniform(0, TAU, count))

    def value(self, t: Reals) -> Reals:
        """(n,) at times (n,)."""
        return np.sin(np.multiply.outer(t, self.omega) + self.phase) @ self.amplitude

    def rate(self, t: Reals) -> Reals:
        """The derivative, (n,)."""
        return np.cos(np.multiply.outer(t, self.omega) + self.phase) @ (self.amplitude * self.omega)


class Behaviour:
    """A device that lies still; the others add to it.  `t` is seconds since the device's start."""

    noise_m_s2 = 0.015
    speed_mean_m_s = 0.0
    noise_rad_s = 0.0015

    def __init__(self, random: np.random.Generator) -> None:
        self.heading_rad = random.uniform(0, TAU)

    def speed(self, t: Reals) -> Reals:
        """Along the heading, m/s, never negative."""
        return np.zeros_like(t)

    def heading(self, t: Reals) -> Reals:
        """Course, rad counter-clockwise from east."""
        return np.full_like(t, self.heading_rad)

    def motion(self, t: Reals) -> Motion:
        """All of it."""
        still = np.zeros((len(t), 3))
        return Motion(still, np.column_stack([self.heading(t), still[:, 1:]]), still)


class Rest(Behaviour):
    """On a table."""


class Walk(Behaviour):
    """In a pocket or a hand: two steps a stride, the body sways with the stride."""

    noise_m_s2 = 0.12
    speed_mean_m_s = 1.35
    noise_rad_s = 0.03

    def __init__(self, random: np.random.Generator) -> None:
        super().__init__(random)
        self._step = TAU * random.uniform(1.7, 2.0)
        self._swing = random.uniform(0.8, 1.2)
        self._pace = Waves.drawn(random, 4, 0.005, 0.05, 0.1)
        self._course = Waves.drawn(random, 6, 0.002, 0.03, 0.8)

    def speed(self, t: Reals) -> Reals:
        return np.maximum(0.2, self.speed_mean_m_s + self._pace.value(t))

    def heading(self, t: Reals) -> Reals:
        return self.heading_rad + self._course.value(t)

    def motion(self, t: Reals) -> Motion:
        step, stride, s = self._step * t, self._step * t / 2, self._swing
        forward = s * (1.1 * np.sin(step + 1.0) + 0.5 * np.sin(2 * step))
        left = s * 0.9 * np.sin(stride + 0.4)
        up = s * (2.4 * np.sin(step) + 0.9 * np.sin(2 * step + 0.7) + 0.4 * np.sin(3 * step + 0.2))
        sway = np.array([0.10, 0.05, 0.08]) * s  # yaw and roll with the stride, pitch with the step
        tempo = np.array([0.5, 1.0, 0.5]) * self._step
        turn = np.multiply.outer(t, tempo) + np.array([0.0, 0.5, 1.1])
        angles, rates = sway * np.sin(turn), sway * tempo * np.cos(turn)
        angles[:, 0] += self.heading(t)
        rates[:, 0] += self._course.rate(t)
        return Motion(np.column_stack([forward, left, up]), angles, rates)


class Drive(Behaviour):
    """On a mount in a car: it pulls away, brakes and turns; the road shakes it."""

    noise_m_s2 = 0.08
    speed_mean_m_s = 12.0
    noise_rad_s = 0.02

    def __init__(self, random: np.random.Generator) -> None:
        super().__init__(random)
        self._pace = Waves.drawn(random, 5, 0.005, 0.03, 3.5)
        self._course = Waves.drawn(random, 5, 0.005, 0.03, 0.5)
        self._road = [
            (Waves.drawn(random, 5, 0.2, 3.0, low), Waves.drawn(random, 9, 8.0, 16.0, high))
            for low, high in ((0.40, 0.35), (0.40, 0.35), (0.33, 0.45))
        ]
        self._tilt = [Waves.drawn(random, 4, 0.5, 2.5, 0.008) for _ in range(2)]

    def speed(self, t: Reals) -> Reals:
        return np.maximum(0.0, self.speed_mean_m_s + self._pace.value(t))

    def heading(self, t: Reals) -> Reals:
        return self.heading_rad + self._course.value(t)

    def motion(self, t: Reals) -> Motion:
        yaw_rate, moving = self._course.rate(t), self.speed(t) > 0
        shake = np.column_stack([low.value(t) + high.value(t) for low, high in self._road])
        shake[:, 0] += self._pace.rate(t) * moving
        shake[:, 1] += self.speed(t) * yaw_rate  # the pull towards the inside of the bend
        angles = np.column_stack([self.heading(t), *(w.value(t) for w in self._tilt)])
        rates = np.column_stack([yaw_rate, *(w.rate(t) for w in self._tilt)])
        return Motion(shake, angles, rates)


BEHAVIOURS: MappingProxyType[str, Callable[[np.random.Generator], Behaviour]] = MappingProxyType(
    {"walk": Walk, "drive": Drive, "rest": Rest}
)
