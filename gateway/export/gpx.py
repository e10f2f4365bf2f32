"""GPX 1.1, by gpxpy: a track of the device's `location`, a segment a session.

GPX (and gpxpy) keep microseconds; the exact nanoseconds are in the other formats.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from gpxpy.gpx import GPX, GPXTrack, GPXTrackPoint, GPXTrackSegment

from gateway.export._track import Point, points_of

media_type = "application/gpx+xml"
suffix = "gpx"
sensor: str | None = "location"

_VERSION = "1.1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEGMENT_END = "</trkseg>"


class _Gpx:
    """gpxpy only writes whole documents: each piece is one, of which the segments are taken."""

    def __init__(self, device: str) -> None:
        head, _, tail = _document(device, []).partition("<trkseg>")
        self._head, self._tail = head.encode(), tail.partition(_SEGMENT_END)[2].encode()
        self._session: str | None = None

    def write(self, sensor: str, table: pa.Table) -> bytes:
        """See `Writer`."""
        out = [self._head]
        self._head = b""
        run: list[Point] = []
        for point in points_of(table):
            if run and run[0].session != point.session:
                out.append(self._run(run))
                run = []
            run.append(point)
        out.append(self._run(run) if run else b"")
        return b"".join(out)

    def end(self) -> bytes:
        """See `Writer`."""
        is_open = self._session is not None
        return self._head + (_SEGMENT_END.encode() if is_open else b"") + self._tail

    def _run(self, run: list[Point]) -> bytes:
        """One session's points; its segment stays open, for the next piece may go on with it."""
        _, _, rest = _document("", run).partition("<trkseg>")
        text = rest.partition(_SEGMENT_END)[0]
        begins = "" if self._session == run[0].session else "<trkseg>"
        ends = _SEGMENT_END if begins and self._session is not None else ""
        self._session = run[0].session
        return (ends + begins + text).encode()


def open(device: str, sensors: Sequence[str]) -> _Gpx:  # noqa: A001 - the port's word
    """A writer of one track."""
    return _Gpx(device)


def _document(device: str, run: list[Point]) -> str:
    gpx = GPX()
    gpx.creator = "sensorline"
    segment = GPXTrackSegment(points=[_point(p) for p in run])
    gpx.tracks.append(GPXTrack(name=device))
    gpx.tracks[0].segments.append(segment)
    return str(gpx.to_xml(_VERSION))


def _point(point: Point) -> GPXTrackPoint:
    time = _EPOCH + timedelta(microseconds=point.t_ns // 1000)
    height = None if point.height is None else float(point.height)
    return GPXTrackPoint(float(point.latitude), float(point.longitude), elevation=height, time=time)
