"""Any JSON from a stranger: decoded without losing a message to one number that is too large for a float."""

import json
import math
from typing import Any, NoReturn

import orjson

from telemetry.errors import Malformed

_INT64_CHARS_MAX = 20


def load_json(text: bytes) -> Any:
    """Any JSON value; a number beyond float64 (1e400) is read as infinite.  Raises `Malformed`."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as e:
        if "infinity" not in str(e):
            raise Malformed(f"not JSON: {e}") from e
    return _load_with_infinity(text)


def _load_with_infinity(text: bytes) -> Any:
    """One number is too large for the fast decoder: the rest of the message must not be lost with it."""
    try:
        value = json.loads(text.decode(), parse_int=_integer, parse_constant=_refuse_constant)
        orjson.dumps(value)  # refuses what only the slower decoder lets pass: lone surrogates, deep nesting
    except RecursionError as e:
        raise Malformed("not JSON: nested too deeply") from e
    except (ValueError, TypeError) as e:
        raise Malformed(f"not JSON: {e}") from e
    return value


def _integer(text: str) -> int | float:
    """As the fast decoder has it: beyond 64 bits a float.  int() of long text would take quadratic time."""
    if len(text) <= _INT64_CHARS_MAX and -(2**63) <= (number := int(text)) < 2**64:
        return number
    return float(text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def is_finite(value: Any) -> bool:
    """False when an infinite number stands anywhere in a decoded value (of bounded depth)."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    return all(map(is_finite, value)) if isinstance(value, list) else True
