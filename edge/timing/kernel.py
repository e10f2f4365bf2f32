"""What the machine's kernel knows of its clock: whether it is synchronised, which boot this is, how long it slept.

adjtimex(2)   answers TIME_ERROR while STA_UNSYNC is set: no NTP daemon has set the clock yet, somebody set it by hand
              since, or none was heard for about nine hours.  chrony clears it only with `rtcsync` (Debian's default).
timesyncd     leaves a file once it has set the clock: the way where a sandbox forbids adjtimex, as systemd's
              `ProtectClock=` does even to those who only look.
"""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

TIME_ERROR = 5  # linux/timex.h
_TIMEX_BYTES = 1024  # several times a struct timex of any platform; all zero asks and sets nothing
TIMESYNC = Path("/run/systemd/timesync")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def is_synchronised() -> bool | None:
    """Whether the wall clock is kept by a time service; None when that cannot be known here."""
    answer = _adjtimex()
    if answer is not None:
        return answer != TIME_ERROR
    return (TIMESYNC / "synchronized").exists() if TIMESYNC.is_dir() else None


def boot_id() -> str:
    """This boot of the machine; a random one, so of this process only, where the kernel tells none."""
    try:
        return BOOT_ID.read_text().strip() or uuid4().hex
    except OSError:
        return uuid4().hex


def slept_ns() -> int:
    """Nanoseconds that the monotonic clock stood still since the boot, because the machine was suspended.

    Never more than is true: the two clocks are read one after the other, this way round.
    """
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    with_sleep_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return with_sleep_ns - time.monotonic_ns()


def _adjtimex() -> int | None:
    """The clock's state, None where it cannot be asked."""
    if _CALL is None:
        return None
    answer = _CALL(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if answer < 0 else answer


def _find() -> Callable[[object], int] | None:
    try:
        call = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError, TypeError):  # another system: no such function, or no such library
        return None
    call.restype = ctypes.c_int
    found: Callable[[object], int] = call
    return found


_CALL = _find()
