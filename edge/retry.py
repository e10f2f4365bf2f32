"""What an edge does with an answer: free the batch, set it aside, hold the lane, or try again.  Pure.

    2xx                        free: the log has it
    400 409 413 415 422        set aside: the same bytes will be refused again
    401 403 404                hold: the bytes are fine, the credentials or the address are not; raise the alarm
    408 429 5xx, silence       try again, without end
    499 (Sensor Logger)        by its reason: credentials hold, anything else is set aside
    any other                  hold: nobody promised what it means, so nothing may be thrown away

Waits double from 0.1 s to 5 minutes, each drawn from the upper half of its step, so that a fleet that lost its
gateway at one moment does not come back at one moment.  A gateway that says Retry-After is believed (up to an hour).
A held lane asks again every five minutes or so: the operator may have mended it over there.
"""

from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from edge.transports import Answer

FIRST_WAIT_S = 0.1
WAIT_S_MAX = 300.0
RETRY_AFTER_S_MAX = 3600.0  # a broken clock or proxy may name any number
SPREAD = 0.25  # on top of Retry-After, never below it

SET_ASIDE = frozenset({400, 409, 413, 415, 422})
HOLD = frozenset({401, 403, 404})
SENSOR_LOGGER_REFUSED = 499
HOLD_CODES = frozenset({"unauthorised", "forbidden", "not_found"})


@dataclass(frozen=True, slots=True)
class Free:
    """Acknowledged: the batch may be forgotten."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Refused for good: keep the batch apart, with the reason, and go on with the next."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep the batch and all behind it, raise this alarm, ask again after `wait_s`."""

    alarm: str
    wait_s: float


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Send the same bytes again after `wait_s`."""

    wait_s: float


Action: TypeAlias = Free | SetAside | Hold | RetryIn


def decide(attempt: int, answer: Answer, random: Random) -> Action:
    """What to do after the `attempt`-th send (from 0) of one batch was answered so."""
    status = answer.status
    if status is None or status in (408, 429) or 500 <= status <= 599:
        return RetryIn(wait_s(attempt, answer.retry_after_s, random))
    if 200 <= status <= 299:
        return Free()
    if status in SET_ASIDE or (status == SENSOR_LOGGER_REFUSED and not _is_about_token(answer)):
        return SetAside(_reason(answer))
    return Hold(_reason(answer), random.uniform(WAIT_S_MAX / 2, WAIT_S_MAX))


def wait_s(attempt: int, retry_after_s: float | None, random: Random) -> float:
    """Seconds until the next try: Retry-After and a little more, or the attempt's step of the backoff."""
    if retry_after_s is not None and retry_after_s > 0:
        return min(retry_after_s, RETRY_AFTER_S_MAX) * random.uniform(1, 1 + SPREAD)
    step = min(WAIT_S_MAX, FIRST_WAIT_S * 2.0 ** min(attempt, 32))
    return random.uniform(step / 2, step)


def _is_about_token(answer: Answer) -> bool:
    """A 499 is text for a person; a refused token is named in it, a refused payload never speaks of one."""
    return answer.code in HOLD_CODES or (not answer.code and "token" in answer.detail.lower())


def _reason(answer: Answer) -> str:
    return " ".join(filter(None, (str(answer.status), answer.code, answer.detail)))
