"""What a window of readings amounts to: features by name, from summaries that can be combined.  Pure.

A part (a pane of a window, or a stretch of one) is summarised from its raw rows, in the order of time, as a flat vector
of float64; the vectors of consecutive parts combine into that of the whole.  A part's vector depends on its own rows
alone, bit for bit: sums go row after row, never by blocks whose bounds a batch would set.

Plain statistics are plain: around the wrap of an angle (bearing, yaw) a mean says little.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Protocol

import numpy as np

from consumers.features.derivative import Derivative
from consumers.features.moments import Moments
from consumers.features.path import Path
from consumers.features.rows import Rows
from consumers.features.spectrum import Spectrum
from consumers.profiles import numeric_fields
from telemetry.batch import Series
from telemetry.reading import CATALOGUE, Kind
from telemetry.window import Floats, Ints

CELLS_MAX = 4096  # raw values that are kept of one part
ROWS_MAX = 1024
VALUE_MAX = 1e100  # beyond it squares of sums overflow: such a value counts as absent, and is counted as unusable

JERKY = frozenset({"acceleration", "acceleration_uncalibrated", "linear_acceleration"})
NO_BANDS = frozenset(
    {"annotation", "battery", "bluetooth", "bluetooth_metadata", "brightness", "heart_rate", "location"}
    | {"network", "pedometer", "system"}
)


class Block(Protocol):
    """A family of features: its piece of the vector."""

    @property
    def size(self) -> int:
        """How many numbers of the vector are its."""
        ...

    def summarise(self, rows: Rows) -> Floats:
        """float64[parts, size]."""
        ...

    def combine(self, parts: Floats) -> Floats:
        """float64[parts, size], in the order of time, to float64[size]."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Its features."""
        ...

    def read(self, summaries: Floats) -> Floats:
        """float64[windows, size] to float64[windows, names], NaN where there is none."""
        ...


class Features:
    """A sensor's features.  `fields` are the columns of the values it is given."""

    def __init__(self, sensor: str, *, bands: bool = True) -> None:
        self.sensor = sensor
        self.fields = numeric_fields(sensor)
        self._blocks: list[Block] = [Moments(self.fields)]
        if sensor in JERKY:
            self._blocks.append(Derivative(self.fields, "jerk"))
        if bands and sensor not in NO_BANDS:
            self._blocks.append(Spectrum(self.fields))
        if sensor == "location":
            self._blocks.append(Path(self.fields.index("latitude"), self.fields.index("longitude")))
        self.rows_max = min(ROWS_MAX, CELLS_MAX // max(1, len(self.fields)))  # raw rows that are kept of one part
        bounds = np.cumsum([0, *(block.size for block in self._blocks)])
        self._slices = [slice(a, b) for a, b in pairwise(bounds.tolist())]
        self.size = int(bounds[-1])
        self.names = tuple(name for block in self._blocks for name in block.names)
        known = CATALOGUE.get(sensor)
        kinds = {known.by_name[name].kind for name in self.fields} if known else set()
        self.dtype = np.dtype(np.float64 if Kind.FLOAT64 in kinds else np.float32)  # of rows that are kept

    def columns(self, series: Series) -> tuple[Floats, int]:
        """A series' values, float64[n, fields] with NaN for absent, and how many were of no use (infinite or huge)."""
        values = np.full((len(series), len(self.fields)), np.nan)
        for j, name in enumerate(self.fields):
            if name in series.values:
                values[:, j] = np.asarray(series.values[name], np.float64)
        bad = np.abs(values) > VALUE_MAX
        unusable = int(np.count_nonzero(bad)) if bad.any() else 0
        if unusable:
            values[bad] = np.nan
        return values, unusable

    def summarise(self, t_ns: Ints, values: Floats, starts: Ints) -> Floats:
        """One vector a part: rows int64[n] and float64[n, fields], part by part and by time in each; `starts` int64[p]
        are the parts' first rows, and none is empty."""
        rows = Rows(t_ns, values, starts)
        vectors = np.empty((len(starts), self.size))
        for block, piece in zip(self._blocks, self._slices, strict=True):
            vectors[:, piece] = block.summarise(rows)
        return _plain_nan(vectors)

    def combine(self, parts: Floats) -> Floats:
        """The vector of consecutive parts together: float64[p, size] to float64[size], p >= 1."""
        if len(parts) == 1:
            return np.asarray(parts[0])
        pieces = zip(self._blocks, self._slices, strict=True)
        return _plain_nan(np.concatenate([block.combine(parts[:, piece]) for block, piece in pieces]))

    def read(self, summaries: Floats) -> Mapping[str, Floats]:
        """Features by name of float64[w, size]; what none of the windows has is left out."""
        columns = np.hstack([b.read(summaries[:, piece]) for b, piece in zip(self._blocks, self._slices, strict=True)])
        known = np.flatnonzero(~np.isnan(columns).all(axis=0))
        return {self.names[j]: columns[:, j] for j in known.tolist()}


def _plain_nan(numbers: Floats) -> Floats:
    """Of all the bits that are a NaN, the same: which ones come of 0/0 depends on where a number lies in its array."""
    numbers[np.isnan(numbers)] = np.nan
    return numbers
