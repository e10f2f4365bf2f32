"""Bytes and batches: a round trip changes nothing, a torn body never passes, a bomb costs little."""

import contextlib
import gzip
import tracemalloc
import zlib
from typing import Any

import numpy as np
import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from telemetry import compression, wire
from telemetry.batch import EXTRA_BYTES_MAX, SERIES_MAX, TEXT_CHARS_MAX, Batch, Dropped, Series
from telemetry.errors import Invalid, Malformed, TooLarge, Unsupported
from tests.telemetry.batches import batches, unhurried

MIB = 2**20
SMALL = Batch("pi-7f3a", "01JD", 1042, (Series.of("acceleration", [10, 20], {"x": [1, 2.5], "y": [None, 0.1]}),))
GOOD: dict[str, Any] = {
    "v": 1,
    "device": "pi-7f3a",
    "session": "01JD",
    "seq": 1042,
    "series": [{"sensor": "acceleration", "t0": 10, "dt": [0, 10], "values": {"x": [1, 2.5], "y": [None, 0.1]}}],
}


def _with(**changes: Any) -> bytes:
    return orjson.dumps(GOOD | changes)


def _series(**changes: Any) -> bytes:
    return _with(series=[GOOD["series"][0] | changes])


def _same(a: Batch, b: Batch) -> bool:
    """Also the types: the very same columns."""
    if a.id != b.id or a.dropped != b.dropped or len(a.series) != len(b.series):
        return False
    return all(
        x.sensor == y.sensor
        and x.t.dtype == y.t.dtype
        and x.t.tolist() == y.t.tolist()
        and list(x.values) == list(y.values)
        and all(_same_column(x.values[k], y.values[k]) for k in x.values)
        and x.extra == y.extra
        for x, y in zip(a.series, b.series, strict=True)
    )


def _same_column(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
    return bool(a == b)


@unhurried
@given(batches)
def test_a_round_trip_changes_nothing(batch: Batch) -> None:
    canonical = wire.encode(batch)
    outside, own = wire.decode(canonical), wire.decode_own(canonical)
    assert _same(outside, batch)
    assert _same(own, outside)
    assert wire.encode(outside) == canonical == wire.encode(own)
    assert wire.content_hash(canonical) == wire.content_hash(wire.encode(own))


@unhurried
@given(batches, st.sampled_from(compression.ENCODINGS))
def test_an_encoding_is_undone(batch: Batch, encoding: str) -> None:
    canonical = wire.encode(batch)
    assert compression.inflate(compression.deflate(canonical, encoding), encoding, size_bytes_max=MIB) == canonical


@pytest.mark.parametrize("encoding", compression.ENCODINGS)
def test_every_proper_prefix_is_refused(encoding: str) -> None:
    body = compression.deflate(wire.encode(SMALL), encoding)
    for cut in range(len(body)):
        with pytest.raises((Malformed, Invalid)):
            wire.decode(compression.inflate(body[:cut], encoding, size_bytes_max=MIB))
        if encoding == "identity":
            with pytest.raises(Malformed):
                wire.decode_own(body[:cut])


@unhurried
@given(batches)
def test_a_torn_batch_is_refused(batch: Batch) -> None:
    canonical = wire.encode(batch)
    for cut in {0, 1, len(canonical) // 2, len(canonical) - 1}:
        with pytest.raises((Malformed, Invalid)):
            wire.decode(canonical[:cut])


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_follows_the_first_frame_is_refused(encoding: str) -> None:
    body = compression.deflate(wire.encode(SMALL), encoding)
    for more in (b"\0", body):
        with pytest.raises(Malformed):
            compression.inflate(body + more, encoding, size_bytes_max=MIB)


def test_frames_by_other_writers_are_read() -> None:
    text = wire.encode(SMALL) * 50
    streamed = zstandard.ZstdCompressor(level=1).compressobj()
    checked = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False)
    for body in (streamed.compress(text) + streamed.flush(), checked.compress(text)):
        assert compression.inflate(body, "ZSTD ", size_bytes_max=MIB) == text
        for cut in range(0, len(body), 7):
            with pytest.raises(Malformed):
                compression.inflate(body[:cut], "zstd", size_bytes_max=MIB)
    assert compression.inflate(gzip.compress(text), "gzip", size_bytes_max=MIB) == text


def _unsized_zstd_bomb() -> bytes:
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    return b"".join([packer.compress(bytes(MIB)) for _ in range(256)] + [packer.flush()])


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", lambda: zlib.compress(bytes(64 * MIB), 9, 31)),
        ("zstd", lambda: zstandard.ZstdCompressor(level=3).compress(bytes(64 * MIB))),
        ("zstd", _unsized_zstd_bomb),
    ],
    ids=["gzip", "zstd with its size", "zstd without"],
)
def test_a_bomb_is_too_large_and_costs_little(encoding: str, bomb: Any) -> None:
    body = bomb()
    tracemalloc.start()
    with pytest.raises(TooLarge):
        compression.inflate(body, encoding, size_bytes_max=8 * MIB)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 32 * MIB


def test_a_zstd_window_beyond_the_bound_is_refused() -> None:
    """A frame may ask its reader for gigabytes of window; 8 MiB is ours."""
    options = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=options).compressobj()
    with pytest.raises((Malformed, TooLarge)):
        compression.inflate(packer.compress(bytes(200 * MIB)) + packer.flush(), "zstd", size_bytes_max=8 * MIB)


@unhurried
@given(st.binary(max_size=200), st.sampled_from([*compression.ENCODINGS, None, "", "br", "gzip, gzip"]))
def test_inflating_anything_raises_only_our_errors(data: bytes, encoding: str | None) -> None:
    with contextlib.suppress(Malformed, TooLarge, Unsupported):
        assert len(compression.inflate(data, encoding, size_bytes_max=100)) <= 100


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "x"])
def test_other_encodings_are_not_spoken(encoding: str) -> None:
    with pytest.raises(Unsupported):
        compression.inflate(b"", encoding, size_bytes_max=1)
    with pytest.raises(Unsupported):
        compression.deflate(b"", encoding)


def test_what_is_canonical_is_also_what_a_person_can_read() -> None:
    assert orjson.loads(wire.encode(SMALL)) == GOOD
    assert _same(wire.decode(orjson.dumps(GOOD)), SMALL)


def test_a_tombstone_travels() -> None:
    gone = Batch("d", "s", 3, (), Dropped(500, "spool_full"))
    assert wire.decode(wire.encode(gone)).dropped == gone.dropped == wire.decode_own(wire.encode(gone)).dropped


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (_with(v=2), "$.v"),
        (_with(seq=-1), "$.seq"),
        (_with(seq=2**63), "$.seq"),
        (_with(seq=True), "$.seq"),
        (_with(seq="1"), "$.seq"),
        (_with(device=".."), "$.device"),
        (_with(session=""), "$.session"),
        (_with(more=1), "$"),
        (_with(series=1), "$.series"),
        (_with(series=[GOOD["series"][0]] * (SERIES_MAX + 1)), "$.series"),
        (_with(dropped={"readings": 1, "reason": "x"}), "$.series"),
        (_with(series=[], dropped={"readings": -1, "reason": "x"}), "$.dropped.readings"),
        (_with(series=[], dropped={"readings": 1, "reason": "a b"}), "$.dropped.reason"),
        (_series(sensor="a/b"), "$.series[0].sensor"),
        (_series(t0=-1), "$.series[0].t0"),
        (_series(t0=2**63 - 1), "$.series[0].t0"),
        (_series(t0=1.5), "$.series[0].t0"),
        (_series(dt=[0, 0.5]), "$.series[0].dt[1]"),
        (_series(values={"w": [1, 2]}), "$.series[0].values.w"),
        (_series(sensor="nobody-knows"), "$.series[0].values.x"),
        (_series(values={"x": [1]}), "$.series[0].values.x"),
        (_series(values={"x": [1, "2"]}), "$.series[0].values.x[1]"),
        (_series(values={"x": [True, 2]}), "$.series[0].values.x[0]"),
        (_series(values={"x": [1, 1e39]}), "$.series[0].values.x[1]"),
        (_series(values={"x": [1, 4001]}), "$.series[0].values.x[1]"),
        (_series(values={"x": [[1], 2]}), "$.series[0].values.x[0]"),
        (_series(extra=[{}]), "$.series[0].extra"),
        (_series(extra=[None, {"a": "x" * EXTRA_BYTES_MAX}]), "$.series[0].extra[1]"),
        (_series(extra=[{"a": [[[[[1]]]]]}, None]), "$.series[0].extra[0]"),
        (
            _series(sensor="annotation", values={"text": ["", "x" * (TEXT_CHARS_MAX + 1)]}),
            "$.series[0].values.text[1]",
        ),
        (wire.encode(SMALL).replace(b"2.5", b"1e400"), "$.series[0].values.x[1]"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(body: bytes, path: str) -> None:
    with pytest.raises(Invalid) as e:
        wire.decode(body)
    assert e.value.path == path


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b"\xff",
        b'{"v":nan}',
        b'{"v":NaN',
        b'{"device":"\xff"}',
        wire.encode(SMALL) + b"1",
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        wire.decode(body)


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_constant_that_is_no_json_is_named_by_its_path(constant: bytes) -> None:
    with pytest.raises(Invalid) as e:
        wire.decode(wire.encode(SMALL).replace(b"2.5", constant))
    column, _, rest = str(e.value.path).removeprefix("$.series[0].values.").partition("[")
    assert column in SMALL.series[0].values
    assert SMALL.series[0].values[column][int(rest.rstrip("]"))] == 2.5


@pytest.mark.parametrize("nest", [b"[" * 100_000, b'{"a":' * 100_000])
def test_deep_nesting_is_refused(nest: bytes) -> None:
    for body in (nest, b'{"v":1,"device":"d","session":"s","seq":0,"series":' + nest):
        with pytest.raises((Malformed, Invalid)):
            wire.decode(body)
        with pytest.raises(Malformed):
            wire.decode_own(body)


def test_too_many_readings() -> None:
    with pytest.raises(TooLarge):
        wire.decode(_with(), readings_max=1)
    assert wire.decode(_with(), readings_max=2).readings == 2


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"1",
        _series(values={"x": [1]}),
        _series(values={"w": [1, 2]}),
        _series(values={"x": [[1], [2]]}),
        _series(values={"x": 5}),
        _series(dt=[0, 0.5]),
        _series(dt=[0, 2**63]),
        _series(t0=0.5),
        _series(t0="1"),
        _series(dt=None),
    ],
)
def test_a_poisoned_log_record_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        wire.decode_own(body)


@unhurried
@given(batches, st.data())
def test_a_mutated_body_is_a_batch_or_one_of_our_errors(batch: Batch, data: st.DataObject) -> None:
    body = bytearray(wire.encode(batch))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        kept = wire.decode(bytes(body))
    except (Malformed, Invalid, TooLarge):
        return
    assert _same(wire.decode(wire.encode(kept)), kept)
