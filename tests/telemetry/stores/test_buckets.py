"""The definition of an envelope's buckets, for any span and any number of points."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.errors import Invalid
from telemetry.ports import Span
from telemetry.stores._buckets import MS_NS, bounds, buckets

TIMES = st.integers(min_value=0, max_value=2**63 - 1)


@given(TIMES, TIMES, st.integers(1, 20_000))
@example(0, 2**63 - 1, 1)
@example(999_999, 1_000_001, 2)
@example(2**63 - 1, 2**63 - 1, 20_000)
def test_at_most_that_many_buckets_of_whole_milliseconds_cover_the_span(a: int, b: int, points: int) -> None:
    from_ns, to_ns = sorted((a, b))
    origin_ns, width_ns = buckets(Span("d", "s", from_ns, to_ns), points)
    assert origin_ns % MS_NS == width_ns % MS_NS == 0
    assert 0 <= from_ns - origin_ns < MS_NS
    assert width_ns >= MS_NS
    _first, last_ns = bounds(from_ns, to_ns)
    assert (last_ns - origin_ns) // width_ns < points
    assert width_ns == MS_NS or (last_ns - origin_ns) // (width_ns - MS_NS) + 1 > points, (
        "and none is wider than needed"
    )


def test_equal_parts_of_a_span_that_divides() -> None:
    assert buckets(Span("d", "s", 5 * 10**9, 65 * 10**9), 60) == (5 * 10**9, 10**9)


def test_bounds_of_nonsense_hold_nothing_and_overflow_nowhere() -> None:
    assert bounds(-(2**80), 2**80) == (0, 2**63 - 1)
    first, last = bounds(10, 5)
    assert first > last
    assert bounds(-5, -1) == (0, -1)


@pytest.mark.parametrize("points", [0, -3, 20_001])
def test_a_number_of_points_out_of_range_is_refused(points: int) -> None:
    with pytest.raises(Invalid, match="points"):
        buckets(Span("d", "s", 0, 1), points)
