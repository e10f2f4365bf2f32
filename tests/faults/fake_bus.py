"""An I2C bus of register-level chips, behind the part of `smbus2.SMBus` that is used: opened, `i2c_rdwr`, `close`.

Messages are smbus2's own `i2c_msg`, so what is tested is what a Pi runs but for the ioctl.  Faults are values: chips
are unplugged, lose their power, and transfers fail or break off.
"""

import ctypes
import errno
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from smbus2 import i2c_msg
from smbus2.smbus2 import I2C_M_RD

TRANSFER_BYTES_MAX = 8192  # Linux's i2c-dev refuses longer messages with EINVAL


class FakeChip(Protocol):
    """A chip on the bus."""

    def write(self, data: bytes) -> None:
        """The first byte sets the register pointer, the rest goes to the registers from there."""
        ...

    def read(self, length: int) -> bytes:
        """From the register pointer on."""
        ...


class FakeBus:
    """Chips by address.  Calling it opens it: `extras={"smbus": bus}`."""

    def __init__(self, chips: Mapping[int, FakeChip]) -> None:
        self.chips = dict(chips)
        self.open_now = 0
        self.transfers = 0
        self.transfer_s = 0.0  # how long one takes: at 100 kHz, 12 bytes need a millisecond
        self.misuse: list[str] = []
        self.failures: deque[OSError | None] = deque()  # one a transfer; None lets it pass
        self._busy = threading.Lock()

    def __call__(self, number: int | str) -> "FakeBus":
        self.open_now += 1
        return self

    def i2c_rdwr(self, *messages: i2c_msg) -> None:
        """One combined transfer."""
        if not self._busy.acquire(blocking=False):
            self.misuse.append("two threads at once")
            return
        try:
            time.sleep(self.transfer_s)
            if not self.open_now:
                self.misuse.append("used after it was closed")
            self._transfer(messages)
        finally:
            self._busy.release()

    @property
    def is_let_go(self) -> bool:
        """Closed as often as opened, and never used wrongly."""
        return self.open_now == 0 and not self.misuse

    def close(self) -> None:
        """Let go."""
        if self._busy.locked():
            self.misuse.append("closed during a transfer")
        self.open_now -= 1

    def _transfer(self, messages: tuple[i2c_msg, ...]) -> None:
        self.transfers += 1
        failure = self.failures.popleft() if self.failures else None
        for message in messages:
            if message.addr not in self.chips:
                raise OSError(errno.EREMOTEIO, "Remote I/O error")
            if message.len > TRANSFER_BYTES_MAX:
                raise OSError(errno.EINVAL, "Invalid argument")
            chip = self.chips[message.addr]
            if not message.flags & I2C_M_RD:
                chip.write(bytes(message))
                continue
            length = message.len if failure is None else message.len // 2
            data = chip.read(length)  # a transfer that breaks off has taken bytes out of a FIFO
            if failure is None:
                ctypes.memmove(message.buf, data, length)
        if failure is not None:
            raise failure
