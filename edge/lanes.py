"""Which lane may send, and when a backlog becomes one of its own.  Pure: time is an argument.

live       sends whenever it has something
backlog    waits while more than one live batch does, and is paid by the byte: live data comes first, also on a
           thin line
outage     the live lane got nothing through for `outage_s`: at the first batch that goes through again, what has
           gathered becomes backlog and a new live session begins
"""

BURST_S = 1.0
LIVE_BATCHES_MAX = 1  # one is in flight: that is no queue


class Throttle:
    """A token bucket of `bytes_per_s`, one second deep, that may go into debt: a batch is sent whole."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._paid_until_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Seconds until something may be sent; 0 when it may now."""
        return max(0.0, self._paid_until_s - now_s)

    def took(self, size_bytes: int, now_s: float) -> None:
        """So many bytes were sent."""
        self._paid_until_s = max(self._paid_until_s, now_s - BURST_S) + size_bytes / self._bytes_per_s


def is_backlog_paused(live_ready: int) -> bool:
    """True while live data waits; what is not on disk yet waits for the disk, not for the line."""
    return live_ready > LIVE_BATCHES_MAX


class Outage:
    """Notices, from the live lane's sends, that there was a long outage."""

    def __init__(self, outage_s: float) -> None:
        self._outage_s = outage_s
        self._failing_since_s: float | None = None
        self._session, self._session_since_s = "", 0.0

    def sends(self, session: str, now_s: float) -> None:
        """A batch of this session goes out."""
        if session != self._session:
            self._session, self._session_since_s = session, now_s

    def failed(self, now_s: float) -> None:
        """It did not get through."""
        if self._failing_since_s is None:
            self._failing_since_s = now_s

    def got_through(self, now_s: float, *, age_s: float, live_batches: int) -> bool:
        """It was `age_s` old, was freed and leaves `live_batches`: is it time for a new session?

        Its age is by the wall clock, which may have been set meanwhile: it is not older than its session, nor did
        sends that failed get through earlier.
        """
        since_s, self._failing_since_s = self._failing_since_s, None
        silent_s = 0.0 if since_s is None else now_s - since_s
        late_s = max(silent_s, min(age_s, now_s - self._session_since_s))
        return live_batches > LIVE_BATCHES_MAX and late_s >= self._outage_s
