"""One number a row: an alarm where a value, or the level of the last rows, is new to this stream.

A value's novelty is its gap to the nearest one seen before, against the gaps that this stream had before it (see
`_series`): it needs no unit, offset or sign.  An alarm is a moment: one row, and then only what is higher than
everything in the last 100 rows, against a threshold that each alarm raises and each row lowers a little: a stream that
would go on and on raising alarms (noise, a walk) gets no more than about 0.2 to 0.4 of them by 1,000 rows.

It speaks after 100 rows.  It does not see an anomaly whose values and short windows all occurred before (a missing
daily peak, a changed order): that needs a season, and a row's time is not used.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from consumers import detectors
from consumers.detectors import HIT, Feature, Floats, Hits, State, Times, Verdict
from consumers.detectors import _series as loop

WORDS = ("value", "level")
KIND = (0, 1)  # of each of them


class Detector(detectors.Detector):
    """Each field is judged by itself; of several in alarm at one row with one kind, the highest is told."""

    KINDS: ClassVar[tuple[str, ...]] = ("outlier", "level")
    MODEL: ClassVar[int] = 2

    def __init__(self, fields: Sequence[str] = (), *, threshold: float = loop.THRESHOLD) -> None:
        super().__init__(fields)
        self.threshold = threshold

    def features(self) -> tuple[Feature, ...]:
        """A field's value and its level (the mean of 36 rows)."""
        return tuple(Feature(name if word == "value" else f"{name} {word}") for name in self._names for word in WORDS)

    def _fresh(self) -> State:
        return loop.fresh(len(self._names), len(loop.ROWS))

    def _tuning(self) -> loop.Tuning:
        return loop.Tuning(loop.ROWS, loop.WEIGHT, self.threshold, loop.PENALTY, loop.GRANTED, loop.FLOOR, loop.FORGET)

    def _advance(self, state: State, t_ns: Times, values: Floats) -> Verdict:
        score, hits = np.zeros(len(t_ns)), [np.zeros(0, HIT)]
        for field in range(len(self._names)):
            column = loop.Column(**{name: array[field] for name, array in state.items()})
            n = len(t_ns)
            said = loop.Said(
                np.zeros(n), np.zeros(n, np.int64), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n, np.int64)
            )
            if loop.judge(t_ns, np.ascontiguousarray(values[:, field]), self._tuning(), column, said):
                hits.append(_hits(said, column, field))
            score = np.maximum(score, said.score)
        return Verdict(score, _one_a_kind(np.concatenate(hits)))


def _hits(said: loop.Said, column: loop.Column, field: int) -> Hits:
    rows = np.flatnonzero(said.carrier >= 0)
    carrier = said.carrier[rows]
    found = np.zeros(len(rows), HIT)
    found["row"], found["since_ns"], found["kind"] = rows, said.since_ns[rows], np.take(KIND, carrier)
    found["feature"] = field * len(loop.ROWS) + carrier
    found["score"] = said.score[rows]
    limit = np.finfo(np.float64).max
    for name in ("seen", "low", "high"):
        with np.errstate(over="ignore"):
            found[name] = np.clip(
                column.number[loop.BASE] + getattr(said, name)[rows] / column.number[loop.SCALE], -limit, limit
            )
    return found


def _one_a_kind(hits: Hits) -> Hits:
    order = np.lexsort((-hits["score"], hits["kind"], hits["row"]))
    hits = hits[order]
    again = (np.diff(hits["row"]) == 0) & (np.diff(hits["kind"]) == 0)
    kept: Hits = hits[np.append(True, ~again)] if len(hits) else hits
    return kept
