"""Features of where a device went: `position_distance` (m), `position_speed` (m/s), `position_dwell` (s).

Distance is along the fixes as they are (a receiver that stands still wanders, and that counts), over a sphere; speed is
that over the time between the first fix and the last; dwell is the time spent within `DWELL_RADIUS_M` of the window's
first fix.  Where a window has several panes, a pane's own first fix stands for the window's while it lies within the
radius of it.  One fix alone has neither.
"""

from math import asin, cos, radians, sin, sqrt

import numpy as np

from consumers.features.rows import Rows
from telemetry.window import Floats, Ints

EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG 1980
DWELL_RADIUS_M = 50.0

FIXES, DISTANCE, ELAPSED, DWELL = range(4)
FIRST, LAST = slice(4, 8), slice(8, 12)  # latitude, longitude, whole seconds, nanoseconds of the second
SIZE = 12


class Path:
    """Twelve numbers: fixes, metres, seconds, seconds near the first fix, and the first and the last fix."""

    def __init__(self, latitude: int, longitude: int) -> None:
        self._columns = [latitude, longitude]

    @property
    def size(self) -> int:
        """See `Block`."""
        return SIZE

    def summarise(self, rows: Rows) -> Floats:
        """See `Block`."""
        out = np.zeros((len(rows.starts), SIZE))
        known = rows.present[:, self._columns[0]] & rows.present[:, self._columns[1]]
        for i, (start, n) in enumerate(zip(rows.starts.tolist(), rows.lengths.tolist(), strict=True)):
            part = np.flatnonzero(known[start : start + n]) + start
            if len(part):
                out[i] = _summary(rows.t_ns[part], rows.values[np.ix_(part, self._columns)])
        return out

    def combine(self, parts: Floats) -> Floats:
        """See `Block`."""
        kept = [part for part in parts if part[FIXES] > 0]
        if not kept:
            return np.zeros(SIZE)
        whole: Floats = kept[0].copy()
        for part in kept[1:]:
            leg_s = float(part[FIRST][2] - whole[LAST][2]) + float(part[FIRST][3] - whole[LAST][3]) * 1e-9
            whole[DISTANCE] += apart_m(whole[LAST], part[FIRST]) + part[DISTANCE]
            whole[ELAPSED] += max(leg_s, 0.0) + part[ELAPSED]
            if apart_m(whole[FIRST], part[FIRST]) <= DWELL_RADIUS_M:
                whole[DWELL] += max(leg_s, 0.0) + part[DWELL]
            whole[FIXES] += part[FIXES]
            whole[LAST] = part[LAST]
        return whole

    @property
    def names(self) -> tuple[str, ...]:
        """See `Block`."""
        return ("position_distance", "position_speed", "position_dwell")

    def read(self, summaries: Floats) -> Floats:
        """See `Block`."""
        several = summaries[:, FIXES] > 1
        distance = np.where(several, summaries[:, DISTANCE], np.nan)
        elapsed = summaries[:, ELAPSED]
        speed = np.divide(distance, elapsed, out=np.full(len(elapsed), np.nan), where=several & (elapsed > 0))
        dwell = np.where(several, summaries[:, DWELL], np.nan)
        return np.stack((distance, speed, dwell), axis=1)


def _summary(t_ns: Ints, fixes: Floats) -> Floats:
    legs_m = distances_m(fixes[:-1], fixes[1:])
    near = distances_m(fixes[1:], fixes[:1]) <= DWELL_RADIUS_M
    legs_ns = np.diff(t_ns)
    out = np.empty(SIZE)
    out[FIXES] = len(t_ns)
    out[DISTANCE] = np.add.accumulate(legs_m)[-1] if len(legs_m) else 0.0
    out[ELAPSED] = int(t_ns[-1] - t_ns[0]) * 1e-9
    out[DWELL] = int(legs_ns[near].sum()) * 1e-9
    for piece, k in ((FIRST, 0), (LAST, -1)):
        out[piece] = (*fixes[k], *divmod(int(t_ns[k]), 10**9))
    return out


def distances_m(a: Floats, b: Floats) -> Floats:
    """Great-circle distances between rows of latitude and longitude in degrees (haversine)."""
    (lat_a, lon_a), (lat_b, lon_b) = np.radians(a[:, :2]).T, np.radians(b[:, :2]).T
    h = np.sin((lat_b - lat_a) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_b - lon_a) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(h, 1.0))))


def apart_m(a: Floats, b: Floats) -> float:
    """The same of two."""
    lat_a, lon_a, lat_b, lon_b = (radians(float(degrees)) for degrees in (a[0], a[1], b[0], b[1]))
    h = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(sqrt(min(h, 1.0)))
