"""Detection: a device's batches, in their order, become anomalies that open at once and are updated until they close.

The live track judges the device's newest session and goes on into the next one.  A backlog session is judged by a
track of its own, whose detectors begin as copies of the live ones; its anomalies are not live.  A late batch, behind
what was already judged, is counted (`sensorline_readings_unjudged{why="late"}`) and not judged: it can touch no state
and raise no alert; its rows are in the store as all others.
"""

from collections.abc import Sequence

from consumers import device_state
from consumers.device_state import Device
from consumers.episode import Place, Scene
from consumers.episodes import Rules
from consumers.joined import SENSORS
from consumers.operator import Arrival, Lane
from consumers.profiles import MOTION_STREAM
from consumers.standing import DEVICE_STREAM
from consumers.track import Plan, Track
from telemetry import metrics
from telemetry.anomaly import Anomaly
from telemetry.errors import Misconfigured
from telemetry.ports import ANOMALIES, Log
from telemetry.reading import CATALOGUE
from telemetry.records import anomaly_record
from telemetry.settings import Detect

RECORDS_AT_ONCE = 64


class DetectOperator:
    """The work on one device."""

    def __init__(self, device: Device, settings: Detect) -> None:
        self.device = device
        self._settings = settings

    def apply(self, arrival: Arrival) -> list[Anomaly]:
        """Judge a batch, unless it is late."""
        place = Place(arrival.received_ns, arrival.partition, arrival.offset)
        said = self._heard(arrival, place)
        if arrival.lane is Lane.LATE:
            metrics.readings_unjudged.labels("late").inc(arrival.batch.readings)
            return said
        track = self._live(arrival, place, said) if arrival.lane is Lane.LIVE else self._backlog(arrival, place, said)
        return said + track.take(arrival.batch, place)

    def end_session(self, session: str) -> list[Anomaly]:
        """Close what it left open.  The live track's knowledge stays: it is the device's."""
        place = self._last_place()
        backlog = self.device.backlogs.pop(session, None)
        said = backlog.close(place) if backlog is not None else []
        return said + (self.device.live.close(place) if session == self.device.live.session else [])

    def pass_time(self, received_ns: int) -> list[Anomaly]:
        """Silence, and anomalies of streams that fell silent."""
        place = self._last_place()
        said = [a for track in self._tracks() for a in track.pass_time(received_ns, place)]
        silence = self.device.silence
        return said + silence.passed(self._scene(silence.session), received_ns, self._silent_ns())

    @property
    def due_ns(self) -> int | None:
        """From when on `pass_time` has something to do."""
        dues = (self._silent_ns(), *(track.due_ns for track in self._tracks()))
        return min((due for due in dues if due is not None), default=None)

    @property
    def size_bytes(self) -> int:
        """What the arrays hold, which is nearly all."""
        return device_state.FIXED_BYTES + sum(track.size_bytes for track in self._tracks())

    def freeze(self) -> bytes:
        """The whole state; the same gives the same bytes."""
        return device_state.freeze(self.device)

    def _live(self, arrival: Arrival, place: Place, said: list[Anomaly]) -> Track:
        live, session = self.device.live, arrival.batch.session
        if session != live.session:
            said += self.end_session(session)  # it may have been a backlog until now
            said += live.close(place)
            live.begin(session)
        return live

    def _backlog(self, arrival: Arrival, place: Place, said: list[Anomaly]) -> Track:
        backlogs, session = self.device.backlogs, arrival.batch.session
        track = backlogs.pop(session, None)
        if track is None:
            while len(backlogs) >= self._settings.backlog_sessions_max:
                said += backlogs.pop(next(iter(backlogs))).close(place)
            track = self.device.live.seeded(session)
        backlogs[session] = track  # in the order in which they were last heard
        return track

    def _heard(self, arrival: Arrival, place: Place) -> list[Anomaly]:
        return self.device.silence.heard_of(
            self._scene(arrival.batch.session),
            place,
            batches_min=self._settings.silence_batches_min,
            is_live=arrival.lane is Lane.LIVE,
        )

    def _silent_ns(self) -> int | None:
        s = self._settings
        return self.device.silence.until_ns(
            s_min=s.silence_s_min, times=s.silence_times, batches_min=s.silence_batches_min
        )

    def _scene(self, session: str) -> Scene:
        return Scene(self.device.name, session, DEVICE_STREAM, is_live=True)

    def _tracks(self) -> Sequence[Track]:
        return (self.device.live, *self.device.backlogs.values())

    def _last_place(self) -> Place:
        return Place(*(self.device.silence.place or (0, 0, 0)))


class DetectOperators:
    """Makes a device's operator, by the settings."""

    def __init__(self, settings: Detect) -> None:
        self._settings = settings
        self._plan = plan(settings)

    def fresh(self, device: str) -> DetectOperator:
        """For a device never seen."""
        return DetectOperator(device_state.fresh(device, self._plan), self._settings)

    def thaw(self, device: str, frozen: bytes) -> DetectOperator:
        """Go on; raises `Malformed`.  A stream that the settings now judge otherwise begins anew, as does a detector
        whose model has changed."""
        return DetectOperator(device_state.thaw(device, frozen, self._plan), self._settings)


class AnomalySink:
    """The `anomalies` topic, keyed by device.  A repetition is harmless: the store keeps the highest version."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def write(self, outputs: Sequence[Anomaly]) -> None:
        """Durable when it returns; raises `Retryable`."""
        for begin in range(0, len(outputs), RECORDS_AT_ONCE):
            await self._log.append(ANOMALIES, [anomaly_record(a) for a in outputs[begin : begin + RECORDS_AT_ONCE]])
        for one in outputs:
            if one.version == 1:
                metrics.anomalies.labels(one.kind, one.severity).inc()


def plan(settings: Detect) -> Plan:
    """The settings worked out; raises `Misconfigured` for a profile that a sensor cannot have."""
    for sensor, profile in settings.profiles.items():
        if sensor not in CATALOGUE:
            raise Misconfigured(f"setting detect.profiles names {sensor!r}, which is no sensor of the catalogue")
        if profile == MOTION_STREAM and sensor not in SENSORS:
            raise Misconfigured(f"setting detect.profiles: {sensor} cannot be part of the motion stream")
    rules = Rules(
        hold_ns=round(settings.hold_s * 1e9),
        hold_rows=settings.hold_rows,
        open_ns_max=round(settings.open_s_max * 1e9),
        samples_ns=round(settings.samples_s * 1e9),
        samples_rows_max=settings.samples_rows_max,
    )
    idle_ns = round(settings.idle_s * 1e9)
    return Plan(rules, settings.profiles, settings.streams_max, settings.opened_per_hour_max, idle_ns)
