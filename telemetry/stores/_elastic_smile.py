"""SMILE, the binary JSON that Elasticsearch's bulk API takes: numbers travel as bits, so none is printed and parsed.

Only what a row needs, as fixed-width columns of bytes (https://github.com/FasterXML/smile-format-specification).
No document holds 0xFF, which ends one in a bulk body: numbers use seven bits a byte and UTF-8 has none.
Property names and values are never back references, so that a document stands by itself in `_source`.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes2D = npt.NDArray[np.uint8]  # (rows, width)

CONTENT_TYPE = "application/smile"
HEADER = b":)\n\x00"  # version 0, nothing shared, no raw binary
END = b"\xff"
OBJECT, OBJECT_END, ARRAY, ARRAY_END = b"\xfa", b"\xfb", b"\xf8", b"\xf9"
NULL, FALSE, TRUE = b"\x21", b"\x22", b"\x23"
INT24_MAX = 2**19 - 1  # what three bytes hold, zigzag

_FLOAT32_SHIFTS = np.array([28, 21, 14, 7, 0], np.uint32)
_FLOAT64_SHIFTS = np.array([63, 56, 49, 42, 35, 28, 21, 14, 7, 0], np.uint64)


@cache
def key(name: str) -> bytes:
    """A property's name: ASCII, 1 to 64 characters."""
    return bytes([0x80 + len(name) - 1]) + name.encode("ascii")


def text(value: str) -> bytes:
    """A string; raises `UnicodeEncodeError` for a lone surrogate."""
    raw = value.encode()
    if not raw:
        return b"\x20"
    if len(raw) != len(value) or len(raw) > 64:
        return b"\xe4" + raw + b"\xfc"
    return ascii_head(len(raw)) + raw


def ascii_head(length: int) -> bytes:
    """What stands before 1 to 64 bytes of ASCII."""
    return bytes([0x40 + length - 1 if length <= 32 else 0x60 + length - 33])


def integer(value: int) -> bytes:
    """A 64-bit signed integer."""
    left = (value << 1) ^ (value >> 63)
    groups = [0x80 | left & 0x3F]
    left >>= 6
    while left:
        groups.append(left & 0x7F)
        left >>= 7
    head = b"\x24" if -(2**31) <= value < 2**31 else b"\x25"
    return head + bytes(reversed(groups))


def integers(values: npt.NDArray[np.int64]) -> Bytes2D:
    """(n, 4): integers from 0 to `INT24_MAX`."""
    zigzag = values << 1
    out = np.empty((len(values), 4), np.uint8)
    out[:, 0] = 0x24
    out[:, 1] = zigzag >> 13 & 0x7F
    out[:, 2] = zigzag >> 6 & 0x7F
    out[:, 3] = zigzag & 0x3F | 0x80
    return out


def floats(values: npt.NDArray[Any]) -> Bytes2D:
    """(..., 6) of float32 values (...), (..., 11) of float64 ones: every bit is kept."""
    if values.dtype == np.float32:
        bits = values.view(np.uint32)[..., None] >> _FLOAT32_SHIFTS & np.uint32(0x7F)
        head = 0x28
    else:
        bits = values.view(np.uint64)[..., None] >> _FLOAT64_SHIFTS & np.uint64(0x7F)
        head = 0x29
    out = np.empty((*bits.shape[:-1], bits.shape[-1] + 1), np.uint8)
    out[..., 0] = head
    out[..., 1:] = bits
    return out


def document(value: dict[str, Any]) -> bytes:
    """One whole document with its end, of None, bool, int, str, and lists and dicts of them."""
    return HEADER + _any(value) + END


def _any(value: Any) -> bytes:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return ARRAY + b"".join(map(_any, value)) + ARRAY_END
    return OBJECT + b"".join(key(k) + _any(v) for k, v in value.items()) + OBJECT_END
