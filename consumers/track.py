"""One session of a device, judged: its batches become rows of streams, each watched.  Pure.

The live track goes on from session to session; a backlog session has a track of its own, whose detectors begin as
copies of the live ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from consumers import joined, profiles
from consumers.episode import Place, Scene
from consumers.episodes import Rules
from consumers.joined import Joiner
from consumers.profiles import MOTION_FIELDS, MOTION_STREAM, Profile
from consumers.standing import DEVICE_STREAM
from consumers.storm import Storm
from consumers.watch import Watch
from telemetry import metrics
from telemetry.anomaly import Anomaly
from telemetry.batch import Batch, Series
from telemetry.records import newest_ns


@dataclass(frozen=True, slots=True)
class Plan:
    """Which streams there are and how they are judged: the settings, worked out once."""

    rules: Rules
    overrides: Mapping[str, str]
    streams_max: int
    opened_per_hour_max: int
    idle_ns: int

    def profile(self, sensor: str) -> Profile:
        """Of a sensor that is a stream of its own."""
        return profiles.made(profiles.profile_of(sensor, self.overrides), profiles.numeric_fields(sensor))

    def stream(self, name: str) -> Profile:
        """Of a stream."""
        return profiles.made(MOTION_STREAM, MOTION_FIELDS) if name == MOTION_STREAM else self.profile(name)

    def is_motion(self, sensor: str) -> bool:
        """Whether it takes part in the motion stream."""
        whole = "acceleration" if sensor in joined.PARTS else sensor
        return whole in joined.SENSORS and profiles.profile_of(whole, self.overrides) == MOTION_STREAM


@dataclass(slots=True)
class Track:
    """The streams of `session`, "" before the first."""

    plan: Plan
    device: str
    is_live: bool
    session: str = ""
    joiner: Joiner = field(default_factory=Joiner)
    storm: Storm = field(default_factory=Storm)
    watches: dict[str, Watch] = field(default_factory=dict)

    def take(self, batch: Batch, place: Place) -> list[Anomaly]:
        """The session's next batch."""
        opened_max = self.plan.opened_per_hour_max
        scene = self._scene(DEVICE_STREAM)
        hour_ns = place.received_ns if self.is_live else newest_ns(batch) or place.received_ns
        said = self.storm.begin(scene, place, hour_ns, opened_max)
        for stream, rows in self._streams(batch):
            watch = self._watch(stream)
            if watch is None:
                metrics.readings_unjudged.labels("crowded").inc(len(rows))
            else:
                said += watch.judge(self._scene(stream), place, rows.t, rows.values, self._admits)
        return said + self.storm.told(scene, place, opened_max)

    def _admits(self, start_ns: int) -> bool:
        return self.storm.admits(start_ns, self.plan.opened_per_hour_max)

    def begin(self, session: str) -> None:
        """Batches of this session follow; what the last one left open must be closed."""
        if self.session:
            self.joiner = Joiner()
            for watch in self.watches.values():
                watch.begin_session()
        self.session = session

    def seeded(self, session: str) -> "Track":
        """A track for a backlog session, which knows what this one has learned."""
        copies = {stream: watch.seeded() for stream, watch in self.watches.items()}
        return Track(self.plan, self.device, is_live=False, session=session, watches=copies)

    def close(self, place: Place) -> list[Anomaly]:
        """The session is over: close what is open."""
        said = [a for stream in sorted(self.watches) for a in self.watches[stream].close(self._scene(stream), place)]
        return said + self.storm.over(self._scene(DEVICE_STREAM), place, self.plan.opened_per_hour_max)

    def pass_time(self, received_ns: int, place: Place) -> list[Anomaly]:
        """Close what is open in streams from which nothing came for long; when exactly it was asked changes nothing."""
        said: list[Anomaly] = []
        for stream in sorted(self.watches):
            idle_ns = self.watches[stream].heard_ns + self.plan.idle_ns
            if self.watches[stream].has_open and idle_ns <= received_ns:
                said += self.watches[stream].close(self._scene(stream), replace(place, received_ns=idle_ns))
        if self.is_live and self.storm.due_ns is not None and self.storm.due_ns <= received_ns:
            place = replace(place, received_ns=self.storm.due_ns)
            said += self.storm.over(self._scene(DEVICE_STREAM), place, self.plan.opened_per_hour_max)
        return said

    @property
    def due_ns(self) -> int | None:
        """When `pass_time` has something to do."""
        idle = [watch.heard_ns + self.plan.idle_ns for watch in self.watches.values() if watch.has_open]
        return min((ns for ns in (*idle, self.storm.due_ns if self.is_live else None) if ns is not None), default=None)

    @property
    def size_bytes(self) -> int:
        """What its streams hold."""
        return sum(watch.size_bytes for watch in self.watches.values())

    def _scene(self, stream: str) -> Scene:
        return Scene(self.device, self.session, stream, self.is_live)

    def _watch(self, stream: str) -> Watch | None:
        if stream not in self.watches and len(self.watches) < self.plan.streams_max:
            self.watches[stream] = Watch(self.plan.stream(stream), self.plan.rules)
        return self.watches.get(stream)

    def _streams(self, batch: Batch) -> list[tuple[str, joined.Samples]]:
        """The rows of each stream in a batch, by the streams' names."""
        motion: dict[str, list[Series]] = {}
        others: dict[str, list[Series]] = {}
        for series in batch.series:
            if len(series):
                kept = motion if self.plan.is_motion(series.sensor) else others
                kept.setdefault(series.sensor, []).append(series)
        streams = [(MOTION_STREAM, self.joiner.rows(motion))] if motion else []
        for sensor in sorted(others):
            profile = self.plan.profile(sensor)
            if profile.detectors and any(name in s.values for s in others[sensor] for name in profile.fields):
                streams.append((sensor, joined.samples(others[sensor], profile.fields)))
        return [(stream, rows) for stream, rows in streams if len(rows)]
