"""Accelerometer, gyroscope and GPS become rows of one stream.  Pure.

Rows are the accelerometer's (or, where none ever came, the gyroscope's; or the fixes themselves), in the order of seq
and index, whatever the clock does.  A row takes the gyroscope's latest sample at or before it, unless it is older than
half a second.

A fix goes to the first row at or after its time.  Phones hand fixes over late, and by another clock: `lag_ns` is what
is added to fixes so that they fall on rows still to come, and it only ever grows by what one came too late, so that
the time between two fixes, from which speeds are judged, is never shortened.  A fix that lies far ahead of the rows
sets it back.  What waits for its row waits for the next batch, bounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from consumers.detectors import Floats, Times
from consumers.profiles import MOTION_FIELDS
from telemetry import metrics
from telemetry.batch import Series

XYZ = ("x", "y", "z")
FIX = ("latitude", "longitude", "speed", "horizontal_accuracy")
SENSORS = ("acceleration", "gyroscope", "location")
PARTS = ("linear_acceleration", "gravity")  # together they are acceleration

HELD_NS_MAX = 5 * 10**8
AHEAD_NS_MAX = 10 * 10**9  # a fix waits so long for its row
WAITING_MAX = 128

_ACC, _GYRO, _GPS = slice(0, 3), slice(3, 6), slice(6, 10)

BySensor: TypeAlias = Mapping[str, Sequence[Series]]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A sensor's: `t` int64[n], `values` float64[n, fields]."""

    t: Times
    values: Floats

    def __len__(self) -> int:
        return len(self.t)

    def cut(self, begin: int, end: int | None = None) -> "Samples":
        """Some of them, as copies."""
        return Samples(self.t[begin:end].copy(), self.values[begin:end].copy())

    def after(self, earlier: "Samples") -> "Samples":
        """Those and then these."""
        if not len(earlier) or not len(self):
            return self if len(self) else earlier
        return Samples(np.concatenate((earlier.t, self.t)), np.concatenate((earlier.values, self.values)))


def none(fields: int) -> Samples:
    """None."""
    return Samples(np.zeros(0, np.int64), np.zeros((0, fields)))


def samples(series: Sequence[Series], fields: Sequence[str]) -> Samples:
    """The numeric columns of a sensor's series, one after the other; NaN where a field is absent."""
    if not series:
        return none(len(fields))
    t = series[0].t if len(series) == 1 else np.concatenate([s.t for s in series])
    values = np.full((len(t), len(fields)), np.nan)
    begin = 0
    for one in series:
        for k, name in enumerate(fields):
            if name in one.values:
                values[begin : begin + len(one), k] = one.values[name]
        begin += len(one)
    return Samples(t, values)


@dataclass(slots=True)
class Joiner:
    """One session's; what it holds between batches are the last samples, and fixes that wait for their row."""

    gyro: Samples = field(default_factory=lambda: none(3))
    gravity: Samples = field(default_factory=lambda: none(3))
    waiting: Samples = field(default_factory=lambda: none(4))
    row_ns: int | None = None  # the last row's, of those that are no fix's own
    lag_ns: int = 0
    has_acceleration: bool = False  # as such, not in two parts
    has_body: bool = False  # rows of the accelerometer came

    def rows(self, by_sensor: BySensor) -> Samples:
        """The next rows of `MOTION_FIELDS`."""
        return self._fixes(self._body(by_sensor), samples(by_sensor.get("location", ()), FIX))

    def _body(self, by_sensor: BySensor) -> Samples:
        acceleration = self._acceleration(by_sensor)
        gyro = samples(by_sensor.get("gyroscope", ()), XYZ)
        self.has_body = self.has_body or len(acceleration) > 0
        base = acceleration if self.has_body else gyro
        values = np.full((len(base), len(MOTION_FIELDS)), np.nan)
        if self.has_body:
            values[:, _ACC] = base.values
            values[:, _GYRO] = latest(base.t, gyro, self.gyro)
        else:
            values[:, _GYRO] = base.values
        self.gyro = gyro.cut(len(gyro) - 1) if len(gyro) else self.gyro
        return Samples(base.t, values)

    def _acceleration(self, by_sensor: BySensor) -> Samples:
        whole = samples(by_sensor.get("acceleration", ()), XYZ)
        self.has_acceleration = self.has_acceleration or len(whole) > 0
        if self.has_acceleration:
            return whole
        linear, gravity = (samples(by_sensor.get(part, ()), XYZ) for part in PARTS)
        held, self.gravity = self.gravity, gravity.cut(len(gravity) - 1) if len(gravity) else self.gravity
        if not len(gravity) and not len(held):
            return whole
        return Samples(linear.t, linear.values + latest(linear.t, gravity, held))

    def _fixes(self, rows: Samples, fixes: Samples) -> Samples:
        before_ns = self.row_ns
        if len(rows):
            self.row_ns = int(rows.t[-1])
        if not len(fixes) and not len(self.waiting):
            return rows
        waiting = fixes.after(self.waiting)
        if len(fixes) and before_ns is not None:
            self.lag_ns = max(self.lag_ns, before_ns + 1 - int(fixes.t.min()))
        if not len(rows):
            return self._own_rows(waiting)
        ahead_ns = int(waiting.t.max()) + self.lag_ns - int(rows.t[-1])
        if ahead_ns > AHEAD_NS_MAX:
            self.lag_ns -= ahead_ns
        at = np.maximum.accumulate(rows.t).searchsorted(waiting.t + self.lag_ns)
        here = at < len(rows)
        rows.values[at[here], _GPS] = waiting.values[here]
        kept = np.flatnonzero(~here)[-WAITING_MAX:]
        self.waiting = Samples(waiting.t[kept], waiting.values[kept])
        _count_lost(len(waiting) - len(np.unique(at[here])) - len(kept))
        return rows

    def _own_rows(self, waiting: Samples) -> Samples:
        """Fixes make rows of their own where no others come."""
        t = waiting.t + self.lag_ns
        if self.row_ns is not None and int(t[-1]) <= self.row_ns + AHEAD_NS_MAX:
            kept = waiting.cut(max(len(waiting) - WAITING_MAX, 0))
            _count_lost(len(waiting) - len(kept))
            self.waiting = kept
            return Samples(t[:0], np.zeros((0, len(MOTION_FIELDS))))
        self.waiting = none(len(FIX))
        values = np.full((len(t), len(MOTION_FIELDS)), np.nan)
        values[:, _GPS] = waiting.values
        return Samples(t if self.row_ns is None else np.maximum(t, self.row_ns), values)


def latest(t: Times, fresh: Samples, held: Samples) -> Floats:
    """For each time the values of the latest sample at or before it; NaN where that is too old, or none."""
    known = fresh if len(fresh) and len(held) and held.t[-1] > fresh.t[0] else fresh.after(held)
    found = np.full((len(t), known.values.shape[1]), np.nan)
    if not len(known) or not len(t):
        return found
    if (known.t[1:] < known.t[:-1]).any() or (t[1:] < t[:-1]).any():  # the clock stepped back here: by their places
        at = np.arange(len(t)) * len(known) // len(t)
        is_near = np.abs(t - known.t[at]) <= HELD_NS_MAX
    else:
        at = known.t.searchsorted(t, "right") - 1
        is_near = (at >= 0) & (t - known.t[at] <= HELD_NS_MAX)
    if is_near.all():
        return known.values[at]
    found[is_near] = known.values[at[is_near]]
    return found


def _count_lost(fixes: int) -> None:
    """Two fixes for one row, or more than can wait."""
    if fixes:
        metrics.readings_unjudged.labels("fixes").inc(fixes)
