"""What GPS sources share: when a fix's time may set our clock."""

from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AGREED_MIN = 3
DIFFERENCE_S_MAX = 0.3
EARLIEST_NS = 1_735_689_600 * 10**9  # 2025: a receiver that counts GPS weeks wrongly is 19.6 years behind


def utc_ns(moment: datetime) -> int:
    """Nanoseconds since 1970, exact."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


class FixClock:
    """Tells a receiver's time from what a log, a buffer or a simulator plays back.  Pure.

    Its time goes on as our monotonic clock does, for some fixes in a row; a cached or replayed one does not.
    """

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None
        self._agreed = 0

    def is_trusted(self, at_ns: int, monotonic_s: float) -> bool:
        """Of a fix of `at_ns` UTC that arrived at `monotonic_s`."""
        last, self._last = self._last, (at_ns, monotonic_s)
        if last is None or at_ns < EARLIEST_NS:
            self._agreed = 0
            return False
        difference_s = (at_ns - last[0]) / 1e9 - (monotonic_s - last[1])
        self._agreed = self._agreed + 1 if abs(difference_s) <= DIFFERENCE_S_MAX and at_ns > last[0] else 0
        return self._agreed >= AGREED_MIN
