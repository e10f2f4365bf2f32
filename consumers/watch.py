"""One stream watched: rows in; its scorer's hits, the raw rows around them and the episodes they make.  Pure."""

from typing import TypeAlias

import msgspec
import numpy as np

from consumers.clips import Tape, rows_before
from consumers.detectors import Detector, Floats, Hits, Times
from consumers.episode import Place, Scene
from consumers.episodes import Admit, Episodes, Rules, Turn
from consumers.profiles import Profile
from consumers.scorer import Scorer
from consumers.timeline import Clock, Layout, Rows
from telemetry.anomaly import Anomaly

Seen: TypeAlias = list[tuple[str, Detector, Hits]]

_CLOCK_KINDS = frozenset({"dropout", "clock_jump"})
_PLACE_KINDS = frozenset({"gps_jump", "gps_freeze", "gps_spoof", "impossible_speed"})


SEAM_NS = 2 * 10**9  # of the stream's time; what a step leaves behind is told a little longer than it lasts
SEAM_ROWS = 2


class Seam(msgspec.Struct):
    """Where a session begins, its clock and place owe nothing to the rows before: a step there is no anomaly."""

    clock: bool = False  # its first rows are still to come
    place: bool = False  # its first fixes are
    fix_at: int | None = None  # the first one's place on the stream's time


class Watch:
    """Of one session's rows after another's; only the scorer's state goes on from session to session."""

    def __init__(self, profile: Profile, rules: Rules) -> None:
        self.profile = profile
        self.scorer = Scorer(profile)
        self.heard_ns = 0  # receive time
        self._rules = rules
        self.layout = Layout(profile.fields)
        self._latitude = profile.fields.index("latitude") if "latitude" in profile.fields else None
        self.seam = Seam()
        self._begin()

    def _begin(self) -> None:
        self.clock = Clock()
        self.wound(self.layout.none())
        self.episodes = Episodes(self._rules, self.layout)

    def wound(self, rows: Rows) -> None:
        """These are the last rows."""
        self.tape = Tape(rows_before(self._rules.samples_rows_max) + 1, 2 * self._rules.samples_ns, rows)

    def judge(self, scene: Scene, place: Place, t: Times, values: Floats, admit: Admit) -> list[Anomaly]:
        """The stream's next rows: device times int64[n], values float64[n, fields] with NaN for absent."""
        self.heard_ns = max(self.heard_ns, place.received_ns)
        if not len(t):
            return []
        judged = self.scorer.update(t, values)
        rules = self._rules
        block = self.layout.rows(self.clock, t, values, rules.hold_ns, rules.jump_ns_max)
        found = [
            (name, detector, hits)
            for name, (detector, hits) in zip(self.scorer.detectors, judged.hits, strict=True)
            if len(hits)
        ]
        if self.seam.clock or self.seam.place:
            found = self._without_seam(found, block, values)
        said = self.episodes.advance(Turn(scene, place, block, self.tape, admit), found)
        self.tape.wind(block)
        return said

    def close(self, scene: Scene, place: Place) -> list[Anomaly]:
        """Close what is open."""
        return self.episodes.close(scene, place)

    def begin_session(self) -> None:
        """Rows of another session follow; what was open must be closed."""
        self._begin()
        self.seam = Seam(clock=True, place=self._latitude is not None)

    def seeded(self) -> "Watch":
        """One that goes on from a copy of what this one has learned, for another session."""
        other = Watch(self.profile, self._rules)
        other.scorer.restore(self.scorer.state())
        other.begin_session()
        return other

    @property
    def has_open(self) -> bool:
        """Whether anything is open."""
        return bool(self.episodes.open)

    @property
    def size_bytes(self) -> int:
        """What it holds: the detectors' state, the tape and the clips."""
        clips = sum(e.clip.rows.size_bytes for e in self.episodes.open.values() if e.clip is not None)
        states = sum(detector.state_size_bytes for detector in self.scorer.detectors.values())
        return states + self.tape.size_bytes + clips

    def _without_seam(self, found: Seen, block: Rows, values: Floats) -> Seen:
        """Leave out what a step between two sessions looks like."""
        seam = self.seam
        if seam.place and seam.fix_at is None:
            fixes = np.flatnonzero(np.isfinite(values[:, self._latitude]))
            seam.fix_at = int(block.at[fixes[0]]) if len(fixes) else None
        clock_at, place_at = SEAM_NS, SEAM_NS + (int(block.at[-1]) if seam.fix_at is None else seam.fix_at)
        by_clock = max(int(block.at.searchsorted(clock_at, "right")), SEAM_ROWS - block.number) if seam.clock else 0
        by_place = int(block.at.searchsorted(place_at, "right")) if seam.place else 0
        seam.clock = seam.clock and by_clock >= len(block)
        seam.place = seam.place and by_place >= len(block)
        kept = (
            (n, d, _from(d, _from(d, hits, _CLOCK_KINDS, by_clock), _PLACE_KINDS, by_place)) for n, d, hits in found
        )
        return [one for one in kept if len(one[2])]


def _from(detector: Detector, hits: Hits, kinds: frozenset[str], row: int) -> Hits:
    """Without the hits of these kinds before this row."""
    numbers = [k for k, kind in enumerate(detector.KINDS) if kind in kinds]
    return hits[~(np.isin(hits["kind"], numbers) & (hits["row"] < row))]
