"""Features of how fast a value changes: the rms of its derivative, between rows of the same part.

Rows with the same time give none.  For an acceleration that is the jerk, m/s3.
"""

from collections.abc import Sequence

import numpy as np

from consumers.features.rows import Rows, named
from telemetry.window import Floats


class Derivative:
    """Two numbers a field: pairs of rows, and the sum of squares of their slopes (a second)."""

    def __init__(self, fields: Sequence[str], feature: str) -> None:
        self._fields = tuple(fields)
        self._feature = feature

    @property
    def size(self) -> int:
        """See `Block`."""
        return 2 * len(self._fields)

    def summarise(self, rows: Rows) -> Floats:
        """See `Block`."""
        t_ns = rows.t_ns[:, None]
        apart_ns = t_ns - rows.before(t_ns)
        usable = rows.has_before & (apart_ns > 0)
        rise = np.where(usable, rows.values - rows.before(rows.values), 0.0)
        slope = rise / (np.where(usable, apart_ns, 1) * 1e-9)
        pairs = np.broadcast_to(usable, rise.shape).astype(np.float64)
        return np.hstack((rows.total(pairs), rows.total(slope * slope)))

    def combine(self, parts: Floats) -> Floats:
        """See `Block`."""
        whole: Floats = parts.sum(axis=0)
        return whole

    @property
    def names(self) -> tuple[str, ...]:
        """See `Block`."""
        return named(self._fields, (self._feature,))

    def read(self, summaries: Floats) -> Floats:
        """See `Block`."""
        k = len(self._fields)
        pairs, squares = summaries[:, :k], summaries[:, k:]
        return np.asarray(np.sqrt(np.divide(squares, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)))
