"""Hits become anomalies that open, go on and close: one stream's episodes, a kind each.  Pure.

An episode opens at the first hit of its kind and goes on with every further one.  It closes when more than `hold_ns`
of the stream's time and more than `hold_rows` rows passed without one (so a stream of a row an hour has patience),
when the clock stepped back, when it lasted for `open_ns_max`, or when its session ends.  Where batches were cut
changes neither when one opens nor when one ends.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from consumers import clips
from consumers.clips import Clip, Tape
from consumers.detectors import Detector, Hits, Times
from consumers.episode import Episode, Facts, Place, Run, Scene, carry, record
from consumers.severity import is_worse, severity
from consumers.timeline import Layout, Rows
from telemetry.anomaly import Anomaly, anomaly_id

OPEN_ROWS_MIN = 100  # an hour is long for a stream of ten rows a second, and not for one of ten a day


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings, in nanoseconds."""

    hold_ns: int
    hold_rows: int
    open_ns_max: int
    samples_ns: int
    samples_rows_max: int

    @property
    def jump_ns_max(self) -> int:
        """A step forward by more than this is no different from one by this: everything is over."""
        return max(self.hold_ns, self.open_ns_max, 2 * self.samples_ns) + 1


Admit: TypeAlias = Callable[[int], bool]
"""Whether one may open now; it is given the start, device time."""
Found: TypeAlias = Sequence[tuple[str, Detector, Hits]]


@dataclass(frozen=True, slots=True)
class Turn:
    """A stream went on with `block`; `tape` is what came before.  An episode that `admit` refuses lives in silence."""

    scene: Scene
    place: Place
    block: Rows
    tape: Tape
    admit: Admit


@dataclass(slots=True)
class Episodes:
    """One stream's."""

    rules: Rules
    layout: Layout
    open: dict[str, Episode] = field(default_factory=dict)
    starts: dict[str, tuple[int, int]] = field(default_factory=dict)  # epoch and start of each kind's latest

    def advance(self, turn: Turn, found: Found) -> list[Anomaly]:
        """What follows from the hits that each detector had in the turn's block."""
        for episode in self.open.values():
            if episode.clip is not None:
                episode.clip.take(turn.block)
        runs = [run for name, detector, hits in found for run in _runs(name, detector, hits, turn.block, self.rules)]
        over: list[Episode] = []
        for run in sorted(runs, key=lambda run: (int(run.rows[0]), run.kind)):
            over += self._take(turn, run)
        over += self._over(turn.block)
        said = [(e, False) for e in over] + [(e, True) for e in self.open.values() if self._is_news(e)]
        return self._said(turn.scene, turn.place, said)

    def close(self, scene: Scene, place: Place) -> list[Anomaly]:
        """Nothing more will come: close all."""
        ended = [(episode, False) for episode in self.open.values()]
        self.open.clear()
        return self._said(scene, place, ended)

    def forget(self) -> None:
        """Another session begins, with ids of its own."""
        self.open.clear()
        self.starts.clear()

    def _said(self, scene: Scene, place: Place, told: list[tuple[Episode, bool]]) -> list[Anomaly]:
        told.sort(key=lambda pair: (pair[0].facts.start_row, pair[0].facts.kind))
        return [record(scene, place, e, self.layout, is_open=is_open) for e, is_open in told if not e.facts.is_muted]

    def _take(self, turn: Turn, run: Run) -> Iterator[Episode]:
        """Let the open episode go on with this run, or begin one; those that ended thereby."""
        block = turn.block
        begin = 0
        while begin < len(run.rows):
            episode = self.open.get(run.kind)
            if episode is None or not self._continues(episode.facts, block, int(run.rows[begin])):
                if episode is not None:
                    yield episode
                episode = self._begin(turn, run, begin)
                self.open[run.kind] = episode
            end = begin + max(self._lasting(episode.facts, block, run.rows[begin:]), 1)
            carry(episode.facts, block, run, begin, end)
            begin = end

    def _continues(self, facts: Facts, block: Rows, row: int) -> bool:
        at, number = int(block.at[row]), block.number + row
        return (
            facts.epoch == int(block.epoch[row])
            and not (at - facts.last_at > self.rules.hold_ns and number - facts.last_row > self.rules.hold_rows)
            and not self._is_too_long(facts, at, number)
        )

    def _is_too_long(self, facts: Facts, at: int, number: int) -> bool:
        return at - facts.start_at > self.rules.open_ns_max and number - facts.start_row > OPEN_ROWS_MIN

    def _lasting(self, facts: Facts, block: Rows, rows: Times) -> int:
        """How many of a run's hits come before the episode has lasted too long."""
        by_time = block.at[rows].searchsorted(facts.start_at + self.rules.open_ns_max, "right")
        by_rows = rows.searchsorted(facts.start_row + OPEN_ROWS_MIN - block.number, "right")
        return int(max(by_time, by_rows))

    def _begin(self, turn: Turn, run: Run, begin: int) -> Episode:
        block, scene = turn.block, turn.scene
        row, hit = int(run.rows[begin]), run.hits[begin]
        t, at, epoch = int(block.t[row]), int(block.at[row]), int(block.epoch[row])
        start_ns = self._start(run.kind, epoch, min(int(hit["since_ns"]), t))
        stream = scene.stream if epoch == 0 else f"{scene.stream}@{epoch}"  # a clock set back may show a time again
        facts = Facts(
            kind=run.kind,
            detector=run.name,
            model=run.detector.MODEL,
            id=anomaly_id(scene.device, scene.session, stream, run.kind, start_ns),
            start_ns=start_ns,
            start_at=at,
            start_row=block.number + row,
            epoch=epoch,
            end_ns=max(t, start_ns),
            last_at=at,
            last_row=block.number + row,
            score=0.0,
            peak_ns=t,
            carriers=[],
            received_ns=turn.place.received_ns,
            is_muted=not turn.admit(start_ns),
        )
        return Episode(facts, None if facts.is_muted else self._clip(turn, row, t - start_ns))

    def _start(self, kind: str, epoch: int, since_ns: int) -> int:
        known = self.starts.get(kind)
        start_ns = max(since_ns, known[1] + 1) if known is not None and known[0] == epoch else since_ns
        self.starts[kind] = epoch, start_ns
        return start_ns

    def _clip(self, turn: Turn, row: int, ago_ns: int) -> Clip | None:
        held = sum(len(e.clip.rows) + e.clip.room for e in self.open.values() if e.clip is not None)
        room = min(self.rules.samples_rows_max, clips.CLIPS_MAX * self.rules.samples_rows_max - held)
        if room < 2:
            return None
        before = turn.tape.rows()
        since_at = int(turn.block.at[row]) - min(max(ago_ns, 0), self.rules.samples_ns)
        return clips.clip(before.joined(turn.block), len(before) + row, since_at, self.rules.samples_ns, room)

    def _over(self, block: Rows) -> list[Episode]:
        """Those that have ended by the block's last row."""
        if not len(block):
            return []
        at, epoch, number = int(block.at[-1]), int(block.epoch[-1]), block.number + len(block) - 1
        ended = [
            episode
            for episode in self.open.values()
            if episode.facts.epoch != epoch
            or (
                at - episode.facts.last_at > self.rules.hold_ns
                and number - episode.facts.last_row >= self.rules.hold_rows
            )
        ]
        for episode in ended:
            del self.open[episode.facts.kind]
        return ended

    def _is_news(self, episode: Episode) -> bool:
        """Whether an open one has changed enough to be told: what lasts is told ever more rarely, not every batch."""
        facts = episode.facts
        longer_ns = facts.end_ns - facts.told_end_ns
        return (
            facts.version == 0
            or (episode.is_complete and not facts.told_complete)
            or facts.score > facts.told_score * 2
            or is_worse(severity(facts.kind, facts.score), severity(facts.kind, facts.told_score))
            or longer_ns >= max(self.rules.hold_ns, (facts.told_end_ns - facts.start_ns) // 2)
        )


def _runs(name: str, detector: Detector, hits: Hits, block: Rows, rules: Rules) -> Iterator[Run]:
    for kind in np.unique(hits["kind"]).tolist():
        mine = hits[hits["kind"] == kind]
        rows = mine["row"]
        at, epoch = block.at[rows], block.epoch[rows]
        apart = (np.diff(at) > rules.hold_ns) & (np.diff(rows) > rules.hold_rows)
        cuts = [0, *(np.flatnonzero(apart | (np.diff(epoch) != 0)) + 1).tolist(), len(rows)]
        for begin, end in pairwise(cuts):
            yield Run(detector.KINDS[kind], name, detector, mine[begin:end], rows[begin:end])
