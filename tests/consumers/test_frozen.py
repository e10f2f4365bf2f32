"""State as bytes: the same bits come back, the same state gives the same bytes, and damage is refused."""

from contextlib import suppress

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from consumers import frozen
from telemetry import compression
from telemetry.errors import Malformed

DTYPES = [np.bool_, np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64, np.float32, np.float64]
ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.sampled_from(DTYPES).flatmap(lambda d: hn.arrays(d, hn.array_shapes(min_side=0))),
)
ANY = {"a": np.array([1.5, np.nan, -np.inf]), "b/c": np.arange(6, dtype=np.int64).reshape(2, 3)}


@given(ARRAYS)
def test_the_same_bits_come_back(arrays: dict[str, np.ndarray]) -> None:
    back = frozen.unpack("t/1", frozen.pack("t/1", {"n": [1, None, "x"]}, arrays))
    assert back.head == {"n": [1, None, "x"]}
    assert {n: (a.dtype, a.shape, a.tobytes()) for n, a in back.arrays.items()} == {
        n: (a.dtype, a.shape, a.tobytes()) for n, a in arrays.items()
    }
    assert all((a.flags.writeable and a.flags.owndata) or not a.size for a in back.arrays.values())


def test_the_order_in_which_it_was_put_together_does_not_matter() -> None:
    again = {name: np.asfortranarray(ANY[name]) for name in reversed(ANY)}
    assert frozen.pack("t/1", {"x": 1, "y": 2}, ANY) == frozen.pack("t/1", {"y": 2, "x": 1}, again)


def test_an_array_of_no_rows_or_of_no_dimension_is_one() -> None:
    back = frozen.unpack("t/1", frozen.pack("t/1", None, {"none": np.zeros((0, 3)), "one": np.array(7)}))
    assert (back.arrays["none"].shape, back.arrays["one"].shape, int(back.arrays["one"])) == ((0, 3), (), 7)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"", lambda b: b"x" * 40])
def test_damage_is_refused(damage: object) -> None:
    with pytest.raises(Malformed):
        frozen.unpack("t/1", damage(frozen.pack("t/1", {}, ANY)))  # type: ignore[operator]


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_read_without_harm(at: int, flip: int) -> None:
    plain = bytearray(compression.inflate(frozen.pack("t/1", {}, ANY), "zstd", size_bytes_max=10_000))
    plain[at % len(plain)] ^= flip
    with suppress(Malformed):
        frozen.unpack("t/1", compression.deflate(bytes(plain), "zstd"))


def test_another_schema_and_too_much_are_refused() -> None:
    packed = frozen.pack("t/1", {}, {"zeros": np.zeros(100_000)})
    with pytest.raises(Malformed, match="t/2"):
        frozen.unpack("t/2", packed)
    with pytest.raises(Malformed, match="over"):
        frozen.unpack("t/1", packed, size_bytes_max=100_000)


@pytest.mark.parametrize(
    "listed",
    [[["o", "|O", [1]]], [["v", "<f8", [-1]]], [["h", "<f8", [2**62, 8]]], [["f", "<f8", [1.5]]], "no list", [[1, 2]]],
)
def test_a_header_that_promises_what_is_not_there_is_refused(listed: object) -> None:
    header = orjson.dumps({"schema": "t/1", "head": {}, "arrays": listed})
    body = len(header).to_bytes(4, "little") + header + bytes(8)
    with pytest.raises(Malformed):
        frozen.unpack("t/1", compression.deflate(body, "zstd"))


def test_objects_cannot_be_frozen() -> None:
    with pytest.raises(TypeError):
        frozen.pack("t/1", {}, {"o": np.array([object()])})
