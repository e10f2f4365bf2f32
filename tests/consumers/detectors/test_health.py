"""The health rules: each fault is found, and what merely looks like one is not."""

from collections.abc import Callable

import numpy as np
import pytest

from consumers.detectors import Verdict, health

MOTION = ("ax", "ay", "az", "gx", "gy", "gz", "latitude", "longitude", "speed", "horizontalAccuracy")
HZ = 50
S = 10**9


class Ride:
    """A car at 12 m/s heading north: vibration, gravity, a fix a second; faults are written into its arrays."""

    def __init__(self, seconds: int = 240, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        n = seconds * HZ
        self.t_ns = (np.arange(n) * S // HZ + rng.normal(0, 4e5, n)).astype(np.int64)
        self.values = np.full((n, 10), np.nan)
        self.values[:, :3] = np.round((rng.normal((0, 0, 9.8), 0.5, (n, 3))) / 0.0024) * 0.0024
        self.values[:, 3:6] = np.round(rng.normal(0, 0.03, (n, 3)) / 0.001) * 0.001
        fixes = np.arange(0, n, HZ)
        metres = 12.0 * fixes / HZ
        self.values[fixes, 6] = 48 + (metres + rng.normal(0, 0.5, len(fixes))) / 111_195
        self.values[fixes, 7] = 11 + rng.normal(0, 0.5, len(fixes)) / 74_000
        self.values[fixes, 8] = 12 + rng.normal(0, 0.1, len(fixes))
        self.values[fixes, 9] = 4.0

    def at(self, seconds: float) -> int:
        return round(seconds * HZ)

    def judged(self) -> Verdict:
        return health.Detector(MOTION).update(self.t_ns, self.values)


def kinds(verdict: Verdict, first: int = 0, last: int | None = None) -> set[str]:
    rows = verdict.hits["row"]
    inside = (rows >= first) & (rows <= (len(verdict.score) if last is None else last))
    return {health.KINDS[k] for k in verdict.hits["kind"][inside]}


def stuck(ride: Ride) -> None:
    ride.values[ride.at(120) : ride.at(125), 1] = ride.values[ride.at(120), 1]


def dropout(ride: Ride) -> None:
    keep = np.ones(len(ride.t_ns), bool)
    keep[ride.at(120) : ride.at(121)] = False
    ride.t_ns, ride.values = ride.t_ns[keep], ride.values[keep]


def step_back(ride: Ride) -> None:
    ride.t_ns[ride.at(120) :] -= 3 * S


def step_forward(ride: Ride) -> None:
    ride.t_ns[ride.at(120) :] += 600 * S


def spike(ride: Ride) -> None:
    ride.values[ride.at(120), 2] += 25


def noise(ride: Ride) -> None:
    ride.values[ride.at(120) : ride.at(124), 3:6] += np.random.default_rng(2).normal(0, 0.4, (4 * HZ, 3))


def gps_jump(ride: Ride) -> None:
    ride.values[ride.at(120), 7] += 60 / 74_000


def gps_freeze(ride: Ride) -> None:
    fixes = np.arange(ride.at(120), ride.at(130), HZ)
    ride.values[fixes[:, None], [6, 7, 8]] = ride.values[fixes[0], [6, 7, 8]]


def gps_spoof(ride: Ride) -> None:
    fixes = np.arange(ride.at(120), ride.at(150), HZ)
    ride.values[fixes, 6] += 3.0 * np.arange(len(fixes)) / 111_195


def impossible_speed(ride: Ride) -> None:
    ride.values[ride.at(120), 8] = 90.0


def gravity(ride: Ride) -> None:
    ride.values[ride.at(120) : ride.at(160), :3] *= 1.4


FAULTS: dict[str, tuple[Callable[[Ride], None], float]] = {
    "stuck": (stuck, 5),
    "dropout": (dropout, 0.1),
    "spike": (spike, 0.15),
    "noise": (noise, 4),
    "gps_jump": (gps_jump, 0.15),
    "gps_freeze": (gps_freeze, 5),
    "gps_spoof": (gps_spoof, 30),
    "impossible_speed": (impossible_speed, 0.1),
    "gravity": (gravity, 40),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found_in_time_and_named(kind: str) -> None:
    inject, within_s = FAULTS[kind]
    ride = Ride()
    inject(ride)
    assert kind in kinds(ride.judged(), ride.at(120), ride.at(120 + within_s))


@pytest.mark.parametrize("inject", [step_back, step_forward])
def test_a_clock_that_steps_is_found_at_the_first_row(inject: Callable[[Ride], None]) -> None:
    ride = Ride()
    inject(ride)
    verdict = ride.judged()
    assert [(h["row"], health.KINDS[h["kind"]]) for h in verdict.hits] == [
        (ride.at(120), "clock_jump"),
        (ride.at(120) + 1, "clock_jump"),
    ]


def test_a_dropout_began_at_the_last_row_before_it() -> None:
    ride = Ride()
    dropout(ride)
    hits = ride.judged().hits
    assert hits["since_ns"].tolist() == [ride.t_ns[ride.at(120) - 1]]
    assert hits["seen"][0] == pytest.approx(1.02, abs=0.01)


def test_a_sound_ride_gives_no_alarm() -> None:
    assert len(Ride(600).judged().hits) == 0


@pytest.mark.parametrize("cut", [1, 7, 2048, 5000])
def test_where_a_poll_cuts_the_rows_changes_nothing(cut: int) -> None:
    ride = Ride(170)
    for inject, _ in FAULTS.values():
        inject(ride)
    whole, parts = ride.judged(), health.Detector(MOTION)
    n = len(ride.t_ns)
    pieces = [parts.update(ride.t_ns[at : at + cut], ride.values[at : at + cut]) for at in range(0, n, cut)]
    assert np.array_equal(np.concatenate([p.score for p in pieces]), whole.score)
    hits = np.concatenate([p.hits for p in pieces])
    for name in ("since_ns", "kind", "feature", "score", "seen", "low", "high"):
        assert np.array_equal(hits[name], whole.hits[name])


def test_every_fault_says_what_it_saw_beside_what_is_usual() -> None:
    ride = Ride()
    noise(ride)
    hits = ride.judged().hits
    names = [feature.name for feature in health.Detector(MOTION).features()]
    assert {names[h] for h in hits["feature"]} == {"noise of turn rate"}
    assert (hits["seen"] > hits["high"]).all()
    assert abs(int(hits["since_ns"][0]) - int(ride.t_ns[ride.at(120)])) < S // 2


def jolt(ride: Ride) -> None:
    """A pothole: a damped swing that takes several samples and turns the body as well."""
    s = np.arange(15) / HZ
    swing = 14 * np.sin(2 * np.pi * 12 * s) * np.exp(-s * 8)
    ride.values[ride.at(120) : ride.at(120) + 15, 2] -= swing
    ride.values[ride.at(120) : ride.at(120) + 15, 3] += 0.05 * swing


def crash(ride: Ride) -> None:
    """2 g for 0.12 s, beyond what the sensor measures on one axis."""
    pulse = ride.values[ride.at(120) : ride.at(120) + 6]
    pulse[:, 0] = -156.9
    pulse[:, 1:3] += 20
    pulse[:, 3:6] += 1.5


def stop(ride: Ride) -> None:
    """The car stands: the phone repeats its fix, speed 0."""
    fixes = np.arange(ride.at(120), len(ride.t_ns), HZ)
    ride.values[fixes[:, None], [6, 7]] = ride.values[fixes[0], [6, 7]]
    ride.values[fixes, 8] = 0.0
    ride.values[fixes[:3], 8] = (8.0, 4.0, 1.0)


def tunnel(ride: Ride) -> None:
    """No fix for ten seconds."""
    ride.values[ride.at(119.5) : ride.at(129.5), 6:] = np.nan


def repeated_fixes(ride: Ride) -> None:
    """An app that writes its last fix into every row."""
    fixes = np.arange(len(ride.t_ns)) // HZ * HZ
    ride.values[:, 6:] = ride.values[fixes, 6:]


def no_gyroscope(ride: Ride) -> None:
    ride.values[:, 3:6] = np.nan


@pytest.mark.parametrize("what", [jolt, crash, stop, tunnel, repeated_fixes, no_gyroscope])
def test_what_merely_looks_like_a_fault_is_none(what: Callable[[Ride], None]) -> None:
    ride = Ride()
    what(ride)
    assert kinds(ride.judged()) == set()


@pytest.mark.parametrize("axis", range(6))
def test_a_slow_drift_of_any_axis_is_found_before_it_ends_and_recovered_from(axis: int) -> None:
    ride = Ride(400)
    first, last = ride.at(200), ride.at(245)
    ride.values[first:last, axis] += np.linspace(0, 3.0 if axis < 3 else 0.4, last - first)
    verdict = ride.judged()
    assert "drift" in kinds(verdict, first, last)
    assert kinds(verdict, 0, first) == kinds(verdict, ride.at(260)) == set()
