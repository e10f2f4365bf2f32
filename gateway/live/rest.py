"""How long nobody follows the log after that failed, so that pages which all come back do not make it fail at once
again.  Pure."""

REST_S = 0.5
REST_S_MAX = 5.0
STEADY_S = 30.0  # who followed for so long did not fail at once


class Rest:
    """Longer after each failure, until a follower held out."""

    def __init__(self) -> None:
        self._failures = 0
        self._until_s = 0.0

    def begin(self, now_s: float, *, held_out_s: float = 0.0) -> None:
        """It failed now, `held_out_s` after it had begun."""
        self._failures = 1 if held_out_s >= STEADY_S else self._failures + 1
        self._until_s = now_s + min(REST_S_MAX, REST_S * 2 ** min(self._failures - 1, 10))

    def left_s(self, now_s: float) -> float:
        """For how long yet; 0: it may be tried."""
        return max(0.0, self._until_s - now_s)
