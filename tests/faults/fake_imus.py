"""Motion sensors at register level, FIFO included, as their data sheets say; they sample by a clock of their own.

Sample k of a chip is `signal(k)`, six counts: accelerometer x y z, gyroscope x y z.  Time is the test's clock, so what
the chip took while nobody looked is there when it is asked.
"""

import struct
from collections.abc import Callable

from telemetry.clock import Clock

Signal = Callable[[int], tuple[int, int, int, int, int, int]]


def counting(k: int) -> tuple[int, int, int, int, int, int]:
    """Each sample says which it is, in every value."""
    n = k % 5000
    return n, n + 5000, n + 10_000, -n, -n - 5000, -n - 10_000


class Registers:
    """Registers, a pointer that increments, and a FIFO of bytes behind one or some of them."""

    registers_max = 128
    fifo_bytes = 1024
    fifo_from, fifo_to = 0x74, 0x74  # a read that goes past the last starts again at the first

    def __init__(self, clock: Clock, *, rate_error: float = 0.0, signal: Signal = counting) -> None:
        self.clock, self.rate_error, self.signal = clock, rate_error, signal
        self.registers = bytearray(self.registers_max)
        self.fifo = bytearray()
        self.sampled = 0  # samples that went to the FIFO
        self.overwritten = 0  # bytes
        self._started_s: float | None = None
        self._since_start = 0
        self._pointer = 0
        self.power_on()

    def power_on(self) -> None:
        """As after a loss of power, and after a reset."""
        self.registers[:] = bytes(self.registers_max)
        self.fifo.clear()
        self._started_s = None
        self.defaults()

    def defaults(self) -> None:
        """Registers that are not 0 at power-on."""

    def rate_hz(self) -> float | None:
        """The nominal rate at which the FIFO is filled, None when it is not."""
        raise NotImplementedError

    def frame(self, k: int) -> bytes:
        """What sample k puts into the FIFO."""
        raise NotImplementedError

    def written(self, register: int, value: int) -> None:
        """A register was set."""

    def status(self) -> None:
        """Bring the registers up to date that say how the FIFO is."""

    def taken(self, register: int) -> None:
        """A register was read."""

    def overflowed(self) -> None:
        """Bytes were overwritten."""

    def write(self, data: bytes) -> None:
        """The bus writes."""
        self._sample()
        self._pointer = data[0]
        for value in data[1:]:
            self.registers[self._pointer] = value
            self.written(self._pointer, value)
            self._pointer += 1
        self._sample()

    def read(self, length: int) -> bytes:
        """The bus reads; counts are as they were when the read began."""
        self._sample()
        self.status()
        out = bytearray()
        for _ in range(length):
            register = self._pointer
            if self.fifo_from <= register <= self.fifo_to:
                out.append(self.fifo.pop(0) if self.fifo else 0xFF)
                self._pointer = self.fifo_from if register == self.fifo_to else register + 1
            else:
                out.append(self.registers[register])
                self.taken(register)
                self._pointer += 1
        return bytes(out)

    def _sample(self) -> None:
        rate_hz = self.rate_hz()
        if rate_hz is None:
            self._started_s = None
            return
        now_s = self.clock.monotonic_s()
        if self._started_s is None:
            self._started_s, self._since_start = now_s, 0
        due = int((now_s - self._started_s) * rate_hz * (1 + self.rate_error))
        for _ in range(due - self._since_start):
            self.fifo += self.frame(self.sampled)
            self.sampled += 1
        self._since_start = due
        if (excess := len(self.fifo) - self.fifo_bytes) > 0:
            del self.fifo[:excess]
            self.overwritten += excess
            self.overflowed()


class FakeMpu6050(Registers):
    """RM-MPU-6000A: asleep after power-on; the FIFO takes what FIFO_EN names when USER_CTRL switches it on."""

    def __init__(self, clock: Clock, *, identity: int = 0x68, fifo_bytes: int = 1024, **options: object) -> None:
        self.identity, self.fifo_bytes = identity, fifo_bytes
        super().__init__(clock, **options)  # type: ignore[arg-type]

    def defaults(self) -> None:
        self.registers[0x6B] = 0x40  # SLEEP
        self.registers[0x75] = self.identity
        struct.pack_into(">h", self.registers, 0x41, round((25.0 - 36.53) * 340))

    def rate_hz(self) -> float | None:
        is_awake = not self.registers[0x6B] & 0x40
        is_filling = bool(self.registers[0x6A] & 0x40) and self.registers[0x23] == 0x78
        filtered = 1 <= self.registers[0x1A] & 7 <= 6
        return (1000 if filtered else 8000) / (1 + self.registers[0x19]) if is_awake and is_filling else None

    def frame(self, k: int) -> bytes:
        return struct.pack(">6h", *self.signal(k))

    def written(self, register: int, value: int) -> None:
        if register == 0x6B and value & 0x80:
            self.power_on()
        elif register == 0x6A and value & 0x04:
            self.registers[0x6A] &= ~0x04
            if not value & 0x40:  # "while FIFO_EN equals 0"
                self.fifo.clear()

    def status(self) -> None:
        struct.pack_into(">H", self.registers, 0x72, len(self.fifo))

    def taken(self, register: int) -> None:
        if register == 0x3A:
            self.registers[0x3A] = 0

    def overflowed(self) -> None:
        if self.registers[0x38] & 0x10:
            self.registers[0x3A] |= 0x10


class FakeLsm6ds(Registers):
    """What the LSM6DS chips share: off after power-on, rates and ranges in CTRL1_XL and CTRL2_G."""

    rates_hz = (None, 12.5, 26, 52, 104, 208, 416, 833)
    mode_register = 0x0A
    identity = 0

    def defaults(self) -> None:
        self.registers[0x0F] = self.identity
        self.registers[0x12] = 0x04  # IF_INC
        self.is_overrun = False

    def rate_hz(self) -> float | None:
        accel, gyro = self.registers[0x10] >> 4, self.registers[0x11] >> 4
        is_continuous = self.registers[self.mode_register] & 7 == 6
        return self.rates_hz[accel] if is_continuous and accel == gyro == self.batch_rate() else None

    def batch_rate(self) -> int:
        """The code of the rate at which the FIFO takes samples."""
        raise NotImplementedError

    def written(self, register: int, value: int) -> None:
        if register == 0x12 and value & 0x01:
            self.power_on()
        elif register == self.mode_register and value & 7 == 0:
            self.fifo.clear()
            self.is_overrun = False

    def overflowed(self) -> None:
        self.is_overrun = True


class FakeLsm6ds3(FakeLsm6ds):
    """Words in a pattern: gyroscope x y z, accelerometer x y z."""

    identity, fifo_bytes = 0x69, 8192
    fifo_from, fifo_to = 0x3E, 0x3F

    def batch_rate(self) -> int:
        return self.registers[0x0A] >> 3 & 0x0F if self.registers[0x08] == 0x09 else -1

    def frame(self, k: int) -> bytes:
        values = self.signal(k)
        return struct.pack("<6h", *values[3:], *values[:3])

    def status(self) -> None:
        words = len(self.fifo) // 2
        pattern = -words % 6
        self.registers[0x3A] = words & 0xFF
        self.registers[0x3B] = words >> 8 & 0x0F | (0x40 if self.is_overrun else 0)
        self.registers[0x3C], self.registers[0x3D] = pattern, 0


class FakeLsm6dso(FakeLsm6ds):
    """Words with a tag, seven bytes each; the gyroscope's comes first."""

    identity, fifo_bytes = 0x6C, 512 * 7
    fifo_from, fifo_to = 0x78, 0x7E

    def batch_rate(self) -> int:
        rate = self.registers[0x09]
        return rate & 0x0F if rate & 0x0F == rate >> 4 else -1

    def frame(self, k: int) -> bytes:
        values = self.signal(k)
        slot = (k & 3) << 1
        return struct.pack("<B3hB3h", 0x01 << 3 | slot, *values[3:], 0x02 << 3 | slot, *values[:3])

    def status(self) -> None:
        words = len(self.fifo) // 7
        self.registers[0x3A] = words & 0xFF
        self.registers[0x3B] = words >> 8 & 0x03 | (0x48 if self.is_overrun else 0)
