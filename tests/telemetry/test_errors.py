"""The error tree is what its docstring draws, and says whether trying again can help."""

import re

import pytest

from telemetry import errors
from telemetry.errors import Hold, Permanent, Retryable, SensorlineError


def _all(base: type[SensorlineError]) -> list[type[SensorlineError]]:
    return [c for sub in base.__subclasses__() for c in (sub, *_all(sub)) if c.__module__ == errors.__name__]


def test_every_class_is_in_the_drawing_with_its_status() -> None:
    drawn = dict(re.findall(r"[|`]- (\w+) +(\d{3})", errors.__doc__ or ""))
    leaves = {c.__name__: str(c.status) for c in _all(SensorlineError) if not c.__subclasses__()}
    assert drawn == leaves


@pytest.mark.parametrize("kind", _all(SensorlineError), ids=lambda c: c.__name__)
def test_a_class_says_whether_to_try_again(kind: type[SensorlineError]) -> None:
    assert issubclass(kind, Permanent | Hold | Retryable)
    assert kind.retryable == issubclass(kind, Retryable)
    assert kind.status >= 400
    error = kind("what, where and the mend", path="$.x", retry_after_s=2.0)
    assert (str(error), error.path, error.retry_after_s) == ("what, where and the mend", "$.x", 2.0)


def test_codes_are_unique() -> None:
    codes = [c.code for c in _all(SensorlineError)]
    assert len(set(codes)) == len(codes)
