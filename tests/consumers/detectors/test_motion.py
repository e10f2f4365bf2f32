"""Motion: made-up manoeuvres in any orientation, what looks like them, and what must not break."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from consumers.detectors import Floats, Times, Verdict
from consumers.detectors.motion import Detector
from consumers.profiles import MOTION_FIELDS

G = 9.80665


@dataclass
class Ride:
    """A minute of road at 13 m/s (or of standing), forward, left, up; `turned` lays the phone some other way."""

    rate_hz: float = 50.0
    seconds: float = 60.0
    seed: int = 1
    shaking: float = 0.4
    speed: float = 13.0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        n = int(self.seconds * self.rate_hz)
        self.t_s = np.arange(n) / self.rate_hz
        self.a = rng.normal(0, self.shaking, (n, 3)) + np.array([0.0, 0.0, G])
        self.w = rng.normal(0, 0.04, (n, 3))

    def span(self, start_s: float, seconds: float) -> slice:
        return slice(round(start_s * self.rate_hz), round((start_s + seconds) * self.rate_hz))

    def push(self, start_s: float, seconds: float, vector: tuple[float, float, float], edge_s: float = 0.3) -> slice:
        at = self.span(start_s, seconds)
        x = np.arange(at.stop - at.start) / self.rate_hz
        ramp = np.clip(np.minimum(x, seconds - x) / edge_s, 0, 1)
        self.a[at] += np.sin(ramp * np.pi / 2)[:, None] ** 2 * np.array(vector)
        return at

    def rows(self, turned: Floats | None = None) -> tuple[Times, Floats]:
        turned = np.eye(3) if turned is None else turned
        values = np.full((len(self.t_s), len(MOTION_FIELDS)), np.nan)
        values[:, :3], values[:, 3:6] = self.a @ turned.T, self.w @ turned.T
        values[:: int(self.rate_hz), MOTION_FIELDS.index("speed")] = self.speed
        return np.rint(self.t_s * 1e9).astype(np.int64) + 1_700_000_000_000_000_000, values


def orientation(seed: int) -> Floats:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return np.asarray(q * np.sign(np.linalg.det(q)))


def judged(t_ns: Times, values: Floats) -> tuple[Verdict, list[str]]:
    detector = Detector(MOTION_FIELDS)
    verdict = detector.update(t_ns, values)
    return verdict, sorted({Detector.KINDS[k] for k in verdict.hits["kind"]})


def brake() -> Ride:
    ride = Ride()
    ride.push(30, 2.0, (-6.5, 0.0, 0.0))
    return ride


def corner() -> Ride:
    ride = Ride()
    at = ride.push(30, 2.0, (0.0, 6.5, 0.0))
    ride.w[at, 2] += 0.5
    return ride


def crash() -> Ride:
    ride = Ride()
    ride.push(30, 0.12, (-18.0, 4.0, 5.0), edge_s=0.05)
    ride.w[ride.span(30, 0.12)] += (1.0, -1.2, 0.5)
    return ride


def pothole() -> Ride:
    ride = Ride()
    at = ride.span(30, 0.3)
    x = np.arange(at.stop - at.start) / ride.rate_hz
    burst = 9.0 * np.sin(2 * math.pi * 12 * x) * np.exp(-x / 0.12)
    ride.a[at, 2] -= burst
    ride.w[at, 1] += 0.05 * burst
    return ride


def fall() -> Ride:
    ride = Ride(shaking=0.3, speed=1.3)
    ride.a[ride.span(30, 0.35)] *= 0.3
    ride.w[ride.span(30, 0.45)] += (5.0, 2.0, 0.0)
    ride.a[ride.span(30.35, 0.1)] += (8.0, 6.0, 14.0)
    lying = ride.span(30.45, 10)
    ride.a[lying] = (G * math.sin(1.2), 0.0, G * math.cos(1.2))
    ride.w[lying] = 0.0
    return ride


MADE = {"harsh_brake": brake, "harsh_corner": corner, "crash": crash, "pothole": pothole, "fall": fall}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("seed", range(3))
def test_each_kind_is_found_in_time_and_named_however_the_phone_lies(kind: str, seed: int) -> None:
    t_ns, values = MADE[kind]().rows(orientation(seed))
    verdict, kinds = judged(t_ns, values)
    assert kinds == [kind]
    first = verdict.hits[0]
    at_s = (t_ns[first["row"]] - t_ns[0]) / 1e9 - 30
    assert 0 <= at_s <= {"crash": 0.15, "pothole": 0.15, "fall": 1.4}.get(kind, 1.0)
    assert -0.1 <= (first["since_ns"] - t_ns[0]) / 1e9 - 30 <= at_s
    assert not first["low"] <= first["seen"] <= first["high"]
    last_s = (t_ns[verdict.hits["row"].max()] - t_ns[0]) / 1e9 - 30
    assert last_s < 4


def test_the_free_fall_is_where_a_fall_began() -> None:
    t_ns, values = fall().rows()
    hit = judged(t_ns, values)[0].hits[0]
    assert (hit["since_ns"] - t_ns[0]) / 1e9 == pytest.approx(30.05, abs=0.06)
    assert hit["seen"] < 0.6 * G


@pytest.mark.parametrize("what", ["firm stop", "speed bump", "spike", "turned by hand", "rough road", "slow"])
def test_what_looks_like_it_is_left_alone(what: str) -> None:
    ride = Ride()
    if what == "firm stop":
        ride.push(30, 2.5, (-3.2, 0.0, 0.0), edge_s=0.6)
    elif what == "speed bump":
        x = np.arange(40) / 50
        ride.a[ride.span(30, 0.8), 2] += 3.0 * np.sin(2 * math.pi * 3 * x) * np.exp(-3 * x)
    elif what == "spike":
        ride.a[1500, 0] += 60.0
        ride.a[1700, 2] -= 60.0
    elif what == "turned by hand":
        angle = np.clip((ride.t_s - 30) / 1.0, 0, 1) * 1.2
        ride.a[:, 0] += G * np.sin(angle)
        ride.a[:, 2] += G * (np.cos(angle) - 1)
        ride.w[ride.span(30, 1.0), 1] -= 1.2
    elif what == "rough road":
        ride.a[ride.span(30, 20)] += (
            np.random.default_rng(2).normal(0, 0.5, (1000, 3)) * np.linspace(0, 1, 1000)[:, None]
        )
    else:
        ride.push(30, 2.0, (-6.5, 0.0, 0.0))
        ride.speed = 1.0
    assert judged(*ride.rows(orientation(5)))[1] == []


def test_without_gyroscope_and_then_without_gps_the_accelerometer_tells() -> None:
    for kind in ("crash", "pothole", "harsh_brake", "fall"):
        t_ns, values = MADE[kind]().rows(orientation(2))
        values[:, 3:6] = np.nan
        assert judged(t_ns, values)[1] == [kind]
        values[:, 6:] = np.nan
        assert kind in judged(t_ns, values)[1]


def test_rows_of_their_own_for_each_sensor_tell_the_same() -> None:
    for kind, made in MADE.items():
        t_ns, values = made().rows()
        both = np.repeat(values, 2, axis=0)
        both[0::2, 3:6] = np.nan
        both[1::2, :3] = np.nan
        assert judged(np.repeat(t_ns, 2) + np.tile([0, 3_000_000], len(t_ns)), both)[1] == [kind]


@pytest.mark.parametrize("rate_hz", [25, 100, 200])
def test_other_rates_tell_the_same(rate_hz: int) -> None:
    for vector, yaw, kind in (((-6.5, 0.0, 0.0), 0.0, "harsh_brake"), ((0.0, 6.5, 0.0), 0.5, "harsh_corner")):
        ride = Ride(rate_hz=rate_hz)
        ride.w[ride.push(30, 2.0, vector), 2] += yaw
        assert judged(*ride.rows())[1] == [kind]


def test_a_gap_is_no_manoeuvre() -> None:
    t_ns, values = Ride().rows()
    t_ns[1500:] += 4_000_000_000
    values[1500:, 0] -= 7.0
    assert judged(t_ns, values)[1] == []


def test_rows_before_the_first_fix_and_columns_that_are_not_there() -> None:
    t_ns, values = brake().rows()
    detector = Detector(("az", "t", "ay", "ax"))
    shuffled = np.column_stack([values[:, 2], values[:, 0], values[:, 1], values[:, 0]])
    assert {Detector.KINDS[k] for k in detector.update(t_ns, shuffled).hits["kind"]} == {"harsh_brake"}
    assert len(Detector(("celsius",)).update(t_ns, values[:, :1]).hits) == 0


def test_it_is_fast_and_small() -> None:
    detector = Detector(MOTION_FIELDS)
    detector.update(*Ride().rows())
    assert detector.state_size_bytes < 4_096
