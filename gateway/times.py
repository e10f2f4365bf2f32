"""Times as people and programs write them in a query: integer UTC nanoseconds or ISO 8601.  Pure."""

import re
from datetime import UTC, datetime

from telemetry.batch import TIME_NS_MAX

_ISO = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](?P<clock>\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d{1,9})\d*)?(?P<zone>[Zz]|[+\- ]\d\d:?\d\d)?)?",
    re.ASCII,
)
_INTEGER = re.compile(r"-?\d{1,40}", re.ASCII)


def parse_ns(text: object) -> int:
    """UTC nanoseconds from 0 to 2^63-1; what is outside is moved to the nearer end, so that any time may be asked for.

    A time without a zone is UTC.  A blank before a zone is a `+` that was not percent-encoded.  Raises `ValueError`.
    """
    if isinstance(text, str):
        if _INTEGER.fullmatch(text):
            return _clamped(int(text))
        if found := _ISO.fullmatch(text):
            return _clamped(_iso_ns(found))
    raise ValueError("a time is integer UTC nanoseconds or ISO 8601, e.g. 2025-01-31T12:00:00Z")


def iso(t_ns: int) -> str:
    """ISO 8601 with all nine digits: readers that hold numbers as doubles lose the last of an integer."""
    seconds, ns = divmod(t_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"


def _iso_ns(found: re.Match[str]) -> int:
    clock = found["clock"] or "00:00:00"
    leap_s = 1 if clock.endswith(":60") else 0  # RFC 3339 has leap seconds, Python has not
    zone = (found["zone"] or "Z").upper().replace(" ", "+")
    whole = datetime.fromisoformat(f"{found['date']}T{clock[:-2] + '59' if leap_s else clock}{zone}")
    elapsed = whole - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = elapsed.days * 86_400 + elapsed.seconds + leap_s
    return seconds * 10**9 + int((found["fraction"] or "").ljust(9, "0") or 0)


def _clamped(t_ns: int) -> int:
    return min(max(t_ns, 0), TIME_NS_MAX)
