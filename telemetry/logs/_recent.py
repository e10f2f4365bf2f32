"""The newest entries, kept in memory: a reader that is up to date needs no query and no decompression."""

from collections import deque
from collections.abc import Iterable, Sequence

from telemetry.logs._records import entry_bytes
from telemetry.ports import Entry

ENTRY_OVERHEAD_BYTES = 600  # the object, its headers' dictionary, and the places in the two containers


class Recent:
    """At most `bytes_max` of entries, the oldest forgotten first; belongs to the event loop's thread."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_left = bytes_max
        self._entries: dict[tuple[str, int], Entry] = {}
        self._ages: deque[tuple[str, int, int]] = deque()

    def add(self, entries: Sequence[Entry]) -> None:
        """Remember entries that are durable."""
        for entry in entries:
            size = entry_bytes(entry) + ENTRY_OVERHEAD_BYTES
            self._entries[entry.topic, entry.offset] = entry
            self._ages.append((entry.topic, entry.offset, size))
            self._bytes_left -= size
        while self._bytes_left < 0:
            topic, offset, size = self._ages.popleft()
            self._entries.pop((topic, offset), None)
            self._bytes_left += size

    def forget(self, entries: Iterable[tuple[str, int]]) -> None:
        """These (topic, offset) are gone from the log; their bytes are counted until they would have aged out."""
        for place in entries:
            self._entries.pop(place, None)

    def read(self, topic: str, offset: int, *, records_max: int, bytes_max: int) -> list[Entry]:
        """The run of entries that starts at `offset`, within the limits; [] when that offset is not here."""
        taken: list[Entry] = []
        while len(taken) < records_max and (entry := self._entries.get((topic, offset))) is not None:
            bytes_max -= entry_bytes(entry)
            if taken and bytes_max < 0:
                break
            taken.append(entry)
            offset += 1
        return taken
