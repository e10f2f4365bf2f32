"""The edge's light process as it is, but that /dev/i2c-1 and -3 are buses of chips at register level.

usage: python load/edge_process.py --config edge.toml [what `sensorline edge run` takes]

The stand-ins for the chips and for the kernel's driver work inside the measured process: their cost is in its figures.
"""

import math
import random

import smbus2

from sensorline import edge_main
from telemetry.clock import SystemClock
from tests.faults.fake_bus import FakeBus
from tests.faults.fake_imus import FakeLsm6dso, FakeMpu6050

SAMPLES = 1009
NOISE = (300, 300, 300, 60, 60, 60)  # counts: a moving device


def signal(k: int) -> tuple[int, int, int, int, int, int]:
    """Sample k, six counts."""
    return SIGNAL[k % SAMPLES]


def opened(number: int) -> FakeBus:
    """As `smbus2.SMBus(number)`."""
    return BUSES[number](number)


def moving(k: int) -> tuple[int, int, int, int, int, int]:
    """Slow turns, and the sensors' noise."""
    x, y, z, u, v, w = (round(random.gauss(7 * n * math.sin(k / (50 + 9 * i)), n)) for i, n in enumerate(NOISE))
    return x, y, z, u, v, w


SIGNAL = [moving(k) for k in range(SAMPLES)]
BUSES = {
    1: FakeBus({0x68: FakeMpu6050(SystemClock(), signal=signal, rate_error=0.003)}),
    3: FakeBus({0x6A: FakeLsm6dso(SystemClock(), signal=signal, rate_error=-0.004)}),
}

if __name__ == "__main__":
    smbus2.SMBus = opened  # type: ignore[assignment, misc]
    edge_main.main()
