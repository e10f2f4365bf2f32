"""What one device, and all devices together, may take of the gateway at once.  Pure: the caller brings the time."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from telemetry.errors import NotReady, RateLimited

DEVICES_MAX = 100_000
DEVICE_SHARE = 8  # one device may hold at most an eighth of the bytes in flight
BUSY_RETRY_S = 1.0


class Buckets:
    """A token bucket a device, kept as the time at which it will be full again (GCRA, ITU-T I.371): one float each.

    The device idle for longest is forgotten past `DEVICES_MAX`.
    """

    def __init__(self, *, per_s: float, burst: int) -> None:
        self._step_s = 1 / per_s
        self._depth_s = burst / per_s
        self._full_at_s: OrderedDict[str, float] = OrderedDict()

    def take(self, device: str, now_s: float) -> None:
        """Take one request's token; raises `RateLimited` with the wait until there is one."""
        full_at_s = max(self._full_at_s.get(device, now_s), now_s) + self._step_s
        over_s = full_at_s - now_s - self._depth_s
        if over_s > 1e-9:
            raise RateLimited(f"{device} sends more than {1 / self._step_s:g} requests a second", retry_after_s=over_s)
        self._full_at_s[device] = full_at_s
        self._full_at_s.move_to_end(device)
        if len(self._full_at_s) > DEVICES_MAX:
            self._full_at_s.popitem(last=False)


class Held:
    """One request's share of the bytes in flight; grows while its body arrives."""

    def __init__(self, budget: "InFlight", device: str) -> None:
        self._budget = budget
        self._device = device
        self.size_bytes = 0

    def grow(self, by_bytes: int) -> None:
        """Hold more; raises `NotReady` (all are full) or `RateLimited` (this device is)."""
        self._budget.take(self._device, by_bytes)
        self.size_bytes += by_bytes

    def release(self) -> None:
        """Hold nothing."""
        self._budget.give(self._device, self.size_bytes)
        self.size_bytes = 0


class InFlight:
    """The bytes of bodies and records that are held in memory at once, in all and a device."""

    def __init__(self, size_bytes_max: int, body_bytes_max: int) -> None:
        self._left_bytes = size_bytes_max
        self._device_bytes_max = max(size_bytes_max // DEVICE_SHARE, 2 * body_bytes_max)
        self._by_device: dict[str, int] = {}

    @property
    def left_bytes(self) -> int:
        """What may still be taken."""
        return self._left_bytes

    @contextmanager
    def hold(self, device: str) -> Iterator[Held]:
        """A share that is given back at the end, however it ends."""
        held = Held(self, device)
        try:
            yield held
        finally:
            held.release()

    def take(self, device: str, size_bytes: int) -> None:
        """Take a share; raises `NotReady` or `RateLimited`."""
        mine = self._by_device.get(device, 0) + size_bytes
        if mine > self._device_bytes_max:
            raise RateLimited(f"{device} has too many bytes on the way", retry_after_s=BUSY_RETRY_S)
        if size_bytes > self._left_bytes:
            raise NotReady("too many bytes on the way to the log", retry_after_s=BUSY_RETRY_S)
        self._left_bytes -= size_bytes
        self._by_device[device] = mine

    def give(self, device: str, size_bytes: int) -> None:
        """Give a share back."""
        self._left_bytes += size_bytes
        left = self._by_device.get(device, 0) - size_bytes
        if left > 0:
            self._by_device[device] = left
        else:
            self._by_device.pop(device, None)
