"""How much an anomaly matters: what it is, and how far beyond its threshold it went.  Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from telemetry.anomaly import Severity

_ORDER = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)

_BY_KIND: Mapping[str, Severity] = MappingProxyType(
    {
        "fall": Severity.CRITICAL,
        "crash": Severity.CRITICAL,
        "gps_spoof": Severity.CRITICAL,
        "pothole": Severity.INFO,
        "harsh_brake": Severity.INFO,
        "harsh_corner": Severity.INFO,
        "spike": Severity.INFO,
        "gps_freeze": Severity.INFO,
    }
)
"""What people are hurt by is critical, what passes by itself is information; all else is a warning."""

_FAR = 5.0  # this many times the threshold is one step more
_AS_THEY_ARE = frozenset({"spike", "dropout", "clock_jump", "gps_jump", "gps_freeze", "silence", "storm"})
"""Kinds whose size says nothing of how bad they are: a wrong sample is no worse for being very wrong."""


def severity(kind: str, score: float) -> Severity:
    """`score` in units of the alarm's threshold."""
    usual = _BY_KIND.get(kind, Severity.WARNING)
    if kind in _AS_THEY_ARE or score < _FAR:
        return usual
    return _ORDER[min(_ORDER.index(usual) + 1, len(_ORDER) - 1)]


def is_worse(one: Severity, other: Severity) -> bool:
    """Whether the one is more severe than the other."""
    return _ORDER.index(one) > _ORDER.index(other)
