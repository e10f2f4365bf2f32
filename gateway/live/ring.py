"""The newest records that were seen, bounded in bytes: a reader that was away for a moment goes on from here.  Pure."""

from collections import deque
from collections.abc import Mapping
from itertools import islice

from gateway.live.stream import Place
from telemetry.ports import ANOMALIES, Entry

ENTRY_OVERHEAD_BYTES = 1_000


class Ring:
    """Records in the order in which they were seen, across topics and partitions."""

    def __init__(self, place: Place, bytes_max: int) -> None:
        self._left_bytes = bytes_max
        self._begin = place.copy()  # all from here on is in it
        self._kept: deque[tuple[Entry, int]] = deque()
        self._first = 0  # the number of the oldest one kept

    @property
    def begin(self) -> int:
        """The number of the oldest one."""
        return self._first

    @property
    def end(self) -> int:
        """The number of the next one."""
        return self._first + len(self._kept)

    def add(self, entry: Entry) -> None:
        """Keep it; the oldest give way."""
        size_bytes = len(entry.value or b"") * (2 if entry.batch is not None else 1) + ENTRY_OVERHEAD_BYTES
        self._kept.append((entry, size_bytes))
        self._left_bytes -= size_bytes
        while self._left_bytes < 0 and self._kept:
            gone, gone_bytes = self._kept.popleft()
            self._first += 1
            self._left_bytes += gone_bytes
            begin = self._begin.anomalies if gone.topic == ANOMALIES.name else self._begin.batches
            begin[gone.partition] = gone.offset + 1

    def covers(self, batches: Mapping[int, int], anomalies: Mapping[int, int]) -> bool:
        """Whether every record from these offsets on is in it."""
        return all(batches.get(p, -1) >= begin for p, begin in self._begin.batches.items()) and all(
            anomalies.get(p, -1) >= begin for p, begin in self._begin.anomalies.items()
        )

    def since(self, number: int, records_max: int | None = None) -> list[Entry]:
        """From the one with this number on, at most so many; those that gave way are left out."""
        first = max(0, number - self._first)
        end = None if records_max is None else first + records_max
        return [entry for entry, _ in islice(self._kept, first, end)]
