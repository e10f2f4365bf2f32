"""The retry table, status by status, and the backoff's bounds."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.retry import RETRY_AFTER_S_MAX, WAIT_S_MAX, Free, Hold, RetryIn, SetAside, decide, wait_s
from edge.transports import Answer


@pytest.mark.parametrize(
    ("statuses", "action"),
    [
        ((200, 201, 202, 204), Free),
        ((400, 409, 413, 415, 422), SetAside),
        ((401, 403, 404), Hold),
        ((408, 429, 500, 502, 503, 504, 507, 599, None), RetryIn),
        ((301, 307, 402, 405, 410, 418, 431, 600), Hold),
    ],
)
def test_every_status_has_its_action(statuses: tuple[int | None, ...], action: type) -> None:
    for status in statuses:
        assert isinstance(decide(0, Answer(status), Random(1)), action), status


def test_a_499_is_judged_by_its_reason() -> None:
    refused = decide(0, Answer(499, code="invalid", detail="payload is not a list"), Random(1))
    assert refused == SetAside("499 invalid payload is not a list")
    assert isinstance(decide(0, Answer(499, detail="payload is no list ($.payload)"), Random(1)), SetAside)
    assert isinstance(decide(0, Answer(499, detail="this token was revoked"), Random(1)), Hold)
    for code in ("unauthorised", "forbidden"):
        held = decide(0, Answer(499, code=code, detail="token revoked"), Random(1))
        assert isinstance(held, Hold)
        assert held.alarm == f"499 {code} token revoked"


def test_a_held_lane_asks_again() -> None:
    held = decide(0, Answer(401), Random(1))
    assert isinstance(held, Hold)
    assert 0 < held.wait_s <= WAIT_S_MAX


def test_the_first_steps_are_short_and_double() -> None:
    tops = [max(wait_s(n, None, Random(seed)) for seed in range(200)) for n in range(4)]
    for n, top in enumerate(tops):
        assert 0.09 * 2**n < top <= 0.1 * 2**n


@given(st.integers(0, 10**9), st.integers())
def test_backoff_never_ends_and_never_passes_five_minutes(attempt: int, seed: int) -> None:
    action = decide(attempt, Answer(503), Random(seed))
    assert isinstance(action, RetryIn)
    assert 0.05 <= action.wait_s <= WAIT_S_MAX


@given(st.floats(0.001, 1e12), st.integers(0, 50), st.integers())
def test_retry_after_is_honoured(asked_s: float, attempt: int, seed: int) -> None:
    wait = wait_s(attempt, asked_s, Random(seed))
    assert min(asked_s, RETRY_AFTER_S_MAX) <= wait <= min(asked_s, RETRY_AFTER_S_MAX) * 1.25


def test_a_fleet_that_fails_at_one_moment_comes_back_spread() -> None:
    waits = {round(wait_s(5, None, Random(seed)), 3) for seed in range(100)}
    assert len(waits) > 90
