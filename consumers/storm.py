"""The storm guard: so many anomalies an hour may open; of the rest one record says how many they were.  Pure."""

import msgspec

from consumers.episode import Place, Scene
from consumers.standing import Standing
from telemetry.anomaly import Anomaly

HOUR_NS = 3600 * 10**9


class Storm(msgspec.Struct):
    """One device's live track, or one backlog session.

    Hours are of receive time on the live track, and of the readings' own time for a backlog, which brings days of
    anomalies within a minute.
    """

    hour: int = -1
    opened: int = 0
    muted: int = 0
    muted_start_ns: int = 0
    standing: Standing | None = None

    def begin(self, scene: Scene, place: Place, hour_ns: int, opened_max: int) -> list[Anomaly]:
        """A batch of this hour is next: counts anew in a new one, and closes what the last one left open."""
        return self.over(scene, place, opened_max, hour_ns) if hour_ns // HOUR_NS != self.hour else []

    def admits(self, start_ns: int, opened_max: int) -> bool:
        """Whether one more may open."""
        if self.opened < opened_max:
            self.opened += 1
            return True
        self.muted += 1
        self.muted_start_ns = self.muted_start_ns or start_ns
        return False

    def told(self, scene: Scene, place: Place, opened_max: int) -> list[Anomaly]:
        """After a batch: opens a record when the first one was refused."""
        if self.standing is not None or not self.muted:
            return []
        self.standing = Standing("storm", scene.session, self.muted_start_ns, place.received_ns)
        return [self._record(self.standing, scene, place, opened_max, is_open=True)]

    def over(self, scene: Scene, place: Place, opened_max: int, hour_ns: int | None = None) -> list[Anomaly]:
        """Close the record, if one is open, and count anew."""
        standing = self.standing
        said = [] if standing is None else [self._record(standing, scene, place, opened_max, is_open=False)]
        self.hour = -1 if hour_ns is None else hour_ns // HOUR_NS
        self.opened, self.muted, self.muted_start_ns, self.standing = 0, 0, 0, None
        return said

    @property
    def due_ns(self) -> int | None:
        """When the hour of an open record is over."""
        return None if self.standing is None else (self.hour + 1) * HOUR_NS

    def _record(self, standing: Standing, scene: Scene, place: Place, opened_max: int, *, is_open: bool) -> Anomaly:
        counted = ("anomalies an hour", "", float(self.opened + self.muted), float(opened_max))
        return standing.record(scene, place, standing.start_ns, counted, is_open=is_open)
