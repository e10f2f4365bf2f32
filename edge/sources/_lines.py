"""A stream of bytes -> lines of a bounded length.  Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """`number` counts from 1.  `is_cut`: it was longer than allowed, and this is how it began."""

    number: int
    data: bytes
    is_cut: bool = False


class Lines:
    """Holds at most one line."""

    def __init__(self, size_bytes_max: int) -> None:
        self._size_bytes_max = size_bytes_max
        self._rest = bytearray()
        self._is_cut = False
        self._number = 0

    def feed(self, data: bytes) -> list[Line]:
        """The lines that end in these bytes, without their ends (LF or CR LF)."""
        *ended, rest = data.split(b"\n")
        lines = []
        for part in ended:
            self._take(part)
            self._number += 1
            line = bytes(self._rest).removesuffix(b"\r")
            lines.append(Line(self._number, line, self._is_cut or len(line) > self._size_bytes_max))
            self._rest.clear()
            self._is_cut = False
        self._take(rest)
        return lines

    def _take(self, part: bytes) -> None:
        room = self._size_bytes_max + 1 - len(self._rest)  # one more: the CR that may end it
        self._is_cut = self._is_cut or len(part) > room
        self._rest += part[:room]
