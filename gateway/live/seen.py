"""What a record of the log becomes for those who watch; each part is made once, and only when somebody asked for it."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.live.events import ANOMALY, NS_PER_MS, READINGS, Event, ms
from gateway.live.thinning import thin
from telemetry import anomaly, wire
from telemetry.anomaly import Anomaly
from telemetry.batch import Batch, Series, Times
from telemetry.errors import Malformed
from telemetry.ports import Entry
from telemetry.reading import CATALOGUE
from telemetry.records import BatchHeaders

Shown = Callable[[Anomaly], dict[str, Any]]
LOCATION = ("latitude", "longitude", "speed", "bearing", "horizontal_accuracy")
BATTERY = ("level", "state")


class SeenBatch:
    """A record of `batches`.  Raises `Malformed` for one that no gateway wrote."""

    def __init__(self, entry: Entry) -> None:
        headers = BatchHeaders.of(entry)
        self.partition = entry.partition
        self.offset = entry.offset
        self.device = headers.id.device
        self.received_ns = headers.received_ns
        self.count = headers.readings
        self.newest_ns = headers.newest_ns
        self._headers = headers
        self._entry = entry
        self._rendered: dict[tuple[int, int], Event] = {}

    @cached_property
    def batch(self) -> Batch | None:
        """Its content; None when it cannot be read: the indexer says so, where a person looks for it."""
        try:
            return self._entry.batch or wire.decode_own(self._entry.value or b"")
        except Malformed:
            return None

    @property
    def series(self) -> tuple[Series, ...]:
        """Its series that have readings to draw, and those that have not; the ordinal counts both."""
        return self.batch.series if self.batch is not None else ()

    def readings(self, ordinal: int, points: int) -> Event:
        """That series' `readings` event, of at most `points` rows."""
        key = (ordinal, points)
        if key not in self._rendered:
            self._rendered[key] = Event.of(READINGS, self._readings(self.series[ordinal], points))
        return self._rendered[key]

    def _readings(self, series: Series, points: int) -> dict[str, Any]:
        numeric = numbers(series)
        rows = thin(series.t, list(numeric.values()), points=points)
        return {
            "device": self.device,
            "session": self._headers.id.session,
            "seq": self._headers.id.seq,
            "sensor": series.sensor,
            "t": times_ms(series.t[rows]),
            "values": {name: column[rows] for name, column in numeric.items()},
            "received": ms(self.received_ns),
        }

    @cached_property
    def location(self) -> dict[str, Any] | None:
        """Its latest position, if it has one."""
        found = self._latest("location", LOCATION)
        return found if found is not None and {"latitude", "longitude"} <= found.keys() else None

    @cached_property
    def battery(self) -> dict[str, Any] | None:
        """Its latest word on the battery, if it has one."""
        return self._latest("battery", BATTERY)

    def _latest(self, sensor: str, fields: tuple[str, ...]) -> dict[str, Any] | None:
        """The latest row of a sensor: `t` and those of the fields that it has."""
        if self._entry.batch is None and f'"sensor":"{sensor}"'.encode() not in (self._entry.value or b""):
            return None
        ends = [(int(s.t.max()), s) for s in self.series if s.sensor == sensor and len(s)]
        if not ends:
            return None
        t_ns, series = max(ends, key=lambda end: end[0])
        row = int(np.flatnonzero(series.t == t_ns)[-1])
        found: dict[str, Any] = {"t": ms(t_ns)}
        for name in fields:
            value = series.values[name][row] if name in series.values else None
            if isinstance(value, str):
                found[name] = value
            elif value is not None and not np.isnan(value):
                found[name] = float(value)
        return found


class SeenAnomaly:
    """A record of `anomalies`.  Raises `Malformed`."""

    def __init__(self, entry: Entry) -> None:
        self.partition = entry.partition
        self.offset = entry.offset
        self.anomaly = anomaly.decode(entry.value or b"")
        self.device = self.anomaly.device
        self.received_ns = self.anomaly.received_ns
        self._event: Event | None = None

    def event(self, shown: Shown) -> Event:
        """Its `anomaly` event; `shown` is how the API lists one."""
        if self._event is None:
            self._event = Event.of(ANOMALY, shown(self.anomaly))
        return self._event


def times_ms(t: Times) -> npt.NDArray[np.float64]:
    """Milliseconds; in two steps, since nanoseconds since 1970 have more digits than a float."""
    whole, rest = np.divmod(t, NS_PER_MS)
    found: npt.NDArray[np.float64] = whole + rest / NS_PER_MS
    return found


def numbers(series: Series) -> dict[str, Any]:
    """The numeric columns of a series."""
    known = CATALOGUE.get(series.sensor)
    fields = known.fields if known is not None else ()
    return {f.name: series.values[f.name] for f in fields if f.kind.is_number and f.name in series.values}
