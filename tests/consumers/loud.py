"""A detector for tests: a row whose value is 1 or more is in alarm, of kind "loud", or "quiet" below -1."""

from typing import ClassVar

import numpy as np

from consumers import detectors
from consumers.detectors import HIT, Feature, Floats, State, Times, Verdict


class Loud(detectors.Detector):
    """Looks at the first column only; it learns how many rows there were."""

    KINDS: ClassVar[tuple[str, ...]] = ("loud", "low")
    MODEL: ClassVar[int] = 3

    def features(self) -> tuple[Feature, ...]:
        return (Feature("loudness", "dB"), Feature("depth"))

    def _fresh(self) -> State:
        return {"rows": np.zeros(1, np.int64)}

    def _advance(self, state: State, t_ns: Times, values: Floats) -> Verdict:
        state["rows"] += len(t_ns)
        size = np.abs(values[:, 0])
        rows = np.flatnonzero(size >= 1)
        hits = np.zeros(len(rows), HIT)
        hits["row"], hits["since_ns"], hits["score"], hits["seen"] = rows, t_ns[rows], size[rows], values[rows, 0]
        hits["kind"] = hits["feature"] = values[rows, 0] < 0
        hits["high"] = 0.5
        return Verdict(np.where(size >= 1, size, 0.0), hits)
