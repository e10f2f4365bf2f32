"""InvenSense MPU-6050 and its kin over I2C: accelerometer and gyroscope through the chip's FIFO.

Registers and sequences: "MPU-6000/MPU-6050 Register Map and Descriptions", RM-MPU-6000A-00, revision 4.2, and
"MPU-6500 Register Map and Descriptions", RM-MPU-6500A-00; sections are named where they are used.  Many boards sold
as MPU-6050 carry an MPU-6500 or MPU-9250: they differ in the size of the FIFO and in the accelerometer's filter.
Delivery: what the FIFO held once, what ran over it counted as lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from edge.sources import Context
from edge.sources._i2c import Bus
from edge.sources._imu import RAD_PER_DEGREE, STANDARD_GRAVITY, Drained, Imu, ImuOptions, answered
from telemetry.clock import Clock

# Section 3, register map
SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG, ACCEL_CONFIG_2 = 0x19, 0x1A, 0x1B, 0x1C, 0x1D
FIFO_EN, INT_ENABLE, INT_STATUS, TEMP_OUT = 0x23, 0x38, 0x3A, 0x41
USER_CTRL, PWR_MGMT_1, FIFO_COUNT, FIFO_R_W, WHO_AM_I = 0x6A, 0x6B, 0x72, 0x74, 0x75

FIFO_OVERFLOW = 0x10  # 4.15 and 4.16, FIFO_OFLOW
GYRO_AND_ACCEL = 0x78  # 4.8 FIFO_EN: XG, YG, ZG, ACCEL
FIFO_ON, FIFO_RESET = 0x40, 0x04  # 4.29 USER_CTRL
DEVICE_RESET, CLOCK_GYRO_X = 0x80, 0x01  # 4.30 PWR_MGMT_1
FRAME_BYTES = 12  # the FIFO is filled in the registers' order (4.32): accelerometer x y z, gyroscope x y z

GYRO_RATE_HZ = 1000  # with the low-pass filter on (4.2, 4.3)
FILTERS = {1: 184, 2: 94, 3: 44, 4: 21, 5: 10, 6: 5}  # 4.3 DLPF_CFG: the accelerometer's bandwidth, Hz
ACCEL_RANGES = {2: 0, 4: 1, 8: 2, 16: 3}  # 4.5 AFS_SEL
GYRO_RANGES = {250: 0, 500: 1, 1000: 2, 2000: 3}  # 4.4 FS_SEL
COUNTS = 32768  # of a full range (4.17 and 4.19: 16384 LSB/g at 2 g, 131 LSB/(deg/s) at 250 deg/s)


@dataclass(frozen=True, slots=True)
class Model:
    """What differs within the family; `celsius` = count / `per_degree` + `at_zero` (4.18)."""

    name: str
    fifo_bytes: int
    per_degree: float
    at_zero: float
    has_accel_config_2: bool = False


MODELS: Mapping[int, Model] = {
    0x68: Model("MPU-6050", 1024, 340.0, 36.53),
    0x70: Model("MPU-6500", 512, 333.87, 21.0, True),
    0x71: Model("MPU-9250", 512, 333.87, 21.0, True),
    0x73: Model("MPU-9255", 512, 333.87, 21.0, True),
}


class Config(ImuOptions):
    """Options of `mpu6050`."""

    address: Literal[0x68, 0x69] = Field(0x68, description="0x69 with pin AD0 high")
    rate_hz: float = Field(100.0, ge=4, le=500, description="1000 divided by a whole number; the nearest is taken")
    range_g: Literal[2, 4, 8, 16] = 4
    range_dps: Literal[250, 500, 1000, 2000] = 500


class Mpu6050:
    """The chip behind the source."""

    reset_s = 0.1
    settle_s = 0.1  # the PLL and the gyroscope's start, 30 ms (product specification, 6.1), and the filter's delay

    def __init__(self, bus: Bus, config: Config, model: Model) -> None:
        self._bus, self._config, self._model = bus, config, model
        self._divider = round(GYRO_RATE_HZ / config.rate_hz)
        self.name = model.name
        self.period_s = self._divider / GYRO_RATE_HZ
        self.fifo_samples = model.fifo_bytes // FRAME_BYTES
        self.units: Mapping[str, float] = {
            "acceleration": config.range_g / COUNTS * STANDARD_GRAVITY,
            "gyroscope": gyro_range_dps(config.range_dps) / COUNTS * RAD_PER_DEGREE,
        }

    def reset(self) -> None:
        """4.30: everything to its default, and asleep."""
        self._bus.write(self._config.address, (PWR_MGMT_1, DEVICE_RESET))

    def configure(self) -> None:
        """4.30 advises a gyroscope's clock over the internal 8 MHz one; the filter passes less than half the rate."""
        filter_ = _filter(1 / self.period_s)
        settings = [
            (PWR_MGMT_1, CLOCK_GYRO_X),
            (SMPLRT_DIV, self._divider - 1),
            (CONFIG, filter_),
            (GYRO_CONFIG, GYRO_RANGES[self._config.range_dps] << 3),
            (ACCEL_CONFIG, ACCEL_RANGES[self._config.range_g] << 3),
            (INT_ENABLE, FIFO_OVERFLOW),
        ]
        if self._model.has_accel_config_2:
            settings.append((ACCEL_CONFIG_2, filter_))
        self._bus.write(self._config.address, *settings)

    def is_configured(self) -> bool:
        """At power-on PWR_MGMT_1 is 0x40, asleep (section 3), and ranges and divider are 0."""
        power, divider = self._bus.read(self._config.address, (PWR_MGMT_1, 1), (SMPLRT_DIV, 1))
        return power[0] == CLOCK_GYRO_X and divider[0] == self._divider - 1

    def empty(self) -> None:
        """4.29: the FIFO is reset while it is off."""
        address = self._config.address
        self._bus.write(address, (FIFO_EN, 0), (USER_CTRL, 0), (USER_CTRL, FIFO_RESET))
        self._bus.read(address, (INT_STATUS, 1))  # reading clears an overflow of before
        self._bus.write(address, (USER_CTRL, FIFO_ON), (FIFO_EN, GYRO_AND_ACCEL))

    def drain(self, clock: Clock) -> Drained:
        """4.31 FIFO_COUNT, 4.32 FIFO_R_W: a full FIFO loses its oldest bytes, and with them where a frame begins."""
        asked_s = clock.monotonic_s()
        status, count = self._bus.read(self._config.address, (INT_STATUS, 1), (FIFO_COUNT, 2))
        answered_s = clock.monotonic_s()
        size_bytes = int.from_bytes(count, "big")
        if status[0] & FIFO_OVERFLOW or size_bytes > self.fifo_samples * FRAME_BYTES:
            return Drained(asked_s, answered_s, {}, "fifo_overflow")
        frames = size_bytes // FRAME_BYTES
        if not frames:
            return Drained(asked_s, answered_s, {})
        [data] = self._bus.read(self._config.address, (FIFO_R_W, frames * FRAME_BYTES))
        rows = np.frombuffer(data, ">i2").reshape(frames, 6)
        return Drained(asked_s, answered_s, {"acceleration": rows[:, :3], "gyroscope": rows[:, 3:]})

    def celsius(self) -> float:
        """4.18."""
        [data] = self._bus.read(self._config.address, (TEMP_OUT, 2))
        return int.from_bytes(data, "big", signed=True) / self._model.per_degree + self._model.at_zero


def gyro_range_dps(nominal_dps: int) -> float:
    """The full range in deg/s: 131 LSB at 250 (4.19), so 250.14."""
    return COUNTS / 131.0 * (nominal_dps / 250)


def _filter(rate_hz: float) -> int:
    return next((k for k, bandwidth_hz in FILTERS.items() if bandwidth_hz <= rate_hz / 2), max(FILTERS))


def open(config: Config, context: Context) -> Imu:  # noqa: A001 - the port's word
    """The source; touches no device yet."""

    def identify(bus: Bus) -> Mpu6050:
        identity = answered(bus, config.address, WHO_AM_I, MODELS, "an MPU-6050 or one of its kin")
        return Mpu6050(bus, config, MODELS[identity])

    return Imu(config, context, identify)
