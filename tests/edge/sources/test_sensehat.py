"""The Sense HAT through a module with its library's interface."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from edge.sources import SourceFailed, sensehat
from telemetry.errors import Misconfigured
from telemetry.outcome import Reason
from tests.edge.sources.harness import Driven, TestClock, context
from tests.faults.fake_sense_hat import SenseHat


@pytest.fixture
def hat() -> Iterator[type[SenseHat]]:
    yield type("Hat", (SenseHat,), {"failing": set()})


def driven(hat: type[SenseHat], **options: object) -> Driven:
    clock = TestClock()
    library = SimpleNamespace(SenseHat=hat)
    return Driven(sensehat.open(sensehat.Config.model_validate(options), context(clock, sense_hat=library)), clock)


async def test_units_rates_and_mounting(hat: type[SenseHat]) -> None:
    d = driven(hat, axes=["-y", "x", "z"], every_s=10)
    await d.run_for(20.05)
    await d.stop()
    kept = d.kept
    assert kept.column("acceleration", "x")[0] == pytest.approx(-0.5 * 9.80665)
    assert kept.column("acceleration", "z")[0] == pytest.approx(9.80665)
    assert kept.column("gyroscope", "y")[0] == pytest.approx(0.1)
    assert kept.column("magnetometer", "x")[0] == pytest.approx(5.0)
    assert kept.column("orientation", "yaw")[0] == pytest.approx(3.14159, abs=1e-4)
    assert kept.column("temperature", "celsius").tolist() == [31.5] * 3
    assert kept.column("humidity", "relative").tolist() == [45.0] * 3
    assert kept.column("barometer", "pressure").tolist() == [1013.25] * 2, "not the 0 that it begins with"
    stopped = kept.losses.pop("stopped", 0)
    assert sum(map(len, (s for s in kept.series if s.sensor not in ("temperature", "humidity", "barometer")))) + stopped
    assert kept.count("acceleration") + stopped // 4 == 201
    assert kept.puts <= 50, "some readings a call"
    assert not kept.losses


async def test_what_is_out_of_range_is_set_aside(hat: type[SenseHat]) -> None:
    hat.humidity = 104.0
    d = driven(hat, motion=False, every_s=5)
    await d.run_for(6)
    await d.stop()
    assert [b.reason for b in d.kept.bad] == [Reason.OUT_OF_RANGE] * 2
    assert d.kept.count("temperature") == 2
    assert d.kept.count("acceleration") == 0


async def test_ticks_that_a_busy_machine_missed_are_counted(hat: type[SenseHat]) -> None:
    d = driven(hat, air=False)
    await d.run_for(2)
    await d.busy_for(3)
    await d.run_for(2)
    await d.stop()
    assert 4 * 28 <= d.kept.losses["too_slow"] <= 4 * 30


async def test_no_hat_no_library_and_a_chip_that_fails(hat: type[SenseHat]) -> None:
    with pytest.raises(Misconfigured, match="apt-get install sense-hat"):
        sensehat.open(sensehat.Config(), context())
    hat.failing.add("compass")
    d = driven(hat)
    with pytest.raises(OSError, match="Input/output"):
        await d.run_for(1)
    hat.is_there = False
    with pytest.raises(SourceFailed, match="no Sense HAT"):
        await driven(hat).run_for(1)


async def test_check(hat: type[SenseHat]) -> None:
    source = sensehat.open(sensehat.Config(), context(sense_hat=SimpleNamespace(SenseHat=hat)))
    assert await source.check() == "Sense HAT, temperature 31.5, humidity 45.0"
