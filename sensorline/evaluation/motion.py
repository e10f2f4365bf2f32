"""The `motion` benchmark: motion and health together on labelled phone and vehicle streams, beside River's."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from consumers.detectors import Detector, Floats
from consumers.profiles import DETECTORS, MOTION_FIELDS, Profile
from consumers.scorer import Judged, Scorer
from sensorline.evaluation import Cell, Table
from sensorline.evaluation import _motion_baselines as river_s
from sensorline.evaluation._motion_score import EMPTY, GRACE_S, Tally, best_threshold, total
from sensorline.evaluation._motion_streams import Stream, halves, read

COLUMNS = ("detector", "threshold", "F1", "recall", "precision", "false/h", "latency s", "rows/s")


@dataclass(frozen=True, slots=True)
class Run:
    """Ours on several streams; `named` counts (true kind, kind of the first hit in the event's time)."""

    scores: list[Floats]
    named: Counter[tuple[str, str]]
    rows_per_s: float


def evaluate(data: Path, *, baselines: bool = True) -> Table:
    """Read a folder of NAME.csv, NAME.truth.csv and NAME.events.csv; raises `Malformed` when there are none."""
    streams = read(data)
    ours = judge(streams)
    baked = total(streams, ours.scores, 1.0)
    rows = [
        _row("ours", "1 (as shipped)", baked, ours.rows_per_s),
        _row("ours", "the other half's best", _crossed(streams, ours.scores), ours.rows_per_s),
    ]
    for name in river_s.BASELINES if baselines else ():
        scores, rows_per_s = river_s.run(name, streams)
        rows.append(_row(name, "the other half's best", _crossed(streams, scores), rows_per_s))
    notes = (
        f"{len(streams)} streams, {baked.hours:.2f} h, {sum(baked.events.values())} events; a detector starts afresh"
        " with each stream and sees a row at a time.",
        "The other half's best: the threshold with the best F1 on every second stream (by name), used on the others,"
        " both ways round, counts added.",
        *_by_kind(baked, ours.named),
    )
    return Table("Motion", COLUMNS, tuple(rows), notes)


def judge(streams: Sequence[Stream]) -> Run:
    """Ours over every stream; compiled before the clock starts."""
    profile = _profile()
    Scorer(profile).update(streams[0].t_ns[:100], streams[0].values[:100])
    scores, named, rows, busy_s = [], Counter[tuple[str, str]](), 0, 0.0
    for stream in streams:
        scorer = Scorer(profile)
        begun = time.process_time()
        judged = scorer.update(stream.t_ns, stream.values)
        busy_s += time.process_time() - begun
        rows += len(stream.t_ns)
        scores.append(judged.score)
        named += _named(stream, judged)
    return Run(scores, named, rows / busy_s)


def _profile() -> Profile:
    there = tuple(name for name in DETECTORS["motion"] if find_spec(f"consumers.detectors.{name}"))
    return Profile("motion", MOTION_FIELDS, there)


def _named(stream: Stream, judged: Judged) -> Counter[tuple[str, str]]:
    """What each event was called: the kind of the first hit in its time, the strongest where two come at once."""
    rows = np.concatenate([hits["row"] for _, hits in judged.hits])
    scores = np.concatenate([hits["score"] for _, hits in judged.hits])
    kinds = [kind for detector, hits in judged.hits for kind in _kinds(detector, hits["kind"])]
    order = np.lexsort((-scores, rows))
    at_s = stream.true_s[rows[order]]
    named: Counter[tuple[str, str]] = Counter()
    for kind, start, end in stream.events:
        first = int(np.searchsorted(at_s, start))
        found = first < len(at_s) and at_s[first] <= end + GRACE_S
        named[kind, kinds[order[first]] if found else "-"] += 1
    return named


def _kinds(detector: Detector, indices: "np.ndarray[tuple[int], np.dtype[np.int16]]") -> list[str]:
    return [detector.KINDS[i] for i in indices]


def _crossed(streams: Sequence[Stream], scores: Sequence[Floats]) -> Tally:
    a, b = halves(list(streams))
    whole = EMPTY
    for chosen_on, used_on in ((a, b), (b, a)):
        if not chosen_on:
            continue
        threshold = best_threshold([streams[i] for i in chosen_on], [scores[i] for i in chosen_on])
        whole = whole.plus(total([streams[i] for i in used_on], [scores[i] for i in used_on], threshold))
    return whole


def _row(name: str, threshold: str, counted: Tally, rows_per_s: float) -> tuple[Cell, ...]:
    rates = (counted.f1, counted.recall, counted.precision, counted.false_an_hour)
    return (name, threshold, *(round(x, 3) for x in rates), _short(counted.latency_s()), round(rows_per_s))


def _by_kind(counted: Tally, named: Counter[tuple[str, str]]) -> list[str]:
    lines = []
    for kind in sorted(counted.events):
        n, found, latency_s = counted.events[kind], len(counted.found_s[kind]), _short(counted.latency_s(kind))
        calls = ", ".join(f"{as_} {c}" for (true, as_), c in named.most_common() if true == kind)
        lines.append(f"{kind}: recall {found / n:.2f} ({found} of {n}), median latency {latency_s} s; named: {calls}")
    return lines


def _short(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
