"""The world is seeded, physically consistent, and cheaper than anything it feeds."""

import time

import numpy as np
import numpy.typing as npt
import pytest

from simulator.behaviours import BEHAVIOURS
from simulator.world import EARTH_M, GRAVITY_M_S2, World
from telemetry import wire
from telemetry.batch import Batch, Series
from telemetry.reading import CATALOGUE

T0 = 1_700_000_000_000_000_000
NAMES = sorted(BEHAVIOURS)


def vectors(series: Series) -> npt.NDArray[np.float64]:
    return np.column_stack([np.asarray(series.values[axis], np.float64) for axis in "xyz"])


def by_sensor(chunk: list[Series]) -> dict[str, Series]:
    return {s.sensor: s for s in chunk}


def canonical(chunk: list[Series]) -> bytes:
    return wire.encode(Batch("d", "s", 0, tuple(chunk)))


def rotations(orientation: Series) -> npt.NDArray[np.float64]:
    """From the quaternions, phone -> world (n, 3, 3)."""
    w, x, y, z = (np.asarray(orientation.values[q], np.float64) for q in ("qw", "qx", "qy", "qz"))
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes_in_any_order(name: str) -> None:
    forward, backward = World(5, name, T0), World(5, name, T0)
    order = [0, 1, 59, 60, 200]
    ahead = {k: canonical(forward.chunk(k)) for k in order}
    behind = {k: canonical(backward.chunk(k)) for k in reversed(order)}
    assert ahead == behind
    assert canonical(World(6, name, T0).chunk(1)) != ahead[1]
    assert len(set(ahead.values())) == len(order)


@pytest.mark.parametrize("name", NAMES)
def test_rates_sensors_and_ranges(name: str) -> None:
    world = World(5, name, T0)
    times: dict[str, list[int]] = {}
    for k in range(0, 121):
        for series in world.chunk(k):
            times.setdefault(series.sensor, []).extend(series.t.tolist())
            for field in CATALOGUE[series.sensor].fields:
                column = series.values.get(field.name)
                if isinstance(column, np.ndarray):
                    assert np.isfinite(column).all(), (series.sensor, field.name)
                    assert ((column >= field.low) & (column <= field.high)).all(), (series.sensor, field.name)
    assert {s: len(t) for s, t in times.items()} == {
        **dict.fromkeys(
            ["acceleration", "linear_acceleration", "gravity", "gyroscope", "magnetometer", "orientation"], 12_100
        ),
        "location": 121,
        "battery": 3,
    }
    for sensor, t in times.items():
        assert (np.diff(t) > 0).all(), sensor
    assert times["battery"] == [T0, T0 + 60 * 10**9, T0 + 120 * 10**9]


@pytest.mark.parametrize("name", NAMES)
def test_the_motion_sensors_agree_with_each_other(name: str) -> None:
    chunk = by_sensor(World(11, name, T0).chunk(7))
    gravity, linear = vectors(chunk["gravity"]), vectors(chunk["linear_acceleration"])
    np.testing.assert_allclose(vectors(chunk["acceleration"]), linear + gravity, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(gravity, axis=1), GRAVITY_M_S2, atol=0.03)

    to_world = rotations(chunk["orientation"])
    up = np.einsum("nij,nj->ni", to_world, gravity)
    np.testing.assert_allclose(up, np.tile([0, 0, GRAVITY_M_S2], (100, 1)), atol=0.03)
    north_up = np.einsum("nij,nj->ni", to_world, vectors(chunk["magnetometer"])).mean(axis=0)
    np.testing.assert_allclose(north_up, [0, 20, -44], atol=0.3)


@pytest.mark.parametrize("name", NAMES)
def test_angles_and_quaternion_say_the_same(name: str) -> None:
    orientation = by_sensor(World(12, name, T0).chunk(3))["orientation"]
    r = rotations(orientation)
    angles = {a: np.asarray(orientation.values[a], np.float64) for a in ("pitch", "roll", "yaw")}
    np.testing.assert_allclose(np.sin(angles["pitch"]), -r[:, 2, 1], atol=1e-5)
    np.testing.assert_allclose(np.tan(angles["yaw"]) * r[:, 1, 1], r[:, 0, 1], atol=1e-4)
    np.testing.assert_allclose(np.tan(angles["roll"]) * r[:, 2, 2], -r[:, 2, 0], atol=1e-4)


@pytest.mark.parametrize("name", ["walk", "drive"])
def test_the_gyroscope_is_the_change_of_the_orientation(name: str) -> None:
    world = World(13, name, T0)
    chunks = [by_sensor(world.chunk(k)) for k in range(10)]
    r = np.concatenate([rotations(c["orientation"]) for c in chunks])
    t = np.concatenate([c["orientation"].t for c in chunks]) / 1e9
    gyro = np.concatenate([vectors(c["gyroscope"]) for c in chunks])
    step = np.einsum("nji,njk->nik", r[:-1], r[1:])  # from one sample to the next, in the phone's axes
    turned = np.column_stack(
        [step[:, 2, 1] - step[:, 1, 2], step[:, 0, 2] - step[:, 2, 0], step[:, 1, 0] - step[:, 0, 1]]
    )
    derived = turned / 2 / np.diff(t)[:, None]
    error = derived - (gyro[1:] + gyro[:-1]) / 2
    assert np.std(error) < 0.06
    assert np.std(gyro) > 0.03


@pytest.mark.parametrize("name", NAMES)
def test_the_track_moves_as_its_speed_and_bearing_say(name: str) -> None:
    world = World(21, name, T0)
    fixes = [by_sensor(world.chunk(k))["location"] for k in range(150)]
    latitude, longitude = (
        np.radians([float(f.values[a][0]) for f in fixes])  # type: ignore[arg-type]
        for a in ("latitude", "longitude")
    )
    speed = np.array([float(f.values["speed"][0]) for f in fixes])  # type: ignore[arg-type]
    north = np.diff(latitude) * EARTH_M
    east = np.diff(longitude) * EARTH_M * np.cos(latitude[:-1])
    mean_speed = (speed[1:] + speed[:-1]) / 2
    np.testing.assert_allclose(np.hypot(north, east), mean_speed, rtol=0.02, atol=0.02)
    if name == "rest":
        assert all("bearing" not in f.values for f in fixes)
        return
    bearing = np.radians([float(f.values["bearing"][0]) for f in fixes])  # type: ignore[arg-type]
    moved = mean_speed > 0.5
    off = np.angle(np.exp(1j * (np.arctan2(east, north) - bearing[:-1])))[moved]
    assert np.abs(off).max() < 0.2
    assert np.ptp(bearing) > 0.3, "it turns"


def test_magnitudes_are_those_of_real_recordings() -> None:
    stds = {}
    for name in NAMES:
        spread = []
        for seed in range(4):
            world = World(seed, name, T0)
            spread.append(
                np.concatenate([vectors(by_sensor(world.chunk(k))["linear_acceleration"]) for k in range(30)])
            )
        stds[name] = np.concatenate(spread).std()
    assert stds["rest"] < 0.05
    assert 0.4 < stds["drive"] < 1.0
    assert 0.9 < stds["walk"] < 2.5


def test_one_core_makes_100_000_readings_a_second_with_room_to_spare() -> None:
    world = World(1, "drive", T0)
    world.chunk(0)
    readings, begin = 0, time.process_time()
    for k in range(100):
        chunk = world.chunk(k)
        canonical(chunk)
        readings += sum(map(len, chunk))
    assert readings / (time.process_time() - begin) > 100_000
