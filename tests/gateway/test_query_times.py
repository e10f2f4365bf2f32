"""Times as people write them become exact nanoseconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.times import iso, parse_ns
from telemetry.batch import TIME_NS_MAX

T0 = 1_700_000_000_123_456_789


@given(st.integers(0, TIME_NS_MAX))
def test_both_notations_come_back_exactly(t_ns: int) -> None:
    assert parse_ns(str(t_ns)) == t_ns
    assert parse_ns(iso(t_ns)) == t_ns


@pytest.mark.parametrize(
    ("text", "t_ns"),
    [
        ("2023-11-14T22:13:20.123456789Z", T0),
        ("2023-11-14t22:13:20.123456789z", T0),
        ("2023-11-14 22:13:20.123456789", T0),
        ("2023-11-15T00:13:20.123456789+02:00", T0),
        ("2023-11-15T00:13:20.123456789 02:00", T0),  # a + that a query string turned into a blank
        ("2023-11-14T20:13:20.123456789-0200", T0),
        ("2023-11-14T22:13:20.1234567891Z", T0),
        ("2023-11-14", 1_699_920_000 * 10**9),
        ("2023-11-14T22:13", 1_699_999_980 * 10**9),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * 10**9),
        ("0001-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59Z", TIME_NS_MAX),
        ("-5", 0),
        ("9" * 40, TIME_NS_MAX),
    ],
)
def test_notations(text: str, t_ns: int) -> None:
    assert parse_ns(text) == t_ns


@pytest.mark.parametrize(
    "text",
    ["", "now", "1.5", "1e9", "²", "2023-1-1", "2023-02-30", "2023-11-14T25:00:00Z", "9" * 41, "1_000", None,
     "2023-11-14T22:13:20+99:99", "2023-11-14T22:61:60Z", "0001-01-01T00:00:00+23:59x"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"time|month|day|hour|minute|offset|range"):
        parse_ns(text)
