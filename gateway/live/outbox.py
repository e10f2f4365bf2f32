"""What waits for one reader, bounded: who reads too slowly is told how much it missed.  Pure.

What gives way: the oldest readings, then the oldest pulses, then the oldest anomalies.
"""

from collections import deque

from gateway.live.events import ANOMALY, PULSE, READINGS, Event, Told

EVENTS_MAX = 4_096
GIVES_WAY = (READINGS, PULSE, ANOMALY)


class Outbox:
    """A queue of at most `bytes_max`, and of `events_max` events; one event always has room."""

    def __init__(self, bytes_max: int, *, events_max: int = EVENTS_MAX) -> None:
        self._bytes_max = bytes_max
        self._events_max = events_max
        self._waiting: dict[int, Told] = {}  # by number, in the order in which they came
        self._by_name: dict[str, deque[int]] = {}
        self._next = 0
        self._size_bytes = 0
        self._lost = 0
        self.lost_in_all = 0
        self._last_id = ""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size_bytes(self) -> int:
        """What waits."""
        return self._size_bytes

    @property
    def is_empty(self) -> bool:
        """Nothing is to be sent."""
        return not self._waiting and not self._lost

    @property
    def has_room(self) -> bool:
        """Less than half of what may wait waits: to whoever can wait before putting more."""
        return self._size_bytes * 2 < self._bytes_max and len(self._waiting) * 2 < self._events_max

    def put(self, told: Told) -> None:
        """Behind all others; others, or in the end this one, may give way."""
        self._waiting[self._next] = told
        self._by_name.setdefault(told.event.name, deque()).append(self._next)
        self._next += 1
        self._size_bytes += told.size_bytes
        while len(self._waiting) > 1 and (self._size_bytes > self._bytes_max or len(self._waiting) > self._events_max):
            if not self._drop():
                return

    def take(self, bytes_max: int) -> bytes:
        """The frames to send next, about so many bytes, at least one event; b"" when there are none.

        `lost` comes first, under the id of what was sent last: who breaks off behind it is told all that it missed.
        """
        frames: list[bytes] = []
        size = 0
        while True:
            if self._lost and self._last_id:  # the greeting has gone out
                frames.append(Told(Event.of("lost", {"events": self._lost}), self._last_id).frame())
                self._lost = 0
            if not self._waiting or size >= bytes_max:
                return b"".join(frames)
            number = next(iter(self._waiting))
            told = self._waiting.pop(number)
            self._by_name[told.event.name].popleft()  # within a name, too, the first is the oldest
            self._size_bytes -= told.size_bytes
            self._last_id = told.id
            frame = told.frame()
            size += len(frame)
            frames.append(frame)

    def _drop(self) -> bool:
        """Let the one go that matters least; False when there is none that may."""
        for name in GIVES_WAY:
            if numbers := self._by_name.get(name):
                self._size_bytes -= self._waiting.pop(numbers.popleft()).size_bytes
                self._lost += 1
                self.lost_in_all += 1
                return True
        return False
