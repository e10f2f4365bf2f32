"""The MPU-6050 against registers that behave as its data sheet says."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from pydantic import ValidationError

from edge.sources import SourceFailed, mpu6050
from tests.edge.sources.harness import Driven, TestClock, context
from tests.faults.fake_bus import FakeBus
from tests.faults.fake_imus import FakeMpu6050

ONE_G = 32768 // 4  # counts at the default range


def at_rest(k: int) -> tuple[int, int, int, int, int, int]:
    return 0, 0, ONE_G, 131 // 2, 0, 0


class Rig:
    """A chip, its bus, a clock and the source over them."""

    def __init__(self, chip: FakeMpu6050, clock: TestClock, options: dict[str, object]) -> None:
        self.chip, self.clock = chip, clock
        self.bus = FakeBus({0x68: chip})
        config = mpu6050.Config.model_validate(options)
        self.driven = Driven(mpu6050.open(config, context(clock, smbus=self.bus)), clock)
        self.kept = self.driven.kept


@asynccontextmanager
async def rig(options: dict[str, object] | None = None, **chip: object) -> AsyncIterator[Rig]:
    clock = TestClock()
    made = Rig(FakeMpu6050(clock, **chip), clock, options or {})
    try:
        yield made
    finally:
        await made.driven.stop()
    assert made.bus.is_let_go, "let go"


async def test_every_sample_once_in_order_at_the_chips_own_rate() -> None:
    async with rig(rate_error=0.03) as r:
        await r.driven.run_for(60)
    x = np.rint(r.kept.column("acceleration", "x") / (4 / 32768 * 9.80665)).astype(int)
    assert len(x) > 6100, "103 Hz although 100 was asked for"
    assert (x == np.arange(len(x)) % 5000).all(), "every sample, once, in order"
    t = r.kept.times("acceleration")
    steps_s = np.diff(t)[len(t) // 2 :] / 1e9
    assert abs(steps_s.mean() * 103 - 1) < 1e-3
    assert steps_s.min() > 0.009
    assert steps_s.max() < 0.0105
    assert (t == r.kept.times("gyroscope")).all()
    assert not r.kept.losses
    assert r.bus.transfers / 60 < 12, "a few transfers a second, not one a sample"


async def test_units() -> None:
    async with rig({"temperature_every_s": 5}, signal=at_rest) as r:
        await r.driven.run_for(12)
    assert np.allclose(r.kept.column("acceleration", "z"), 9.80665)
    assert np.allclose(r.kept.column("gyroscope", "x"), np.radians(65 / 65.5), rtol=1e-4)
    assert np.allclose(r.kept.column("temperature", "celsius"), 25.0, atol=0.01)
    assert r.kept.count("temperature") == 3


@pytest.mark.parametrize("range_g", [2, 4, 8, 16])
async def test_a_full_range_is_the_range(range_g: int) -> None:
    async with rig({"range_g": range_g}, signal=lambda k: (32767, -32768, 0, 0, 0, 0)) as r:
        await r.driven.run_for(1)
        assert r.chip.registers[0x1C] >> 3 == [2, 4, 8, 16].index(range_g)
    assert r.kept.column("acceleration", "y")[0] == pytest.approx(-range_g * 9.80665)


async def test_mounting_turns_both_sensors() -> None:
    async with rig({"axes": ["y", "-x", "z"]}, signal=lambda k: (100, 200, 300, 10, 20, 30)) as r:
        await r.driven.run_for(1)
    for sensor in ("acceleration", "gyroscope"):
        x, y, z = (float(r.kept.column(sensor, axis)[0]) for axis in "xyz")
        assert y / x == pytest.approx(-0.5)
        assert z / x == pytest.approx(1.5)


@pytest.mark.parametrize("axes", [["x", "x", "z"], ["x", "-y", "z"], ["x", "y"], ["x", "y", "w"]])
def test_axes_that_are_no_rotation_are_refused(axes: list[str]) -> None:
    with pytest.raises(ValidationError):
        mpu6050.Config.model_validate({"axes": axes})


async def test_what_ran_over_the_fifo_is_counted() -> None:
    async with rig() as r:
        await r.driven.run_for(10)
        before = r.kept.count("acceleration")
        await r.driven.busy_for(5)
        await r.driven.run_for(10)
    lost = r.kept.losses["fifo_overflow"]
    assert r.chip.overwritten
    kept = r.kept.count("acceleration") + r.kept.count("gyroscope")
    assert abs(kept + lost - 2 * r.chip.sampled) <= 30 + 4
    x = np.rint(r.kept.column("acceleration", "x") / (4 / 32768 * 9.80665)).astype(int)
    steps = np.diff(x)
    assert (steps == 1).sum() == len(steps) - 1, "one gap, and frames aligned on both sides of it"
    assert x[before] - x[before - 1] > 400
    assert (np.diff(r.kept.times("acceleration")) > 0).all()


async def test_the_mpu_6500s_fifo_is_smaller_and_drained_in_time() -> None:
    async with rig({"rate_hz": 250}, identity=0x70, fifo_bytes=512) as r:
        await r.driven.run_for(5)
        assert r.chip.registers[0x1D], "its accelerometer has a filter of its own"
    assert not r.kept.losses
    assert r.kept.count("acceleration") > 1150


async def test_after_a_loss_of_power_it_is_set_up_again() -> None:
    async with rig({"range_g": 16}) as r:
        await r.driven.run_for(10)
        r.chip.power_on()
        before = r.kept.count("acceleration")
        await r.driven.run_for(10)
        assert r.chip.registers[0x1C] == 3 << 3
    assert r.kept.count("acceleration") - before > 900
    assert 0 < r.kept.losses["power_lost"] < 2 * 100
    assert (np.diff(r.kept.times("gyroscope")) > 0).all()


async def test_a_transfer_that_breaks_off_costs_what_it_took_and_is_counted() -> None:
    async with rig() as r:
        await r.driven.run_for(5)
        r.bus.failures.extend([None, OSError(errno.EIO, "Input/output error")])  # the count passes, the block does not
        await r.driven.run_for(5)
    assert 0 < r.kept.losses["bus_error"] <= 2 * 60
    x = np.rint(r.kept.column("acceleration", "x") / (4 / 32768 * 9.80665)).astype(int)
    assert (np.diff(x) == 1).sum() == len(x) - 2
    kept = r.kept.count("acceleration") + r.kept.count("gyroscope")
    assert abs(kept + r.kept.losses["bus_error"] - 2 * r.chip.sampled) <= 60


async def test_a_dead_bus_ends_the_source() -> None:
    async with rig() as r:
        await r.driven.run_for(5)
        del r.bus.chips[0x68]
        with pytest.raises(SourceFailed, match="failed in a row"):
            await r.driven.run_for(30)
    assert r.kept.losses["bus_error"] > 0


async def test_another_chip_is_named() -> None:
    async with rig(identity=0x33) as r:
        with pytest.raises(SourceFailed, match="says it is 0x33"):
            await r.driven.run_for(1)


async def test_nobody_at_the_address() -> None:
    clock = TestClock()
    source = mpu6050.open(mpu6050.Config(), context(clock, smbus=FakeBus({})))
    with pytest.raises(SourceFailed, match="nothing answers at 0x68"):
        await source.check()


async def test_no_bus() -> None:
    source = mpu6050.open(mpu6050.Config(bus="/dev/i2c-none"), context())
    with pytest.raises(SourceFailed, match="/dev/i2c-none"):
        await source.check()
