"""SMILE as this project writes it, against its own small reader of the specification."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.stores import _elastic_smile as smile


class Reader:
    """Reads what the specification says the bytes mean; knows nothing of the writer."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        self.at += n
        return self.data[self.at - n : self.at]

    def document(self) -> Any:
        assert self.take(4) == b":)\n\x00"
        value = self.value()
        assert self.take(1) == b"\xff"
        return value

    def value(self) -> Any:  # noqa: PLR0911 - one a token
        token = self.take(1)[0]
        if token in (0x21, 0x22, 0x23):
            return {0x21: None, 0x22: False, 0x23: True}[token]
        if token == 0x20:
            return ""
        if 0x40 <= token <= 0x5F:
            return self.take(token - 0x40 + 1).decode("ascii")
        if 0x60 <= token <= 0x7F:
            return self.take(token - 0x60 + 33).decode("ascii")
        if token == 0xE4:
            end = self.data.index(b"\xfc", self.at)
            text = self.take(end - self.at).decode()
            self.take(1)
            return text
        if token in (0x24, 0x25):
            return self.zigzag(token == 0x25)
        if token == 0x28:
            return struct.unpack(">f", self.sevens(5).to_bytes(4, "big"))[0]
        if token == 0x29:
            return struct.unpack(">d", self.sevens(10).to_bytes(8, "big"))[0]
        if token == 0xF8:
            return self.until(b"\xf9", self.value)
        assert token == 0xFA, hex(token)
        return dict(self.until(b"\xfb", self.property))

    def until(self, end: bytes, read: Any) -> list[Any]:
        found = []
        while self.data[self.at : self.at + 1] != end:
            found.append(read())
        self.take(1)
        return found

    def property(self) -> tuple[str, Any]:
        token = self.take(1)[0]
        assert 0x80 <= token <= 0xBF
        return self.take(token - 0x80 + 1).decode("ascii"), self.value()

    def sevens(self, n: int) -> int:
        value = 0
        for byte in self.take(n):
            assert byte < 0x80
            value = value << 7 | byte
        return value

    def zigzag(self, is_long: bool) -> int:
        start, value = self.at, 0
        while (byte := self.take(1)[0]) < 0x80:
            value = value << 7 | byte
        value = value << 6 | byte & 0x3F
        assert not is_long or self.at - start >= 5, "Jackson reads four bytes of a long unseen"
        return value >> 1 ^ -(value & 1)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.from_regex(r"[a-z@_]{1,64}", fullmatch=True), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.from_regex(r"[a-z@_]{1,64}", fullmatch=True), values))
def test_a_document_reads_back(value: dict[str, Any]) -> None:
    data = smile.document(value)
    assert Reader(data).document() == value
    assert data.count(b"\xff") == 1, "only the end: a bulk body is split there"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_bit_of_a_float_is_kept(dtype: Any) -> None:
    size = np.dtype(dtype).itemsize
    bits = np.random.default_rng(1).integers(0, 256, (500, size), np.uint8)
    column = np.concatenate([bits.view(dtype)[:, 0], np.array([0.0, -0.0, np.inf, -np.inf], dtype)])
    column = column[~np.isnan(column)]
    rows = smile.floats(column)
    assert not (rows == 0xFF).any()
    back = np.array([Reader(row.tobytes()).value() for row in rows], dtype)
    assert back.tobytes() == column.tobytes()


def test_a_column_of_integers_reads_back() -> None:
    column = np.array([0, 1, 31, 32, 63, 64, 8191, 8192, 19_999, smile.INT24_MAX], np.int64)
    assert [Reader(row.tobytes()).value() for row in smile.integers(column)] == column.tolist()
