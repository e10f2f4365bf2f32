"""A device in the world: what its sensors read, second by second, wherever it is and however it is held.

Seeded: the same seed gives the same bytes, whichever second is asked for first.  Six motion sensors at 100 Hz, a
position a second on a track that agrees with its own speed and bearing, the battery once a minute.  All in the
catalogue's units and Android's axes: x right, y up along the screen, z out of it; at rest face up, z reads +9.81.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from simulator.behaviours import BEHAVIOURS, Reals
from simulator.disturbances import Disturbance, Disturbed, Happening, broken
from telemetry.batch import Series, Times

RATE_HZ = 100
SECOND_NS = 1_000_000_000
BATTERY_PERIOD_S = 60
JITTER_NS = 400_000  # of a sample's time, as real recordings show (spacing within some 4 %)
GRAVITY_M_S2 = 9.80665
FIELD_UT = np.array([0.0, 20.0, -44.0])  # Earth's, east north up, in mid-northern latitudes
EARTH_M = 6_371_008.8  # mean radius, IUGG
TRACK_STEPS = 20  # integration steps a second
TRACK_BLOCK_S = 64

_OfTime: TypeAlias = Callable[[Reals], Reals]


class World:
    """One device.  `chunk(k)` is its readings from `start_ns` + k s to one second later."""

    def __init__(self, seed: int, behaviour: str, start_ns: int, disturbances: Sequence[Disturbance] = ()) -> None:
        random = np.random.default_rng([seed, 0])
        self._disturbances = tuple(disturbances)
        self._seed = seed
        self._start_ns = start_ns
        own = BEHAVIOURS[behaviour](random)
        self._behaviour = Disturbed(own, disturbances) if disturbances else own
        self._mount = _rotation(random)  # phone -> body, (3, 3): held in any way
        self._track = _Track(self._behaviour.speed, self._behaviour.heading)
        self._origin = (random.uniform(-60, 60), random.uniform(-179, 179), random.uniform(0, 500))
        self._level = random.uniform(0.5, 1.0)

    def chunk(self, k: int) -> list[Series]:
        """The series of second `k` (from 0): motion sensors, position, and every minute the battery."""
        return broken(self._whole(k), self._disturbances, self._start_ns, self._last_said)

    def happenings(self, device: str) -> list[Happening]:
        """What will happen to it, by time."""
        return [
            Happening(device, d.kind, self._start_ns + round(d.at_s * 1e9), self._start_ns + round(d.end_s * 1e9))
            for d in self._disturbances
        ]

    def _last_said(self, disturbance: Disturbance, sensor: str) -> dict[str, float]:
        """What the sensor read when it broke."""
        one = next(s for s in self._whole(int(disturbance.at_s)) if s.sensor == sensor)
        n = max(0, int(np.searchsorted(one.t, self._start_ns + disturbance.at_s * 1e9)) - 1)
        return {name: float(np.asarray(column, np.float64)[n]) for name, column in one.values.items()}

    def _whole(self, k: int) -> list[Series]:
        """As sensors say it that are not broken."""
        random = np.random.Generator(np.random.SFC64([self._seed, 1, k]))
        offsets = np.arange(RATE_HZ) * (SECOND_NS // RATE_HZ) + random.integers(0, JITTER_NS, RATE_HZ)
        times = self._start_ns + k * SECOND_NS + offsets
        series = self._motion(times, k + offsets / 1e9, random)
        series.append(self._location(k, random))
        if k % BATTERY_PERIOD_S == 0:
            series.append(self._battery(k))
        return series

    def _motion(self, times: Times, t: Reals, random: np.random.Generator) -> list[Series]:
        b = self._behaviour
        motion = b.motion(t)
        body = _euler(motion.angles)
        to_world = body @ self._mount  # (n, 3, 3), phone -> east north up
        noise = random.standard_normal((4, len(t), 3))
        east_north_up = _turned(motion.acceleration, b.heading(t))
        linear = _into(to_world, east_north_up) + b.noise_m_s2 * noise[0]
        gravity = GRAVITY_M_S2 * to_world[:, 2, :] + 0.002 * noise[1]
        gyro = _body_rates(motion.angles, motion.rates) @ self._mount + b.noise_rad_s * noise[2]
        field = np.einsum("nij,i->nj", to_world, FIELD_UT) + 0.35 * noise[3]
        vectors = {
            "acceleration": linear + gravity,
            "linear_acceleration": linear,
            "gravity": gravity,
            "gyroscope": gyro,
            "magnetometer": field,
        }
        series = [Series.of(name, times, dict(zip("xyz", v.T, strict=True))) for name, v in vectors.items()]
        return [*series, Series.of("orientation", times, orientation(to_world))]

    def _location(self, k: int, random: np.random.Generator) -> Series:
        b, (latitude0, longitude0, altitude0) = self._behaviour, self._origin
        east, north, speed, heading = self._track.at(k)
        values: dict[str, float] = {
            "latitude": latitude0 + math.degrees(north / EARTH_M),
            "longitude": longitude0 + math.degrees(east / (EARTH_M * math.cos(math.radians(latitude0)))),
            "altitude": altitude0 + 3 * math.sin(k / 97),
            "speed": speed,
            "horizontal_accuracy": random.uniform(3, 8),
            "vertical_accuracy": random.uniform(2, 6),
            "speed_accuracy": random.uniform(0.2, 0.6),
        }
        if b.speed_mean_m_s:  # a device that lies still has no bearing
            bearing = math.degrees(math.pi / 2 - heading) % 360
            values |= {"bearing": bearing, "bearing_accuracy": random.uniform(2, 20)}
        return Series.of("location", [self._start_ns + k * SECOND_NS], {name: [v] for name, v in values.items()})

    def _battery(self, k: int) -> Series:
        level = max(0.0, self._level - k / 40_000)  # empty in some 8 h
        values: dict[str, list[float | str | bool]] = {
            "level": [level],
            "state": ["unplugged"],
            "low_power": [level < 0.2],
        }
        return Series.of("battery", [self._start_ns + k * SECOND_NS], values)


class _Track:
    """Metres east and north of the start, and speed and heading, at whole seconds; integrated block by block."""

    def __init__(self, speed: _OfTime, heading: _OfTime) -> None:
        self._speed, self._heading = speed, heading
        self._points = np.zeros((1, 2))

    def at(self, k: int) -> tuple[float, float, float, float]:
        """(east m, north m, speed m/s, heading rad) at second `k`."""
        while len(self._points) <= k:
            self._extend()
        now = np.array([float(k)])
        east, north = self._points[k].tolist()
        return east, north, float(self._speed(now)[0]), float(self._heading(now)[0])

    def _extend(self) -> None:
        begin = len(self._points) - 1
        middle = begin + (np.arange(TRACK_BLOCK_S * TRACK_STEPS) + 0.5) / TRACK_STEPS
        speed, heading = self._speed(middle), self._heading(middle)
        steps = np.column_stack([speed * np.cos(heading), speed * np.sin(heading)]) / TRACK_STEPS
        a_second = steps.reshape(TRACK_BLOCK_S, TRACK_STEPS, 2).sum(axis=1)
        self._points = np.vstack([self._points, self._points[-1] + np.cumsum(a_second, axis=0)])


def orientation(to_world: Reals) -> dict[str, Reals]:
    """Angles (as Android's getOrientation: yaw clockwise from north, pitch, roll) and the unit quaternion, each (n,)
    in one record, of rotations (n, 3, 3) phone -> east north up."""
    r = to_world
    w = np.sqrt(np.maximum(0, 1 + r[:, 0, 0] + r[:, 1, 1] + r[:, 2, 2])) / 2
    x = np.sqrt(np.maximum(0, 1 + r[:, 0, 0] - r[:, 1, 1] - r[:, 2, 2])) / 2
    y = np.sqrt(np.maximum(0, 1 - r[:, 0, 0] + r[:, 1, 1] - r[:, 2, 2])) / 2
    z = np.sqrt(np.maximum(0, 1 - r[:, 0, 0] - r[:, 1, 1] + r[:, 2, 2])) / 2
    return {
        "pitch": np.arcsin(np.clip(-r[:, 2, 1], -1, 1)),
        "roll": np.arctan2(-r[:, 2, 0], r[:, 2, 2]),
        "yaw": np.arctan2(r[:, 0, 1], r[:, 1, 1]),
        "qx": np.copysign(x, r[:, 2, 1] - r[:, 1, 2]),
        "qy": np.copysign(y, r[:, 0, 2] - r[:, 2, 0]),
        "qz": np.copysign(z, r[:, 1, 0] - r[:, 0, 1]),
        "qw": w,
    }


def _rotation(random: np.random.Generator) -> Reals:
    """A uniformly drawn rotation matrix (3, 3), from a normal quaternion."""
    w, x, y, z = (q := random.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _euler(angles: Reals) -> Reals:
    """Rotations body -> world (n, 3, 3): roll about x, then pitch about y, then yaw about z."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(angles).T, np.sin(angles).T
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.array(rows).transpose(2, 0, 1)


def _body_rates(angles: Reals, rates: Reals) -> Reals:
    """Angular velocity in the body's axes (n, 3) from Euler angles and their rates (yaw, pitch, roll)."""
    (_, cp, cr), (_, sp, sr) = np.cos(angles).T, np.sin(angles).T
    yaw, pitch, roll = rates.T
    return np.column_stack([roll - yaw * sp, pitch * cr + yaw * cp * sr, -pitch * sr + yaw * cp * cr])


def _turned(level: Reals, heading: Reals) -> Reals:
    """Forward, left, up -> east, north, up, (n, 3)."""
    c, s = np.cos(heading), np.sin(heading)
    forward, left, up = level.T
    return np.column_stack([c * forward - s * left, s * forward + c * left, up])


def _into(to_world: Reals, vectors: Reals) -> Reals:
    """World vectors (n, 3) in the phone's axes."""
    turned: Reals = np.einsum("nij,ni->nj", to_world, vectors)
    return turned
