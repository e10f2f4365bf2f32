"""What an alarm says to a person: "vibration 4.1x its usual for this device at 14:02:07"."""

from datetime import UTC, datetime

from telemetry.anomaly import Evidence

TIMES_MIN = 1.2  # below that "x its usual" says nothing: give the numbers
TIMES_MAX = 1e4


def evidence(feature: str, unit: str, seen: float, low: float, high: float) -> Evidence:
    """The feature with its numbers and its words; `low` and `high` are the usual range."""
    return Evidence(feature, unit, seen, low, high, f"{feature} {_compared(seen, low, high, unit)}")


def sentence(kind: str, said: Evidence, at_ns: int) -> str:
    """One line for an alert or a list; the time of day is UTC."""
    moment = datetime.fromtimestamp(at_ns // 10**9, UTC)
    return f"{kind.replace('_', ' ')}: {said.words} for this device at {moment:%H:%M:%S}"


def _compared(seen: float, low: float, high: float, unit: str) -> str:
    usual = max(abs(low), abs(high))
    times = abs(seen) / usual if usual > 0 else 0.0
    if TIMES_MIN <= times <= TIMES_MAX and low >= 0:
        return f"{times:.1f}x its usual"
    suffix = f" {unit}" if unit else ""
    return f"{number(seen)}{suffix}, usually {number(low)} to {number(high)}{suffix}"


def number(value: float) -> str:
    """Three significant digits, as a person writes them."""
    return f"{value:.3g}"
