"""A device that says nothing for far longer than it used to, by receive times in the log alone.  Pure."""

import statistics

import msgspec

from consumers.episode import Place, Scene
from consumers.standing import Standing
from telemetry.anomaly import Anomaly

INTERVALS_KEPT = 33  # odd: the median is one of them


class Silence(msgspec.Struct):
    """One device's."""

    intervals: list[int] = []  # between its last live batches, receive time
    heard: int = 0  # live batches
    place: tuple[int, int, int] | None = None  # of the last word: received, partition, offset
    session: str = ""
    standing: Standing | None = None

    def heard_of(self, scene: Scene, place: Place, *, batches_min: int, is_live: bool) -> list[Anomaly]:
        """It spoke: what was silent is over.  Only live batches tell how often it usually does."""
        before_ns = self.place[0] if self.place is not None else None
        said = self._over(scene, place)
        if is_live and before_ns is not None:
            self.intervals.append(max(place.received_ns - before_ns, 0))
            del self.intervals[:-INTERVALS_KEPT]
        self.heard = min(self.heard + is_live, batches_min)
        self.session = scene.session if is_live else self.session
        self.place = max(place.received_ns, before_ns or 0), place.partition, place.offset
        return said

    def until_ns(self, *, s_min: float, times: float, batches_min: int) -> int | None:
        """The receive time at which its silence is one; None while that is not known, or told already."""
        if self.standing is not None or self.place is None or self.heard < batches_min:
            return None
        return self.place[0] + max(round(s_min * 1e9), round(times * self._usual_ns()))

    def passed(self, scene: Scene, received_ns: int, until_ns: int | None) -> list[Anomaly]:
        """Receive time has come so far without a word of it.  When exactly it was asked changes nothing."""
        if until_ns is None or received_ns < until_ns or self.place is None:
            return []
        last_ns, partition, offset = self.place
        self.standing = Standing("silence", self.session, last_ns, until_ns)
        place = Place(until_ns, partition, offset)
        return [self.standing.record(scene, place, until_ns, self._carried(until_ns), is_open=True)]

    def _over(self, scene: Scene, place: Place) -> list[Anomaly]:
        if self.standing is None:
            return []
        carried = self._carried(place.received_ns)
        said = self.standing.record(scene, place, place.received_ns, carried, is_open=False)
        self.standing = None
        return [said]

    def _carried(self, until_ns: int) -> tuple[str, str, float, float]:
        last_ns = self.place[0] if self.place is not None else until_ns
        return "time without a word", "s", (until_ns - last_ns) / 1e9, self._usual_ns() / 1e9

    def _usual_ns(self) -> int:
        return round(statistics.median_low(self.intervals)) if self.intervals else 0
