"""State as bytes: named numpy arrays and a JSON header, which a checkpoint carries from one process to the next.

One zstd frame over `<header's length, uint32><header><the arrays' bytes, by name>`.  Never pickle: what is read is
plain numbers of a few types, bounded in size before anything is made of it.  The same state gives the same bytes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson

from telemetry import compression
from telemetry.errors import Malformed, SensorlineError

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

SIZE_BYTES_MAX = 64 * 2**20
ARRAYS_MAX = 10_000
DTYPES = frozenset({"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"})
_LEVEL = 1
_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Frozen:
    """What was packed: `head` as JSON gives it back (tuples are lists), `arrays` writable and of their own."""

    head: Any
    arrays: dict[str, npt.NDArray[Any]]


def pack(schema: str, head: Any, arrays: Arrays) -> bytes:
    """`schema` is the name and version of what this is ("detect/1").

    `head` is JSON-able and its floats are finite (others become null: they belong into an array); its integers have
    64 bits at most.
    """
    ordered = {name: _plain(arrays[name]) for name in sorted(arrays)}
    listed = [[name, array.dtype.str, list(array.shape)] for name, array in ordered.items()]
    header = orjson.dumps({"schema": schema, "head": head, "arrays": listed}, option=orjson.OPT_SORT_KEYS)
    pieces = [len(header).to_bytes(_LENGTH, "little"), header, *(array.tobytes() for array in ordered.values())]
    return compression.deflate(b"".join(pieces), "zstd", level=_LEVEL)


def unpack(schema: str, data: bytes, *, size_bytes_max: int = SIZE_BYTES_MAX) -> Frozen:
    """Read back; raises `Malformed` for another schema, for damage, and for more than `size_bytes_max` inflated."""
    try:
        plain = compression.inflate(data, "zstd", size_bytes_max=size_bytes_max)
    except SensorlineError as e:
        raise Malformed(f"frozen state: {e.message}") from e
    try:
        begin = _LENGTH + int.from_bytes(plain[:_LENGTH], "little")
        header = orjson.loads(plain[_LENGTH:begin])
        if header["schema"] != schema:
            raise Malformed(f"frozen state is {str(header['schema'])[:64]!r}, not {schema!r}")
        return Frozen(header["head"], _arrays(header["arrays"], memoryview(plain)[begin:]))
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as e:
        raise Malformed(f"frozen state is damaged: {type(e).__name__}: {e}") from e


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
    if plain.dtype.str not in DTYPES:
        raise TypeError(f"an array of {plain.dtype} cannot be frozen")
    return plain


def _arrays(listed: list[tuple[str, str, list[int]]], body: memoryview) -> dict[str, npt.NDArray[Any]]:
    if len(listed) > ARRAYS_MAX:
        raise ValueError(f"{len(listed)} arrays")
    arrays: dict[str, npt.NDArray[Any]] = {}
    at = 0
    for name, dtype, shape in listed:
        if dtype not in DTYPES or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"array {name!r} is of no known form")
        count = math.prod(shape)
        end = at + count * np.dtype(dtype).itemsize
        if end > len(body):
            raise ValueError(f"array {name!r} ends early")
        arrays[name] = np.frombuffer(body[at:end], dtype).reshape(shape).copy()
        at = end
    if at != len(body):
        raise ValueError("bytes follow the last array")
    return arrays
