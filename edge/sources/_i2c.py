"""Registers of chips on an I2C bus, through smbus2.

Only plain I2C transfers are used (`i2c_rdwr`): SMBus block reads end at 32 bytes, a FIFO holds kilobytes.  The kernel
gives up on a bus that hangs after about a second, so no call here lasts.
"""

import errno
from typing import Any

from edge.sources import Context, SourceFailed, driver

TRANSFER_BYTES_MAX = 8192  # of one message, in Linux's i2c-dev


class Bus:
    """One opened bus; every method is a single transfer and raises `OSError`."""

    def __init__(self, number: int | str, context: Context) -> None:
        """Raises `Misconfigured` without smbus2, `SourceFailed` without a bus."""
        self._message = driver("smbus2", "i2c").i2c_msg
        self._bus: Any = self._open(number, context)

    @staticmethod
    def _open(number: int | str, context: Context) -> Any:
        make = context.extras.get("smbus") or driver("smbus2", "i2c").SMBus
        name = f"/dev/i2c-{number}" if isinstance(number, int) else number
        try:
            return make(number)
        except FileNotFoundError as e:
            raise SourceFailed(f"there is no {name}: switch I2C on (raspi-config) or set another `bus`") from e
        except PermissionError as e:
            raise SourceFailed(f"{name}: no permission: add the user to the group i2c") from e
        except OSError as e:
            raise SourceFailed(f"{name}: {e}") from e

    def read(self, address: int, *parts: tuple[int, int]) -> list[bytes]:
        """The bytes of each (first register, length), in one transfer."""
        messages: list[Any] = []
        for register, length in parts:
            messages += [self._message.write(address, [register]), self._message.read(address, length)]
        self._bus.i2c_rdwr(*messages)
        return [bytes(m) for m in messages[1::2]]

    def write(self, address: int, *settings: tuple[int, int]) -> None:
        """Set each (register, value), one after the other."""
        for register, value in settings:
            self._bus.i2c_rdwr(self._message.write(address, [register, value]))

    def close(self) -> None:
        """Let go of the bus."""
        self._bus.close()


def is_absent(error: OSError) -> bool:
    """True when nobody answered at the address (no acknowledge; the bus drivers differ in its number)."""
    return error.errno in (errno.EREMOTEIO, errno.ENXIO, errno.ENODEV)
