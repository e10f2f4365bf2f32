"""One stream watched: rows in; its scorer's hits, the raw rows around them and the episodes they make.  Pure."""

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

_SEAM = frozenset({"dropout", "clock_jump"})
_SEAM_GPS = frozenset({"gps_jump", "gps_freeze", "gps_spoof", "impossible_speed"})


class Seam(msgspec.Struct):
    """Where a session begins, its clock and place owe nothing to the rows before: a step there is no anomaly."""

    rows: bool = False  # the next row is the session's first
    fix: bool = False  # the next fix is


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
        if self.seam.rows or self.seam.fix:
            found = self._without_seam(found, values)
        said = self.episodes.advance(Turn(scene, place, block, self.tape, admit), found)
        self.tape.wind(block)
        return said

    def close(self, scene: Scene, place: Place) -> list[Anomaly]:
        """Close what is open."""
        return self.episodes.close(scene, place)

    def begin_session(self) -> None:
        """Rows of another session follow; what was open must be closed."""
        self._begin()
        self.seam = Seam(rows=True, fix=self._latitude is not None)

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

    def _without_seam(
        self, found: list[tuple[str, Detector, Hits]], values: Floats
    ) -> list[tuple[str, Detector, Hits]]:
        """Leave out what a step between two sessions looks like."""
        first_fix = -1
        if self.seam.fix:
            fixes = np.flatnonzero(np.isfinite(values[:, self._latitude]))
            first_fix = int(fixes[0]) if len(fixes) else len(values)
        rows = 0 if self.seam.rows else -1
        self.seam = Seam(rows=False, fix=self.seam.fix and first_fix == len(values))
        return [
            (n, d, kept)
            for n, d, hits in found
            if len(kept := _after(d, _after(d, hits, _SEAM, rows), _SEAM_GPS, first_fix))
        ]


def _after(detector: Detector, hits: Hits, kinds: frozenset[str], row: int) -> Hits:
    """Without the hits of these kinds up to this row."""
    numbers = [k for k, kind in enumerate(detector.KINDS) if kind in kinds]
    return hits[~(np.isin(hits["kind"], numbers) & (hits["row"] <= row))]
