"""CBOR (RFC 8949) from a stranger, an item at a time: what is not asked for is passed over and never built.

No library does that: of a few bytes it makes whatever they describe (a gigabyte of empty maps, keys whose hashes are
the same, references to references), and what is wanted here is an array of flat maps.
"""

import struct
from collections.abc import Iterator
from typing import Final

from telemetry.batch import DEPTH_MAX
from telemetry.errors import Invalid, Malformed, TooLarge

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)  # major types
DECIMAL_FRACTION: Final = 4  # the tag: [exponent, mantissa]
ENDLESS: Final = -1  # of a length: until the break

_BREAK = 0xFF
_TAGS = "may have no tag but 4, a decimal fraction of two integers"
_FLOATS = {2: ">e", 4: ">f", 8: ">d"}
_CONSTANTS = {20: False, 21: True}  # all others say nothing here: null, undefined, unassigned

Scalar = int | float | str | bytes | bool | None


class NoScalar(Exception):
    """What comes is no single value, or a tag that is not understood: a few words for its sender."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Reader:
    """Reads one item after the other; raises `Malformed` where there is none, `Invalid` where it nests too deeply.

    A byte can be an item: `items_max` bounds the time that all of them take, pieces of strings too (`TooLarge`).
    """

    def __init__(self, data: bytes, items_max: int) -> None:
        self._data = data
        self._at = 0
        self._items_left = self._items_max = items_max

    @property
    def is_at_end(self) -> bool:
        """True behind the last byte."""
        return self._at == len(self._data)

    def major(self) -> int:
        """The major type of the item that comes."""
        if self._at >= len(self._data):
            raise Malformed("not CBOR: it ends early")
        return self._data[self._at] >> 5

    def opened(self) -> int:
        """Enter the array or map that comes: how many items or pairs it has, or `ENDLESS`."""
        return self._head()[1]

    def is_closed(self) -> bool:
        """True, and behind it, where the break of an endless array or map comes."""
        if self.major() == SIMPLE and self._data[self._at] == _BREAK:
            self._at += 1
            return True
        return False

    def scalar(self) -> Scalar:
        """The value that comes; raises `NoScalar`."""
        major = self.major()
        size, argument = self._head()
        if major == UNSIGNED:
            return argument
        if major == NEGATIVE:
            return -1 - argument
        if major == SIMPLE:
            return _simple(size, argument)
        if major == TAG:
            return self._decimal_fraction(argument)
        if major in (BYTES, TEXT):
            return self._string(major, argument)
        raise NoScalar("must be one value, no array and no map")

    def passed(self, depth: int) -> None:
        """Leave out the item that comes, whatever it is, if it is CBOR."""
        major = self.major()
        if major in (ARRAY, MAP, TAG):
            if depth >= DEPTH_MAX:
                raise Invalid(f"nested deeper than {DEPTH_MAX}", path="$")
            self._pass_children(major, self._head()[1], depth + 1)
        else:
            self.scalar()

    def _pass_children(self, major: int, n: int, depth: int) -> None:
        if n == ENDLESS:
            while not self.is_closed():
                for _ in range(2 if major == MAP else 1):
                    self.passed(depth)
            return
        for _ in range(1 if major == TAG else 2 * n if major == MAP else n):  # each takes a byte at least, or raises
            self.passed(depth)

    def _decimal_fraction(self, tag: int) -> float:
        """As the nearest float, as its text in JSON would be read."""
        if tag != DECIMAL_FRACTION or self.major() != ARRAY or self._head()[1] != 2:
            raise NoScalar(_TAGS)
        exponent, mantissa = self._integer(), self._integer()
        return float(f"{mantissa}e{exponent}")

    def _integer(self) -> int:
        major = self.major()
        if major not in (UNSIGNED, NEGATIVE):
            raise NoScalar(_TAGS)
        argument = self._head()[1]
        return argument if major == UNSIGNED else -1 - argument

    def _head(self) -> tuple[int, int]:
        """How many bytes the argument has behind the first, and the argument; `ENDLESS` for an open length."""
        self._items_left -= 1
        if self._items_left < 0:
            raise TooLarge(f"more than {self._items_max} items of CBOR: split the pack", path="$")
        first = self._data[self._at]
        self._at += 1
        info = first & 31
        if info < 24:
            return 0, info
        if info < 28:
            size = 1 << (info - 24)
            return size, int.from_bytes(self._bytes(size))
        if info == 31 and first >> 5 in (BYTES, TEXT, ARRAY, MAP):
            return 0, ENDLESS
        raise Malformed(f"not CBOR: byte {first:#04x} at {self._at - 1} begins no item")

    def _bytes(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise Malformed("not CBOR: it ends early")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _string(self, major: int, size: int) -> bytes | str:
        taken = b"".join(self._pieces(major)) if size == ENDLESS else self._bytes(size)
        return taken if major == BYTES else _text(taken)

    def _pieces(self, major: int) -> Iterator[bytes]:
        while not self.is_closed():
            if self.major() != major or (size := self._head()[1]) == ENDLESS:
                raise Malformed("not CBOR: a string in pieces has pieces of its own kind")
            piece = self._bytes(size)
            if major == TEXT:
                _text(piece)  # no character is split between pieces
            yield piece


def _text(taken: bytes) -> str:
    try:
        return taken.decode()
    except UnicodeDecodeError as e:
        raise Malformed(f"not CBOR: text that is not UTF-8: {e.reason}") from e


def _simple(size: int, argument: int) -> float | bool | None:
    if size >= 2:
        value: float = struct.unpack(_FLOATS[size], argument.to_bytes(size))[0]
        return value
    if size == 1 and argument < 32:
        raise Malformed("not CBOR: a simple value below 32 takes one byte")
    return _CONSTANTS.get(argument)
