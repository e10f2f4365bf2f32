"""One episode of a stream: what is known of it while it goes on, and the record that tells it.  Pure."""

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from consumers import clips, words
from consumers.clips import Clip
from consumers.detectors import Detector, Hits, Times
from consumers.severity import severity
from consumers.timeline import Layout, Rows
from telemetry.anomaly import Anomaly, Samples

FEATURES_MAX = 4  # of one anomaly
_FINITE_MAX = 1e300


@dataclass(frozen=True, slots=True)
class Scene:
    """Whose rows these are."""

    device: str
    session: str
    stream: str
    is_live: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the log it is said, and when that came in."""

    received_ns: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Run:
    """Hits of one kind that belong together, and the rows at which they are."""

    kind: str
    name: str
    detector: Detector
    hits: Hits
    rows: Times  # indexes into the block


class Carrier(msgspec.Struct):
    """A feature that carried it, where it did so most."""

    feature: str
    unit: str
    score: float
    seen: float
    low: float
    high: float


class Facts(msgspec.Struct):
    """What is known of one; `*_at` and `*_row` are of the stream's own time, `told_*` what the last record said."""

    kind: str
    detector: str
    model: int
    id: str
    start_ns: int
    start_at: int
    start_row: int
    epoch: int
    end_ns: int
    last_at: int
    last_row: int
    score: float
    peak_ns: int
    carriers: list[Carrier]
    received_ns: int
    is_muted: bool = False
    version: int = 0
    told_score: float = 0.0
    told_end_ns: int = 0
    told_complete: bool = False


@dataclass(slots=True, eq=False)
class Episode:
    """One, with the raw rows around its start (None: it is muted, or there was no room)."""

    facts: Facts
    clip: Clip | None = None

    @property
    def is_complete(self) -> bool:
        """Whether no more raw rows will come."""
        return self.clip is None or self.clip.is_complete


def carry(facts: Facts, block: Rows, run: Run, begin: int, end: int) -> None:
    """The episode takes the run's hits begin..end."""
    hits, rows = run.hits[begin:end], run.rows[begin:end]
    last, peak = int(rows[-1]), int(hits["score"].argmax())
    facts.last_at, facts.last_row = int(block.at[last]), block.number + last
    facts.end_ns = max(facts.end_ns, int(block.t[rows].max()))
    score = _finite(hits["score"][peak])
    if score > facts.score:
        facts.score, facts.peak_ns = score, int(block.t[rows[peak]])
    named = run.detector.features()
    for number in np.unique(hits["feature"]).tolist():
        mine = hits[hits["feature"] == number]
        most = mine[int(mine["score"].argmax())]
        feature = named[number]
        numbers = (_finite(most[part]) for part in ("score", "seen", "low", "high"))
        _put(facts.carriers, Carrier(feature.name, feature.unit, *numbers))


def _put(carriers: list[Carrier], carrier: Carrier) -> None:
    """Keep it if it is among the strongest; the first of equals stays."""
    same = next((k for k, known in enumerate(carriers) if known.feature == carrier.feature), None)
    if same is None:
        carriers.append(carrier)
    elif carrier.score > carriers[same].score:
        carriers[same] = carrier
    carriers.sort(key=lambda known: -known.score)
    del carriers[FEATURES_MAX:]


def _finite(value: float) -> float:
    """A detector may divide by nothing; a record holds numbers."""
    number = float(value)
    return 0.0 if math.isnan(number) else min(max(number, -_FINITE_MAX), _FINITE_MAX)


def record(scene: Scene, place: Place, episode: Episode, layout: Layout, *, is_open: bool) -> Anomaly:
    """Its record, with the next version."""
    facts = episode.facts
    facts.version += 1
    facts.told_score, facts.told_end_ns, facts.told_complete = facts.score, facts.end_ns, episode.is_complete
    evidence = tuple(words.evidence(c.feature, c.unit, c.seen, c.low, c.high) for c in facts.carriers)
    return Anomaly(
        id=facts.id,
        version=facts.version,
        device=scene.device,
        session=scene.session,
        stream=scene.stream,
        kind=facts.kind,
        severity=severity(facts.kind, facts.score),
        start_ns=facts.start_ns,
        end_ns=facts.end_ns,
        is_open=is_open,
        score=facts.score,
        peak_ns=facts.peak_ns,
        words=words.sentence(facts.kind, evidence[0], facts.peak_ns),
        evidence=evidence,
        detector=facts.detector,
        model=facts.model,
        is_live=scene.is_live,
        received_ns=facts.received_ns,
        updated_ns=place.received_ns,
        partition=place.partition,
        offset=place.offset,
        samples=clips.samples(episode.clip, layout) if episode.clip is not None else Samples(is_truncated=True),
    )
