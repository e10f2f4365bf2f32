"""One number a row: an alarm where a value, the level or the spread of the last rows is new to this stream.

A value's novelty is its gap to the nearest one seen before, against the gaps that this stream had before it (see
`_series`): it needs no unit, offset or sign.  An alarm is a moment: one row, and then only what is higher than
everything in the last 100 rows, against a threshold that each alarm raises and time relaxes.

It speaks after 50 rows.  It does not see an anomaly whose values and short windows all occurred before (a missing
daily peak, a changed order): that needs a season, and a row's time is not used.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from consumers import detectors
from consumers.detectors import HIT, Feature, Floats, Hits, State, Times, Verdict
from consumers.detectors import _series as loop

WORDS = ("value", "level", "spread")


class Detector(detectors.Detector):
    """Each field is judged by itself; of several in alarm at one row with one kind, the highest is told."""

    KINDS: ClassVar[tuple[str, ...]] = ("outlier", "level", "spread")
    MODEL: ClassVar[int] = 1

    def __init__(self, fields: Sequence[str] = (), *, threshold: float = loop.THRESHOLD) -> None:
        super().__init__(fields)
        self.threshold = threshold

    def features(self) -> tuple[Feature, ...]:
        """A field's value, its level (mean of 24 rows) and its spread (range of 96 rows)."""
        return tuple(Feature(name if word == "value" else f"{name} {word}") for name in self._names for word in WORDS)

    def _fresh(self) -> State:
        return loop.fresh(len(self._names), len(loop.KIND))

    def _tuning(self) -> loop.Tuning:
        return loop.Tuning(loop.KIND, loop.ROWS, loop.WEIGHT, self.threshold, loop.PENALTY, loop.RELAX, loop.FORGET)

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
    found["row"], found["since_ns"], found["kind"] = rows, said.since_ns[rows], carrier
    found["feature"] = field * len(loop.KIND) + carrier
    found["score"] = said.score[rows]
    base = np.where(loop.KIND[carrier] == loop.RANGE, 0.0, column.number[loop.BASE])
    limit = np.finfo(np.float64).max
    for name in ("seen", "low", "high"):
        with np.errstate(over="ignore"):
            found[name] = np.clip(base + getattr(said, name)[rows] / column.number[loop.SCALE], -limit, limit)
    return found


def _one_a_kind(hits: Hits) -> Hits:
    order = np.lexsort((-hits["score"], hits["kind"], hits["row"]))
    hits = hits[order]
    again = (np.diff(hits["row"]) == 0) & (np.diff(hits["kind"]) == 0)
    kept: Hits = hits[np.append(True, ~again)] if len(hits) else hits
    return kept
