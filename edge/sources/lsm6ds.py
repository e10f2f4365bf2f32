"""ST LSM6DS3, LSM6DS33, LSM6DSL, LSM6DSO, LSM6DSOX and kin over I2C: accelerometer and gyroscope through the FIFO.

Registers and codes: the chapters "Register mapping" and "Register description" of the data sheets DocID026899
(LSM6DS3), DocID027423 (LSM6DS33) and DS12140 (LSM6DSO); each register is named where it is used.  The chips share them
but for the FIFO, which is in `_lsm6ds_fifo`.
Delivery: what the FIFO held once, what ran over it counted as lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from edge.sources import Context
from edge.sources._i2c import Bus
from edge.sources._imu import RAD_PER_DEGREE, STANDARD_GRAVITY, Drained, Imu, ImuOptions, answered
from edge.sources._lsm6ds_fifo import BYPASS, CONTINUOUS, Fifo, PatternFifo, TaggedFifo
from telemetry.clock import Clock

WHO_AM_I, CTRL1_XL, CTRL2_G, CTRL3_C, OUT_TEMP = 0x0F, 0x10, 0x11, 0x12, 0x20
SW_RESET = 0x01  # CTRL3_C
BLOCK_UPDATE_AND_INCREMENT = 0x44  # CTRL3_C: BDU, IF_INC

RATES_HZ = {12.5: 1, 26.0: 2, 52.0: 3, 104.0: 4, 208.0: 5, 416.0: 6, 833.0: 7}  # CTRL1_XL ODR_XL, CTRL2_G ODR_G
ACCEL_RANGES = {2: 0, 16: 1, 4: 2, 8: 3}  # CTRL1_XL FS_XL: not in order
GYRO_RANGES = {250: 0, 500: 1, 1000: 2, 2000: 3}  # CTRL2_G FS_G
# "Mechanical characteristics": sensitivities LA_So and G_So of one count, at the smallest range
MG_AT_2_G = 0.061
MDPS_AT_250_DPS = 8.75


@dataclass(frozen=True, slots=True)
class Model:
    """What differs within the family; 25 degC reads 0 (OUT_TEMP)."""

    name: str
    fifo: Fifo
    per_degree: int = 256


MODELS: Mapping[int, Model] = {
    0x69: Model("LSM6DS3/LSM6DS33", PatternFifo(8192), per_degree=16),
    0x6A: Model("LSM6DSL/LSM6DSM/LSM6DS3TR-C", PatternFifo(4096)),
    0x6B: Model("LSM6DSR/ISM330DHCX", TaggedFifo()),
    0x6C: Model("LSM6DSO/LSM6DSOX", TaggedFifo()),
}


class Config(ImuOptions):
    """Options of `lsm6ds`."""

    address: Literal[0x6A, 0x6B] = Field(0x6A, description="0x6b with pin SA0 (SDO) high")
    rate_hz: float = Field(104.0, gt=0, le=833, description="12.5, 26, 52, 104, 208, 416 or 833; the next one up")
    range_g: Literal[2, 4, 8, 16] = 4
    range_dps: Literal[250, 500, 1000, 2000] = 500


class Lsm6ds:
    """The chip behind the source."""

    reset_s = 0.05  # "Boot" and SW_RESET end within 50 us; power-up takes up to 35 ms
    settle_s = 0.1  # gyroscope turn-on time, 80 ms at most, and the filters' first samples

    def __init__(self, bus: Bus, config: Config, model: Model) -> None:
        self._bus, self._config, self._model = bus, config, model
        rate_hz = min(r for r in RATES_HZ if r >= config.rate_hz)
        self._rate = RATES_HZ[rate_hz]
        self._accel = self._rate << 4 | ACCEL_RANGES[config.range_g] << 2
        self._gyro = self._rate << 4 | GYRO_RANGES[config.range_dps] << 2
        self.name = model.name
        self.period_s = 1 / rate_hz
        self.fifo_samples = model.fifo.samples
        self.units: Mapping[str, float] = {
            "acceleration": MG_AT_2_G * config.range_g / 2 / 1000 * STANDARD_GRAVITY,
            "gyroscope": MDPS_AT_250_DPS * config.range_dps / 250 / 1000 * RAD_PER_DEGREE,
        }

    def reset(self) -> None:
        """CTRL3_C SW_RESET."""
        self._bus.write(self._config.address, (CTRL3_C, SW_RESET))

    def configure(self) -> None:
        """Both sensors at one rate, so that the FIFO's pattern is one of each; the FIFO stays in bypass."""
        self._bus.write(
            self._config.address,
            (CTRL3_C, BLOCK_UPDATE_AND_INCREMENT),
            (CTRL1_XL, self._accel),
            (CTRL2_G, self._gyro),
            *self._model.fifo.settings(self._rate),
        )

    def is_configured(self) -> bool:
        """At power-on CTRL1_XL and CTRL2_G are 0, both sensors off."""
        accel, gyro = self._bus.read(self._config.address, (CTRL1_XL, 1), (CTRL2_G, 1))
        return accel[0] == self._accel and gyro[0] == self._gyro

    def empty(self) -> None:
        """Bypass mode empties the FIFO and clears its overrun."""
        fifo = self._model.fifo
        self._bus.write(self._config.address, fifo.mode(BYPASS, self._rate), fifo.mode(CONTINUOUS, self._rate))

    def drain(self, clock: Clock) -> Drained:
        """Take what the FIFO holds."""
        return self._model.fifo.drain(self._bus, self._config.address, clock)

    def celsius(self) -> float:
        """OUT_TEMP, two's complement, 0 at 25 degC."""
        [data] = self._bus.read(self._config.address, (OUT_TEMP, 2))
        return int.from_bytes(data, "little", signed=True) / self._model.per_degree + 25.0


def open(config: Config, context: Context) -> Imu:  # noqa: A001 - the port's word
    """The source; touches no device yet."""

    def identify(bus: Bus) -> Lsm6ds:
        identity = answered(bus, config.address, WHO_AM_I, MODELS, "an LSM6DS")
        return Lsm6ds(bus, config, MODELS[identity])

    return Imu(config, context, identify)
