"""What befalls a simulated device: it is where it is said to be, and nowhere else."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from simulator.behaviours import BEHAVIOURS
from simulator.disturbances import FALL_S, IMPACT_S, KINDS, SECONDS, Disturbance, Happening, disturbance, drawn
from simulator.fleet import FleetConfig, run
from simulator.mix import check
from simulator.world import World
from telemetry.errors import Misconfigured
from tests.simulator.running_station import station


def column(world: World, sensor: str, axis: str, seconds: range) -> np.ndarray:
    chunks = [s for k in seconds for s in world.chunk(k) if s.sensor == sensor]
    return np.concatenate([np.asarray(s.values[axis], float) for s in chunks])


def times_s(world: World, sensor: str, seconds: range) -> np.ndarray:
    return np.concatenate([s.t for k in seconds for s in world.chunk(k) if s.sensor == sensor]) / 1e9


def size(world: World, seconds: range) -> np.ndarray:
    return np.linalg.norm([column(world, "acceleration", axis, seconds) for axis in "xyz"], axis=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_it_changes_its_own_time_and_nothing_else(kind: str, behaviour: str) -> None:
    d = disturbance(kind, 4.25)
    plain, disturbed = World(5, behaviour, 0), World(5, behaviour, 0, [d])
    changed = []
    for k in range(20):
        for before, after in zip(plain.chunk(k), disturbed.chunk(k), strict=True):
            if before.sensor == "location" and kind == "fall":
                continue  # who lies on the ground does not walk on: the track differs from there on
            assert np.array_equal(before.t, after.t)
            for name in before.values:
                differ = np.asarray(before.values[name], object) != np.asarray(after.values[name], object)
                changed += list(before.t[differ] / 1e9)
    assert changed, "it must be seen"
    assert min(changed) >= d.at_s - 1e-9 and max(changed) <= d.end_s + 1e-9


def test_any_second_can_be_asked_for_first() -> None:
    disturbances = [disturbance("stuck", 3.7), disturbance("spike", 12.0)]
    forwards, backwards = World(7, "walk", 0, disturbances), World(7, "walk", 0, disturbances)
    expected = [forwards.chunk(k) for k in range(14)]
    for k in reversed(range(14)):
        for a, b in zip(expected[k], backwards.chunk(k), strict=True):
            assert all(np.array_equal(a.values[n], b.values[n]) for n in a.values)


def test_a_fall_is_weightless_then_an_impact_then_still_and_turned() -> None:
    world = World(3, "walk", 0, [disturbance("fall", 5.0)])
    seconds = range(3, 15)
    t, g = times_s(world, "acceleration", seconds), size(world, seconds) / 9.81
    falling = (t >= 5.0) & (t < 5.0 + FALL_S)
    striking = (t >= 5.0 + FALL_S) & (t < 5.0 + FALL_S + IMPACT_S)
    lying = (t >= 6.0) & (t < 12.0)
    assert 0.1 < g[falling].min() < 0.5
    assert 1.6 < g[striking].max() < 3.5
    assert g[lying].std() < 0.02
    ups = [np.array([column(world, "gravity", a, r).mean() for a in "xyz"]) for r in (range(3, 5), range(7, 11))]
    cosine = ups[0] @ ups[1] / np.prod([np.linalg.norm(u) for u in ups])
    assert np.arccos(cosine) > 0.59


def test_a_stuck_sensor_says_one_value_across_seconds() -> None:
    world = World(3, "drive", 0, [disturbance("stuck", 4.25)])
    t, x = times_s(world, "acceleration", range(12)), column(world, "acceleration", "x", range(12))
    inside = (t >= 4.25) & (t < 4.25 + SECONDS["stuck"])
    assert len(np.unique(x[inside])) == 1 and x[inside][0] == x[~inside & (t < 4.25)][-1]


def test_what_is_drawn_is_apart_and_as_often_as_asked() -> None:
    found = drawn(1, ["fall", "spike"], 2.0, 3600)
    assert found == drawn(1, ["fall", "spike"], 2.0, 3600) != drawn(2, ["fall", "spike"], 2.0, 3600)
    assert {d.kind for d in found} == {"fall", "spike"}
    assert all(a.end_s + 5 <= b.at_s for a, b in itertools.pairwise(found))
    assert 50 <= len(found) <= 120
    assert drawn(1, [], 2.0, 3600) == drawn(1, ["fall"], 0, 3600) == []


async def test_a_fleet_tells_what_is_planned(tmp_path: Path) -> None:
    told: list[Happening] = []
    async with station(tmp_path) as running:
        planned = {1: (Disturbance("spike", 1.5, 0.01),)}
        ledger = tmp_path / "ledger"
        config = FleetConfig(running.url, ledger, devices=2, seconds=3, speed=0, key=running.key, planned=planned)
        await run(config, on_planned=told.extend)
    assert [(h.device, h.kind, h.end_ns - h.start_ns) for h in told] == [("sim-0001", "spike", 10_000_000)]


def test_an_unknown_kind_is_said() -> None:
    with pytest.raises(Misconfigured, match="earthquake"):
        check(FleetConfig("http://127.0.0.1:1", Path("x"), key="k", disturb=("earthquake",)))
