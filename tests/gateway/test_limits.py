"""Token buckets and bytes in flight, against a model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits import Buckets, InFlight
from telemetry.errors import NotReady, RateLimited


@given(st.lists(st.floats(0, 3), max_size=80), st.integers(1, 5), st.sampled_from([0.5, 1.0, 4.0]))
def test_a_bucket_is_a_bucket(gaps_s: list[float], burst: int, per_s: float) -> None:
    """Compared with the plain definition: `burst` tokens, refilled at `per_s`, one a request."""
    buckets, tokens, now_s = Buckets(per_s=per_s, burst=burst), float(burst), 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        tokens = min(burst, tokens + gap_s * per_s)
        if abs(tokens - 1) < 1e-6:
            return  # on the edge, floats may go either way
        if tokens > 1:
            tokens -= 1
            buckets.take("a", now_s)
        else:
            with pytest.raises(RateLimited) as refused:
                buckets.take("a", now_s)
            assert refused.value.retry_after_s == pytest.approx((1 - tokens) / per_s, abs=1e-6)


def test_buckets_are_apart() -> None:
    buckets = Buckets(per_s=1, burst=1)
    buckets.take("a", 0)
    buckets.take("b", 0)
    with pytest.raises(RateLimited):
        buckets.take("a", 0.5)
    buckets.take("a", 1.0)


def test_one_device_cannot_take_all_the_bytes() -> None:
    budget = InFlight(8000, body_bytes_max=100)
    with budget.hold("greedy") as held:
        held.grow(1000)
        with pytest.raises(RateLimited):
            held.grow(1)
        with budget.hold("other") as other:
            other.grow(1000)
    assert budget.left_bytes == 8000


def test_all_devices_together_are_bounded() -> None:
    budget = InFlight(100, body_bytes_max=50)
    with budget.hold("a") as a, budget.hold("b") as b:
        a.grow(60)
        with pytest.raises(NotReady):
            b.grow(41)
        b.grow(40)
        assert budget.left_bytes == 0
    assert budget.left_bytes == 100
