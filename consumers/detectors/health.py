"""Health: rules before learning.  Whether a stream's sensors, clock and GPS work, told apart from what they measure.

Columns named as a motion stream's (ax..az, gx..gz, latitude, longitude, speed, horizontalAccuracy) get the inertial
and the GPS rules; any other column gets the generic ones, which learn what is usual for it first.  Silence of a whole
device is not seen here: without a row there is nothing to judge.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np

from consumers import detectors
from consumers.detectors import _health_body as body
from consumers.detectors import _health_clock as clock
from consumers.detectors import _health_columns as columns
from consumers.detectors import _health_drift as drift
from consumers.detectors import _health_gps as gps
from consumers.detectors._health_board import (
    FEATURE,
    HIGH,
    KINDS,
    LOW,
    SCORE,
    SCORE_MAX,
    SEEN,
    SINCE,
    VALUE_MAX,
    Rows,
    rows_of,
)

_BODY = ("ax", "ay", "az", "gx", "gy", "gz")
_GPS = ("latitude", "longitude", "speed", ("horizontalAccuracy", "horizontal_accuracy"))
_BLOCK_ROWS = 2_048  # what the board holds; where a block ends changes nothing
_BODY_BASE = len(clock.FEATURES)
_GPS_BASE = _BODY_BASE + len(body.FEATURES)
_DRIFT_BASE = _GPS_BASE + len(gps.FEATURES)
_COLUMNS_BASE = _DRIFT_BASE + len(drift.FEATURES)
_ROLES = frozenset((*_BODY, "latitude", "longitude", "speed", "horizontalAccuracy", "horizontal_accuracy"))


class Detector(detectors.Detector):
    """Rules over one sensor's columns, or over the motion columns; kinds as in `KINDS`."""

    KINDS: ClassVar[tuple[str, ...]] = KINDS
    MODEL: ClassVar[int] = 1

    def features(self) -> tuple[detectors.Feature, ...]:
        """The rules' features."""
        fixed = (*clock.FEATURES, *body.FEATURES, *gps.FEATURES, *drift.FEATURES)
        named = (rule.format(name) for name in self._others() for rule in columns.FEATURES)
        return (*(detectors.Feature(name, unit) for name, unit in fixed), *(detectors.Feature(name) for name in named))

    def _fresh(self) -> detectors.State:
        """All rules' states; names of columns are read each time, not stored."""
        return {
            "clock": np.zeros(clock.CLOCK_SLOTS),
            "clock_ns": np.zeros(clock.CLOCK_INTS, np.int64),
            "axes": np.zeros((body.AXES, body.AXIS_SLOTS)),
            "axes_ns": np.zeros(body.BODY_INTS, np.int64),
            "groups": np.zeros((body.GROUPS, body.GROUP_SLOTS)),
            "gravity": np.zeros(body.GRAVITY_SLOTS),
            "gps": np.zeros(gps.GPS_SLOTS),
            "gps_ns": np.zeros(gps.GPS_INTS, np.int64),
            "gps_ring": np.zeros((gps.RING, 4)),
            "tick": np.zeros(drift.TICK_SLOTS),
            "tick_ns": np.zeros(drift.DRIFT_INTS, np.int64),
            "slow": np.zeros((drift.SENSORS, drift.SLOW_SLOTS)),
            "model_p": np.zeros((drift.SENSORS, drift.INPUTS, drift.INPUTS)),
            "model_w": np.zeros((drift.SENSORS, drift.INPUTS, 3)),
            "columns": np.zeros((len(self._others()), columns.COLUMN_SLOTS)),
            "columns_ns": np.zeros((len(self._others()), columns.COLUMN_INTS), np.int64),
        }

    def _advance(self, state: detectors.State, t_ns: detectors.Times, values: detectors.Floats) -> detectors.Verdict:
        times = np.ascontiguousarray(t_ns, np.int64)
        blocks = [
            self._block(state, times[at : at + _BLOCK_ROWS], values[at : at + _BLOCK_ROWS], at)
            for at in range(0, len(times), _BLOCK_ROWS)
        ]
        return detectors.Verdict(np.concatenate([b.score for b in blocks]), np.concatenate([b.hits for b in blocks]))

    def _block(
        self, state: detectors.State, t_ns: detectors.Times, values: detectors.Floats, at: int
    ) -> detectors.Verdict:
        rows = rows_of(t_ns)
        clock.clock(rows, state["clock"], state["clock_ns"])
        axes, since, groups, gravity = (state[name] for name in ("axes", "axes_ns", "groups", "gravity"))
        body.body(rows, values, self._columns(_BODY), axes, since, groups, gravity, _BODY_BASE)
        gps.gps(rows, values, self._columns(_GPS), state["gps"], state["gps_ns"], state["gps_ring"], _GPS_BASE)
        places = self._columns((*_BODY, *_GPS[:3]))
        drift.drift(
            rows, values, places, state["tick"], state["tick_ns"], state["slow"],
            state["model_p"], state["model_w"], _DRIFT_BASE,
        )  # fmt: skip
        others = self._columns(self._others())
        columns.columns(rows, values, others, state["columns"], state["columns_ns"], _COLUMNS_BASE)
        return _verdict(rows, at)

    def _others(self) -> tuple[str, ...]:
        return tuple(name for name in self._names if name not in _ROLES)[: columns.COLUMNS_MAX]

    def _columns(self, names: tuple[str | tuple[str, ...], ...]) -> detectors.Times:
        return _places(self._names, names)


@lru_cache(maxsize=256)
def _places(names: tuple[str, ...], wanted: tuple[str | tuple[str, ...], ...]) -> detectors.Times:
    """Where these columns stand; a fleet asks for few different ones at every batch."""
    return np.array([_place(names, name) for name in wanted], np.int64)


def _place(names: Sequence[str], wanted: str | tuple[str, ...]) -> int:
    """Where the column stands that has this name, or one of these; -1 when there is none."""
    aliases = (wanted,) if isinstance(wanted, str) else wanted
    return next((names.index(name) for name in aliases if name in names), -1)


def _verdict(rows: Rows, at: int) -> detectors.Verdict:
    highest = np.minimum(rows.board[:, :, SCORE].max(axis=1), SCORE_MAX)
    if highest.max() < 1.0:
        return detectors.Verdict(highest, np.zeros(0, detectors.HIT))
    found, kinds = np.nonzero(rows.board[:, :, SCORE] >= 1.0)
    hits = np.zeros(len(found), detectors.HIT)
    hits["row"] = found + at
    hits["kind"] = kinds
    for name, slot in (("seen", SEEN), ("low", LOW), ("high", HIGH)):
        hits[name] = np.clip(rows.board[found, kinds, slot], -VALUE_MAX, VALUE_MAX)
    hits["score"] = np.minimum(rows.board[found, kinds, SCORE], SCORE_MAX)
    hits["since_ns"] = np.minimum(rows.marks[found, kinds, SINCE], rows.t_ns[found])
    hits["feature"] = rows.marks[found, kinds, FEATURE]
    return detectors.Verdict(highest, hits)
