"""How fast the spool fills and how often the card is written to, over the last minutes.  Pure."""

from collections import deque
from dataclasses import dataclass

EVERY_S = 10.0
WINDOW_S = 300.0


@dataclass(frozen=True, slots=True)
class Rates:
    """`growth_bytes_per_s` is below 0 while the spool empties; None: not known yet."""

    growth_bytes_per_s: float | None = None
    writes_per_minute: float | None = None

    def hours_left(self, room_bytes: int) -> float | None:
        """Until so much room is full at this rate; None when it does not fill."""
        if self.growth_bytes_per_s is None or self.growth_bytes_per_s <= 0:
            return None
        return max(0, room_bytes) / self.growth_bytes_per_s / 3600


class Gauge:
    """Looks every `EVERY_S`, remembers `WINDOW_S`."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int, int]] = deque(maxlen=round(WINDOW_S / EVERY_S) + 1)

    def look(self, now_s: float, size_bytes: int, commits: int) -> None:
        """Call as often as is handy; too early is not remembered."""
        if not self._looks or now_s - self._looks[-1][0] >= EVERY_S:
            self._looks.append((now_s, size_bytes, commits))

    def rates(self, now_s: float, size_bytes: int, commits: int) -> Rates:
        """Between the oldest look and now."""
        if not self._looks or now_s - self._looks[0][0] < EVERY_S:
            return Rates()
        then_s, then_bytes, then_commits = self._looks[0]
        took_s = now_s - then_s
        return Rates((size_bytes - then_bytes) / took_s, (commits - then_commits) / took_s * 60)
