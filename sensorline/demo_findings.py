"""What befalls the demo's devices, and how soon the station says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from simulator.disturbances import Disturbance, Happening, disturbance

PLAN: Mapping[int, tuple[tuple[str, float], ...]] = MappingProxyType(
    {0: (("fall", 12.55),), 2: (("pothole", 14.4),), 3: (("stuck", 16.2),)}
)
"""By a device's number (0 walks, 2 and 3 drive): the kind, and seconds after its start (with its phase on top)."""

REPEAT_S = 40.0
NEED_S = 4.0  # a disturbance this near to the end would not be told any more
TOLERANCE_NS = 10**9  # an anomaly may be said to begin a little before or after what caused it


def planned(devices: int, seconds: int | None) -> dict[int, tuple[Disturbance, ...]]:
    """What is to happen to which device: once in `seconds`, or again and again without an end."""
    last_s = 3600.0 if seconds is None else seconds - NEED_S
    plan: dict[int, tuple[Disturbance, ...]] = {}
    for n, kinds in PLAN.items():
        rounds = [
            disturbance(kind, at_s + REPEAT_S * k)
            for k in range(int(last_s / REPEAT_S) + 1)
            for kind, at_s in kinds
            if at_s + REPEAT_S * k <= last_s
        ]
        if n < devices and rounds:
            plan[n] = tuple(rounds)
    return plan


@dataclass(frozen=True, slots=True)
class Finding:
    """An anomaly as it came to be seen; `delay_s` from the start of what caused it, None when nothing of ours did."""

    device: str
    kind: str
    severity: str
    words: str
    injected: str | None
    delay_s: float | None


@dataclass
class Watch:
    """Holds what was planned against what is found."""

    happenings: list[Happening] = field(default_factory=list)
    found: dict[tuple[str, int], Finding] = field(default_factory=dict)  # first finding of each happening
    seen: set[str] = field(default_factory=set)

    def take(self, anomalies: Iterable[Mapping[str, Any]], now_ns: int) -> list[Finding]:
        """Those that were not seen before; `anomalies` as the API lists them."""
        fresh = [one for one in anomalies if one["id"] not in self.seen]
        self.seen.update(one["id"] for one in fresh)
        return [self._finding(one, now_ns) for one in sorted(fresh, key=lambda one: int(one["start_ns"]))]

    def begun(self, now_ns: int) -> int:
        """How many of the planned have begun."""
        return sum(h.start_ns <= now_ns for h in self.happenings)

    def _finding(self, anomaly: Mapping[str, Any], now_ns: int) -> Finding:
        cause = self._cause(str(anomaly["device"]), int(anomaly["start_ns"]), int(anomaly["end_ns"]))
        finding = Finding(
            device=anomaly["device"],
            kind=anomaly["kind"],
            severity=anomaly["severity"],
            words=anomaly["words"],
            injected=cause.kind if cause else None,
            delay_s=round((now_ns - cause.start_ns) / 1e9, 2) if cause else None,
        )
        if cause is not None:
            self.found.setdefault((cause.device, cause.start_ns), finding)
        return finding

    def _cause(self, device: str, start_ns: int, end_ns: int) -> Happening | None:
        for h in self.happenings:
            touches = start_ns <= h.end_ns + TOLERANCE_NS and end_ns >= h.start_ns - TOLERANCE_NS
            if h.device == device and touches:
                return h
        return None
