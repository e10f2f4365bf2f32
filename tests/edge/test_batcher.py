"""Cuts hold what was appended, in order, and stay within every limit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.batcher import Batcher, Cut, CutLimits, join, size_bytes, split
from telemetry import wire
from telemetry.batch import Batch, Series

T0 = 1_700_000_000_000_000_000


def motion(sensor: str, start: int, n: int, *, z: bool = True) -> Series:
    t = T0 + (start + np.arange(n)) * 10_000_000
    values = {axis: np.sin(t / 1e9 + k) for k, axis in enumerate("xyz" if z else "xy")}
    return Series.of(sensor, t, values)


def content(series: list[Series]) -> dict[str, bytes]:
    """All readings by sensor, as canonical bytes."""
    parts: dict[str, list[Series]] = {}
    for s in series:
        parts.setdefault(s.sensor, []).append(s)
    return {sensor: wire.encode(Batch("d", "s", 0, (join(p),))) for sensor, p in parts.items()}


appends = st.lists(
    st.tuples(st.sampled_from(["acceleration", "gyroscope", "battery"]), st.integers(1, 60), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(appends, st.integers(600, 6_000), st.integers(1, 150), st.floats(0, 3))
def test_nothing_is_lost_or_reordered_and_no_limit_is_passed(
    calls: list[tuple[str, int, bool]], size_bytes_max: int, readings_max: int, step_s: float
) -> None:
    batcher = Batcher(CutLimits(size_bytes_max, readings_max, 1.0))
    given_series, cuts, at = [], [], 0
    for k, (sensor, n, z) in enumerate(calls):
        if sensor == "battery":
            series = Series.of("battery", [T0 + (at + i) * 10_000_000 for i in range(n)], {"state": ["full"] * n})
        else:
            series = motion(sensor, at, n, z=z)
        at += n
        given_series.append(series)
        cuts += batcher.append(series, k * step_s)
    cuts += batcher.flush()

    assert content([s for cut in cuts for s in cut]) == content(given_series)
    for cut in cuts:
        readings = sum(map(len, cut))
        assert 1 <= readings <= readings_max
        assert size_bytes(cut) <= size_bytes_max or readings == 1
        assert len({s.sensor for s in cut}) == len(cut)


def test_a_cut_falls_when_the_oldest_has_waited_the_period() -> None:
    batcher = Batcher(CutLimits(period_s=1.0))
    assert batcher.due_s is None
    assert batcher.append(motion("acceleration", 0, 10), 5.0) == []
    assert batcher.append(motion("acceleration", 10, 10), 5.9) == []
    assert batcher.due_s == 6.0
    assert batcher.poll(5.99) == []
    (cut,) = batcher.poll(6.0)
    assert [len(s) for s in cut] == [20]
    assert batcher.due_s is None
    assert batcher.flush() == []


def test_the_default_keeps_a_batch_within_64_kib() -> None:
    batcher = Batcher(CutLimits(period_s=3600))
    cuts: list[Cut] = []
    for k in range(120):
        for sensor in ("acceleration", "gyroscope", "magnetometer"):
            cuts += batcher.append(motion(sensor, k * 100, 100), float(k))
    sizes = [size_bytes(cut) for cut in cuts]
    assert len(sizes) > 5
    assert max(sizes) <= 64 * 1024
    assert min(sizes) > 24 * 1024, "a cut is well filled, or half of one that was a little too large"


def test_one_reading_that_is_too_large_travels_alone() -> None:
    long = Series.of("annotation", [T0, T0 + 1], {"text": ["a" * 3000, "b" * 10]})
    parts = split((long,), CutLimits(size_bytes_max=1000))
    assert [s.values["text"] for (s,) in parts] == [("a" * 3000,), ("b" * 10,)]


def test_a_field_that_a_piece_lacks_is_absent_from_its_readings() -> None:
    whole = join([motion("acceleration", 0, 2), motion("acceleration", 2, 2, z=False)])
    assert np.isnan(whole.values["z"]).tolist() == [False, False, True, True]
    texts = join(
        [
            Series.of("battery", [T0], {"level": [0.5]}, [None]),
            Series.of("battery", [T0 + 1], {"state": ["full"]}, ['{"a":1}']),
        ]
    )
    assert texts.values["state"] == (None, "full")
    assert texts.extra == (None, '{"a":1}')
