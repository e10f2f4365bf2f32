"""A track's points out of `location` rows, for the formats that draw on a map."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

_POSITION = frozenset({"latitude", "longitude", "altitude", "altitude_msl"})


@dataclass(frozen=True, slots=True)
class Point:
    """Degrees (WGS 84), metres, UTC nanoseconds; `height` is over the sea where known, else over the ellipsoid."""

    session: str
    t_ns: int
    latitude: np.float64
    longitude: np.float64
    height: np.float64 | None
    values: dict[str, np.floating[Any]]  # the other numbers of this reading, at their own precision


def points_of(table: pa.Table) -> Iterator[Point]:
    """The rows that have a position, in the order given; the others are on no map and are left out."""
    numbers = {f.name: table[f.name].to_numpy() for f in table.schema if pa.types.is_floating(f.type)}
    sessions, times = table["session"].to_pylist(), table["t"].to_pylist()
    for row in range(table.num_rows):
        present = {name: column[row] for name, column in numbers.items() if not np.isnan(column[row])}
        if "latitude" in present and "longitude" in present:
            above_ellipsoid = present.get("altitude")
            height = present.get("altitude_msl", above_ellipsoid)
            values = {name: value for name, value in present.items() if name not in _POSITION}
            yield Point(sessions[row], times[row], present["latitude"], present["longitude"], height, values)
