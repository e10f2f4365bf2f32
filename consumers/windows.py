"""Windows: a device's batches, in their order, become windows of features that the store keeps as its `windows` detail.

A stream is a sensor within a session; each has a watermark of its own, as the sensors of a batch lie one after the
other.  A backlog session's windows are its own, so nothing has to be told apart.  A late batch (behind its turn) counts
as far as the allowed lateness goes and moves no watermark.  What is in no window is counted by its reason
(`sensorline_windows_left_out`).

State: of each stream the rows of panes that may still change, at most `Features.rows_max` rows a pane, and what older
panes of an unfinished window amount to (`size_bytes`).  With the default settings an accelerometer of 100 Hz has 21 KiB
in memory (9 KiB frozen), a sensor of three axes at any rate at most 160 KiB, a GPS of 1 Hz some 75 KiB.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from consumers import frozen, windowing
from consumers.features import Features
from consumers.operator import Arrival, Lane
from consumers.windowing import Emitted, Patience, Shape, Stream
from telemetry import metrics, settings
from telemetry.errors import Malformed
from telemetry.ports import Store
from telemetry.window import Windows

SCHEMA = "windows/1"
STREAM_BYTES = 4_096  # of the objects of one, about
SLICE = 256  # outputs worked out before other tasks of the process get their turn

StreamKey = tuple[str, str]  # session, sensor


@dataclass(frozen=True, slots=True, eq=False)
class Due:
    """Windows of one stream that are to be written; `windows_of` works out their features."""

    device: str
    session: str
    sensor: str
    windows: Emitted


class WindowOperators:
    """Makes them.  Raises `Misconfigured` for windows that would need too many panes."""

    def __init__(self, options: settings.Windows) -> None:
        self.idle_ns = _ns(options.idle_s)
        self.patience = Patience(_ns(options.delay_s), _ns(options.lateness_s))
        self._bands = options.bands
        self._usual = windowing.checked([_shape(w) for w in options.every_sensor], self.patience)
        self._by_sensor = {
            sensor: windowing.checked([_shape(w) for w in kinds], self.patience)
            for sensor, kinds in options.sensors.items()
        }
        self._features: dict[str, Features] = {}

    def fresh(self, device: str) -> "WindowOperator":
        """See `Operators`."""
        return WindowOperator(device, self)

    def thaw(self, device: str, data: bytes) -> "WindowOperator":
        """See `Operators`; state of other settings is `Malformed`, too."""
        operator = WindowOperator(device, self)
        operator.thaw(data)
        return operator

    def shapes(self, sensor: str) -> Sequence[Shape]:
        """The windows of a sensor."""
        return self._by_sensor.get(sensor, self._usual)

    def features(self, sensor: str) -> Features:
        """Its features, made once."""
        if sensor not in self._features:
            self._features[sensor] = Features(sensor, bands=self._bands)
        return self._features[sensor]

    def stream(self, sensor: str) -> Stream | None:
        """A new stream; None for a sensor without numbers or windows."""
        features, shapes = self.features(sensor), self.shapes(sensor)
        return Stream(features, shapes, self.patience) if features.fields and shapes else None


class WindowOperator:
    """One device's windows."""

    def __init__(self, device: str, operators: WindowOperators) -> None:
        self._device = device
        self._made_by = operators
        self._streams: dict[StreamKey, Stream] = {}
        self._heard_ns: int | None = None  # None: everything was written since

    def apply(self, arrival: Arrival) -> Sequence[Due]:
        """See `Operator`."""
        out: list[Due] = []
        session = arrival.batch.session
        touched: dict[StreamKey, Stream] = {}
        for series in arrival.batch.series:
            key = (session, series.sensor)
            stream = self._stream(key) if len(series) else None
            if stream is not None:
                values, unusable = self._made_by.features(series.sensor).columns(series)
                before = dict(stream.left)
                written = stream.add(series.t, values, in_turn=arrival.lane is not Lane.LATE, unusable=unusable)
                _count(before, stream.left)
                out += self._due(key, written)
                touched[key] = stream
        if touched:
            self._heard_ns = max(arrival.received_ns, self._heard_ns or 0)
        newest_ns = max((s.newest_ns for s in touched.values() if s.newest_ns is not None), default=None)
        if newest_ns is not None and len(self._streams) > len(touched):
            silent = [key for key in self._streams if key[0] == session and key not in touched]
            out += self._flushed(key for key in silent if self._is_behind(key, newest_ns))
        return out

    def end_session(self, session: str) -> Sequence[Due]:
        """See `Operator`; should the session go on all the same, windows that were cut keep what they had."""
        out: list[Due] = []
        for key in sorted(key for key in self._streams if key[0] == session):
            out += self._due(key, self._streams.pop(key).end())
        return out

    def pass_time(self, received_ns: int) -> Sequence[Due]:
        """See `Operator`: a device that is silent for `idle_s` gets its open windows written, once."""
        if self._heard_ns is None or received_ns - self._heard_ns < self._made_by.idle_ns:
            return ()
        self._heard_ns = None
        return self._flushed(self._streams)

    def freeze(self) -> bytes:
        """See `Operator`."""
        streams = []
        arrays: dict[str, npt.NDArray[Any]] = {}
        for i, (key, stream) in enumerate(sorted(self._streams.items())):
            head, parts = stream.freeze()
            streams.append({"key": key, "like": self._likeness(key[1]), "head": head})
            arrays |= {f"{i}.{name}": array for name, array in parts.items()}
        return frozen.pack(SCHEMA, {"heard": self._heard_ns, "streams": streams}, arrays)

    def thaw(self, data: bytes) -> None:
        """Become what `data` says; raises `Malformed`."""
        was = frozen.unpack(SCHEMA, data)
        try:
            self._heard_ns = was.head["heard"]
            arrays: list[dict[str, npt.NDArray[Any]]] = [{} for _ in was.head["streams"]]
            for name, array in was.arrays.items():
                index, _, own = name.partition(".")
                arrays[int(index)][own] = array
            for one, own_arrays in zip(was.head["streams"], arrays, strict=True):
                self._thaw_stream(one, own_arrays)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as e:
            raise Malformed(f"windows' state is damaged: {type(e).__name__}: {e}") from e

    @property
    def due_ns(self) -> int | None:
        """See `Operator`."""
        return None if self._heard_ns is None else self._heard_ns + self._made_by.idle_ns

    @property
    def size_bytes(self) -> int:
        """See `Operator`."""
        return sum(STREAM_BYTES + stream.size_bytes for stream in self._streams.values())

    def _thaw_stream(self, one: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        session, sensor = one["key"]
        stream = self._made_by.stream(sensor)
        if stream is None or one["like"] != self._likeness(sensor):
            raise Malformed(f"windows of {sensor} were others when this state was kept")
        stream.thaw(one["head"], arrays)
        self._streams[session, sensor] = stream

    def _likeness(self, sensor: str) -> list[Any]:
        """What must be the same for state to be of use."""
        shapes = [[shape.kind, shape.width_ns, shape.step_ns] for shape in self._made_by.shapes(sensor)]
        features, patience = self._made_by.features(sensor), self._made_by.patience
        return [shapes, patience.delay_ns, patience.lateness_ns, list(features.fields), features.size]

    def _stream(self, key: StreamKey) -> Stream | None:
        stream = self._streams.get(key)
        if stream is None and (stream := self._made_by.stream(key[1])) is not None:
            self._streams[key] = stream
        return stream

    def _is_behind(self, key: StreamKey, newest_ns: int) -> bool:
        own_ns = self._streams[key].newest_ns
        return own_ns is not None and own_ns + self._made_by.idle_ns < newest_ns

    def _flushed(self, keys: Iterable[StreamKey]) -> list[Due]:
        silent = sorted(key for key in keys if self._streams[key].is_open)
        return [due for key in silent for due in self._due(key, self._streams[key].flush())]

    def _due(self, key: StreamKey, written: Sequence[Emitted]) -> list[Due]:
        return [Due(self._device, *key, some) for some in written]


class WindowSink:
    """Into the store, which keeps the highest revision: a repetition changes nothing there.

    Features are worked out here, for all devices' windows at once: that is many times quicker than one by one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def write(self, outputs: Sequence[Due]) -> None:
        """See `Sink`; windows of the same stream go as one."""
        windows: list[Windows] = []
        for begin in range(0, len(outputs), SLICE):
            windows += windows_of(outputs[begin : begin + SLICE])
            await asyncio.sleep(0)
        if windows:
            await self._store.put_windows(windows)


def windows_of(dues: Sequence[Due]) -> list[Windows]:
    """With their features: one `Windows` a stream and kind, by start; of one that stands more than once the last."""
    by_sensor: dict[str, list[Due]] = {}
    for due in dues:
        by_sensor.setdefault(due.sensor, []).append(due)
    return [windows for alike in by_sensor.values() for windows in _of_sensor(alike)]


def _of_sensor(dues: Sequence[Due]) -> Iterator[Windows]:
    features = dues[0].windows.features
    windowing.settle(features, (part for due in dues for window in due.windows.parts for part in window))
    columns = features.read(np.concatenate([due.windows.summaries for due in dues]))
    ends = np.cumsum([len(due.windows.start_ns) for due in dues])
    streams: dict[tuple[str, str, Shape], list[int]] = {}
    for i, due in enumerate(dues):
        streams.setdefault((due.device, due.session, due.windows.shape), []).append(i)
    for (device, session, shape), which in streams.items():
        several = [dues[i].windows for i in which]
        start, end, count, revision = (
            np.concatenate([getattr(some, name) for some in several])
            for name in ("start_ns", "end_ns", "count", "revision")
        )
        order = np.lexsort((revision, start))
        kept = order[np.append(start[order][1:] != start[order][:-1], True)]
        rows = np.concatenate([np.arange(ends[i] - len(dues[i].windows.start_ns), ends[i]) for i in which])[kept]
        yield Windows(
            device=device,
            sensor=dues[0].sensor,
            session=session,
            kind=shape.kind,
            width_ns=shape.width_ns,
            start_ns=start[kept],
            end_ns=end[kept],
            count=count[kept],
            revision=revision[kept],
            features={name: column[rows] for name, column in columns.items()},
        )


def _count(before: Mapping[windowing.Left, int], after: Mapping[windowing.Left, int]) -> None:
    for reason, n in after.items():
        if n > before.get(reason, 0):
            metrics.windows_left_out.labels(reason).inc(n - before.get(reason, 0))


def _shape(window: settings.Window) -> Shape:
    if window.kind == "tumbling":
        return windowing.tumbling(_ns(window.width_s))
    if window.kind == "sliding":
        return windowing.sliding(_ns(window.width_s), _ns(window.slide_s))
    return windowing.session(_ns(window.gap_s))


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
