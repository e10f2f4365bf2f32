"""GeoJSON (RFC 7946): the track as LineStrings, each followed by its Points with time, speed and accuracy.

A line is cut every 10,000 points, so that no more than those are held; the next begins where it ended.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from gateway.export._track import Point, points_of
from gateway.times import iso

media_type = "application/geo+json"
suffix = "geojson"
sensor: str | None = "location"

LINE_POINTS_MAX = 10_000


class _GeoJson:
    def __init__(self, device: str) -> None:
        self._device = device
        self._separator = b'{"type":"FeatureCollection","features":['
        self._line: list[Point] = []
        self._carried = 0  # points at the line's beginning that were told with the line before

    def write(self, sensor: str, table: pa.Table) -> bytes:
        """See `Writer`."""
        return b"".join(chunk for point in points_of(table) for chunk in self._take(point))

    def end(self) -> bytes:
        """See `Writer`."""
        out = b"".join(self._flush())
        return out + (self._separator if self._separator != b"," else b"") + b"]}"

    def _take(self, point: Point) -> Iterator[bytes]:
        if self._line and self._line[-1].session != point.session:
            yield from self._flush()
            self._line, self._carried = [], 0
        elif len(self._line) >= LINE_POINTS_MAX:
            yield from self._flush()
            self._line, self._carried = self._line[-1:], 1
        self._line.append(point)

    def _flush(self) -> Iterator[bytes]:
        if len(self._line) > 1:  # RFC 7946, 3.1.4: a line has two positions or more
            yield self._feature(self._line_feature())
        for point in self._line[self._carried :]:
            yield self._feature(_point_feature(point))

    def _feature(self, feature: dict[str, Any]) -> bytes:
        separator, self._separator = self._separator, b","
        return separator + orjson.dumps(feature, option=orjson.OPT_SERIALIZE_NUMPY)

    def _line_feature(self) -> dict[str, Any]:
        first, last = self._line[0], self._line[-1]
        return {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [_position(p) for p in self._line]},
            "properties": {
                "device": self._device,
                "session": first.session,
                "from": iso(first.t_ns),
                "to": iso(last.t_ns),
            },
        }


def open(device: str, sensors: Sequence[str]) -> _GeoJson:  # noqa: A001 - the port's word
    """A writer of one FeatureCollection."""
    return _GeoJson(device)


def _position(point: Point) -> list[np.float64]:
    """Longitude first (RFC 7946, 3.1.1)."""
    flat = [point.longitude, point.latitude]
    return flat if point.height is None else [*flat, point.height]


def _point_feature(point: Point) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": _position(point)},
        "properties": {"session": point.session, "t": point.t_ns, "time": iso(point.t_ns), **point.values},
    }
