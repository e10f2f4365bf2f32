"""`motion`: falls, crashes, potholes, harsh braking and cornering, in the phone's unknown orientation.

Columns are found by their names (ax ay az gx gy gz speed; others are not looked at); any may be absent.  Causal: a
sample is judged with the row after it, everything else with the rows before.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from consumers import detectors
from consumers.detectors import HIT, Feature, Floats, State, Times, Verdict
from consumers.detectors._motion_frame import frame
from consumers.detectors._motion_rules import (
    FEATURES,
    HIGH,
    KINDS,
    LOW,
    RULE_INTS,
    SCORE,
    SEEN,
    TOLD,
    fresh_rules,
    judge,
)
from consumers.detectors._motion_slots import FRAME, FRAME_INTS, fresh_frame

_COLUMNS = ("ax", "ay", "az", "gx", "gy", "gz", "speed")
_BLOCK_ROWS = 8_192


class Detector(detectors.Detector):
    """One device's motion; rows of 10 to 200 Hz, device time in nanoseconds."""

    KINDS: ClassVar[tuple[str, ...]] = KINDS
    MODEL: ClassVar[int] = 1

    def features(self) -> tuple[Feature, ...]:
        """One a kind."""
        return tuple(Feature(name, unit) for name, unit in FEATURES)

    def _fresh(self) -> State:
        return {
            "frame": fresh_frame(),
            "frame_n": np.zeros(FRAME_INTS, np.int64),
            "rules": fresh_rules(),
            "rules_n": np.zeros(RULE_INTS, np.int64),
        }

    def _advance(self, state: State, t_ns: Times, values: Floats) -> Verdict:
        columns = _places(self._names)
        blocks = [
            self._block(state, columns, t_ns[at : at + _BLOCK_ROWS], values[at : at + _BLOCK_ROWS], at)
            for at in range(0, len(t_ns), _BLOCK_ROWS)
        ]
        return Verdict(
            np.concatenate([block.score for block in blocks]), np.concatenate([block.hits for block in blocks])
        )

    @staticmethod
    def _block(state: State, columns: Times, t_ns: Times, values: Floats, offset: int) -> Verdict:
        n = len(t_ns)
        t_ns = np.ascontiguousarray(t_ns, np.int64)
        frames, told = np.zeros((n, FRAME)), np.zeros((n, len(KINDS), TOLD))
        since = np.zeros((n, len(KINDS)), np.int64)
        frame(t_ns, values, columns, state["frame"], state["frame_n"], frames)
        judge(t_ns, frames, state["rules"], state["rules_n"], told, since)
        rows, kinds = np.nonzero(told[:, :, SCORE] >= 1.0)
        hits = np.zeros(len(rows), HIT)
        said = told[rows, kinds]
        hits["row"], hits["since_ns"], hits["kind"], hits["feature"] = rows + offset, since[rows, kinds], kinds, kinds
        hits["score"], hits["seen"] = said[:, SCORE], said[:, SEEN]
        hits["low"], hits["high"] = said[:, LOW], said[:, HIGH]
        return Verdict(told[:, :, SCORE].max(axis=1), hits)


def _places(names: Sequence[str]) -> Times:
    return np.array([names.index(name) if name in names else -1 for name in _COLUMNS], np.int64)
