"""The machine itself: whatever it tells, in the catalogue's units."""

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import pytest

from edge.sources import system
from edge.sources._ticks import Ticks
from tests.edge.sources.harness import Driven, TestClock, context

One = namedtuple("One", ["current"])


def machine(sensors: Any) -> SimpleNamespace:
    """psutil's part that is used, over a Pi's numbers."""
    made = SimpleNamespace(
        getloadavg=lambda: (2.0, 1.0, 0.5),
        virtual_memory=lambda: SimpleNamespace(percent=40.0),
        disk_usage=lambda path: SimpleNamespace(percent=75.0),
    )
    if sensors is not None:
        made.sensors_temperatures = sensors
    return made


async def read(psutil: object) -> dict[str, float]:
    clock = TestClock()
    driven = Driven(system.open(system.Config(), context(clock, psutil=psutil)), clock)
    await driven.run_for(1)
    await driven.stop()
    [series] = driven.kept.series
    return {name: float(column[0]) for name, column in series.values.items()}  # type: ignore[arg-type]


async def test_this_machine_tells_something() -> None:
    clock = TestClock()
    source = system.open(system.Config(every_s=10), context(clock))
    driven = Driven(source, clock)
    await driven.run_for(35)
    await driven.stop()
    assert driven.kept.count("system") == 4
    steps = driven.kept.times("system")
    assert (steps[1:] - steps[:-1] == 10 * 10**9).all()
    for name in ("load", "memory_used", "disk_used"):
        assert (driven.kept.column("system", name) >= 0).all()
    assert (driven.kept.column("system", "memory_used") <= 1).all()
    assert "memory_used" in await source.check()


async def test_a_pi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    values = await read(machine(lambda: {"cpu_thermal": [One(48.3)], "rp1_adc": [One(60.0)]}))
    assert values == pytest.approx({"cpu_temperature": 48.3, "load": 0.5, "memory_used": 0.4, "disk_used": 0.75})


def _refused() -> dict[str, list[One]]:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    "sensors",
    [None, dict, _refused, lambda: {"nvme": [One(30.0)]}, lambda: {"coretemp": []}, lambda: {"coretemp": [One(6e4)]}],
)
async def test_a_machine_without_a_temperature(sensors: Any) -> None:
    values = await read(machine(sensors))
    assert set(values) == {"load", "memory_used", "disk_used"}


async def test_ticks_keep_their_pace_and_do_not_catch_up() -> None:
    clock = TestClock()
    ticks = Ticks(clock, 10.0)
    woken: list[tuple[float, int]] = []

    class Ticking:
        async def run(self, outlet: object) -> None:
            while True:
                missed = await ticks.wait()
                woken.append((clock.monotonic_s(), missed))

    driven = Driven(Ticking(), clock)  # type: ignore[arg-type]
    await driven.run_for(25)
    await driven.busy_for(38)
    await driven.run_for(20)
    await driven.stop()
    assert woken[:3] == [(0.0, 0), (10.0, 0), (20.0, 0)]
    assert woken[3] == (63.0, 0), "the one of 30 came late"
    assert woken[4] == (63.0, 2), "the one of 60 came late, those of 40 and 50 never"
    assert woken[5:] == [(70.0, 0), (80.0, 0)]
