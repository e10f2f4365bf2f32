"""Scoring of alarms against events: recall and latency by kind, precision, false alarms an hour.

An event is found by an alarm from its start to `GRACE_S` after its end.  An alarm is right from an event's start to
`TAIL_S` after its end, and false elsewhere; of a run of alarms one counts every `HOLD_S`, so that a burst is one alarm
and a detector that stays on pays again and again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumers.detectors import Floats
from sensorline.evaluation._motion_streams import Stream

GRACE_S = 2.0
TAIL_S = 12.0
HOLD_S = 2.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted; tallies of different streams add up."""

    found_s: dict[str, list[float]]  # latencies of what was found, by kind
    events: dict[str, int]
    false: int
    hours: float

    @property
    def found(self) -> int:
        """How many events were found."""
        return sum(len(latencies) for latencies in self.found_s.values())

    @property
    def recall(self) -> float:
        """Of the events, how many were found."""
        return self.found / max(sum(self.events.values()), 1)

    @property
    def precision(self) -> float:
        """Events found over these and the false alarms."""
        return self.found / max(self.found + self.false, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision."""
        return 2 * self.recall * self.precision / max(self.recall + self.precision, 1e-9)

    @property
    def false_an_hour(self) -> float:
        """False alarms an hour of stream."""
        return self.false / max(self.hours, 1e-9)

    def latency_s(self, kind: str | None = None) -> float | None:
        """Median, of one kind or of all; None when none was found."""
        chosen = [kind] if kind else list(self.found_s)
        all_s = [s for k in chosen for s in self.found_s.get(k, [])]
        return float(np.median(all_s)) if all_s else None

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        kinds = sorted({*self.events, *other.events})
        return Tally(
            {k: self.found_s.get(k, []) + other.found_s.get(k, []) for k in kinds},
            {k: self.events.get(k, 0) + other.events.get(k, 0) for k in kinds},
            self.false + other.false,
            self.hours + other.hours,
        )


EMPTY = Tally({}, {}, 0, 0.0)


def tally(stream: Stream, score: Floats, threshold: float) -> Tally:
    """Count one stream's alarms: the rows whose score reaches the threshold."""
    raw = stream.true_s[score >= threshold]
    held = _held(raw)
    right = np.zeros(len(held), bool)
    found: dict[str, list[float]] = {}
    events: dict[str, int] = {}
    for kind, start, end in stream.events:
        events[kind] = events.get(kind, 0) + 1
        latencies = found.setdefault(kind, [])
        first = int(np.searchsorted(raw, start))
        if first < len(raw) and raw[first] <= end + GRACE_S:
            latencies.append(float(raw[first] - start))
        right |= (held >= start) & (held <= end + TAIL_S)
    hours = float(stream.true_s[-1] - stream.true_s[0]) / 3600
    return Tally(found, events, int((~right).sum()), hours)


def total(streams: Sequence[Stream], scores: Sequence[Floats], threshold: float) -> Tally:
    """Of several streams together."""
    whole = EMPTY
    for stream, score in zip(streams, scores, strict=True):
        whole = whole.plus(tally(stream, score, threshold))
    return whole


def best_threshold(streams: Sequence[Stream], scores: Sequence[Floats], tries: int = 60) -> float:
    """The threshold with the best F1 on these streams, from quantiles of their highest scores."""
    high = np.concatenate([np.sort(score)[-4000:] for score in scores])
    tried = np.unique(np.quantile(high, 1 - np.geomspace(1e-4, 0.9, tries)))
    return max((total(streams, scores, float(q)).f1, float(q)) for q in tried)[1]


def _held(alarms_s: Floats) -> Floats:
    held: list[float] = []
    for at_s in alarms_s:
        if not held or at_s - held[-1] >= HOLD_S:
            held.append(float(at_s))
    return np.array(held)
