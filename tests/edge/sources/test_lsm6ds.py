"""The LSM6DS family, both kinds of FIFO, against registers that behave as the data sheets say."""

import numpy as np
import pytest

from edge.sources import SourceFailed, lsm6ds
from tests.edge.sources.harness import Driven, TestClock, context
from tests.faults.fake_bus import FakeBus
from tests.faults.fake_imus import FakeLsm6ds, FakeLsm6ds3, FakeLsm6dso

COUNT = 0.061 * 2 / 1000 * 9.80665  # m/s2 at 4 g
both = pytest.mark.parametrize("make", [FakeLsm6ds3, FakeLsm6dso])


class Rig:
    """A chip, its bus, a clock and the source over them."""

    def __init__(self, make: type[FakeLsm6ds], options: dict[str, object] | None = None, **chip: object) -> None:
        self.clock = TestClock()
        self.chip = make(self.clock, **chip)  # type: ignore[arg-type]
        self.bus = FakeBus({0x6A: self.chip})
        config = lsm6ds.Config.model_validate(options or {})
        self.driven = Driven(lsm6ds.open(config, context(self.clock, smbus=self.bus)), self.clock)
        self.kept = self.driven.kept

    async def run_for(self, seconds: float) -> None:
        await self.driven.run_for(seconds)

    async def stop(self) -> None:
        await self.driven.stop()
        assert self.bus.is_let_go, "let go"


def numbers(rig: Rig) -> np.ndarray:
    return np.rint(rig.kept.column("acceleration", "x") / COUNT).astype(int)


@both
@pytest.mark.parametrize("error", [-0.06, 0.04])
async def test_every_sample_once_in_order_at_the_chips_own_rate(make: type[FakeLsm6ds], error: float) -> None:
    rig = Rig(make, {"rate_hz": 100}, rate_error=error)
    await rig.run_for(40)
    await rig.stop()
    x = numbers(rig)
    rate_hz = 104 * (1 + error)
    assert len(x) > rate_hz * 39
    assert (x == np.arange(len(x)) % 5000).all()
    gyro = np.rint(rig.kept.column("gyroscope", "x") / np.radians(0.0175)).astype(int)
    assert (gyro == -(np.arange(len(gyro)) % 5000)).all()
    for sensor in ("acceleration", "gyroscope"):
        steps_s = np.diff(rig.kept.times(sensor))[len(x) // 2 :] / 1e9
        assert abs(steps_s.mean() * rate_hz - 1) < 1e-3
        assert steps_s.max() * rate_hz < 1.06
        assert steps_s.min() * rate_hz > 0.94
    assert not rig.kept.losses
    assert rig.bus.transfers / 40 < 12


@both
@pytest.mark.parametrize(("range_g", "code"), [(2, 0), (16, 1), (4, 2), (8, 3)])
async def test_ranges_and_units(make: type[FakeLsm6ds], range_g: int, code: int) -> None:
    one_g = round(1000 / (0.061 * range_g / 2))
    options = {"range_g": range_g, "range_dps": 2000, "temperature_every_s": 1}
    rig = Rig(make, options, signal=lambda k: (0, 0, one_g, 1000, 0, 0))
    await rig.run_for(2)
    await rig.stop()
    assert rig.chip.registers[0x10] >> 2 & 3 == code
    assert np.allclose(rig.kept.column("acceleration", "z"), 9.80665, rtol=1e-3)
    assert np.allclose(rig.kept.column("gyroscope", "x"), np.radians(70.0))
    assert np.allclose(rig.kept.column("temperature", "celsius"), 25.0)


@both
async def test_what_ran_over_the_fifo_is_counted(make: type[FakeLsm6ds]) -> None:
    rig = Rig(make)
    await rig.run_for(10)
    await rig.driven.busy_for(60)
    await rig.run_for(10)
    await rig.stop()
    lost = rig.kept.losses["fifo_overflow"]
    kept = rig.kept.count("acceleration") + rig.kept.count("gyroscope")
    assert rig.chip.overwritten
    assert abs(kept + lost - 2 * rig.chip.sampled) <= 60
    assert (np.diff(numbers(rig)) == 1).sum() == len(numbers(rig)) - 2, "one gap, aligned on both sides"
    assert (np.diff(rig.kept.times("gyroscope")) > 0).all()


async def test_a_pattern_that_is_out_of_step_is_begun_anew() -> None:
    rig = Rig(FakeLsm6ds3)
    await rig.run_for(5)
    await rig.driven.busy_for(0.1)
    rig.chip.status()
    rig.chip.read(0)
    del rig.chip.fifo[:2]
    await rig.run_for(5)
    await rig.stop()
    assert rig.kept.losses["fifo_misaligned"] > 0
    steps = np.diff(numbers(rig))
    assert (steps == 1).sum() == len(steps) - 1


@both
async def test_after_a_loss_of_power_it_is_set_up_again(make: type[FakeLsm6ds]) -> None:
    rig = Rig(make)
    await rig.run_for(5)
    rig.chip.power_on()
    before = rig.kept.count("gyroscope")
    await rig.run_for(5)
    await rig.stop()
    assert rig.kept.count("gyroscope") - before > 440
    assert 0 < rig.kept.losses["power_lost"] < 200


@both
async def test_check_says_what_it_found(make: type[FakeLsm6ds]) -> None:
    clock = TestClock()
    bus = FakeBus({0x6A: make(clock, signal=lambda k: (0, 0, 8197, 0, 0, 0))})
    source = lsm6ds.open(lsm6ds.Config(), context(clock, smbus=bus))

    class Checked:
        async def run(self, outlet: object) -> None:
            self.line = await source.check()

    checked = Checked()
    await Driven(checked, clock).run_for(2)  # type: ignore[arg-type]
    assert "LSM6DS" in checked.line
    assert "104 Hz, acceleration 9.81 m/s2" in checked.line
    assert bus.is_let_go


async def test_an_mpu_at_that_address_is_named() -> None:
    clock = TestClock()
    chip = FakeLsm6dso(clock)
    chip.registers[0x0F] = 0x68
    with pytest.raises(SourceFailed, match="says it is 0x68"):
        await lsm6ds.open(lsm6ds.Config(), context(clock, smbus=FakeBus({0x6A: chip}))).check()
