"""The `skab` benchmark: `channels` on the Skoltech Anomaly Benchmark's files, beside River's detectors.

The benchmark's own protocol spares each file's first 400 rows and rewards whoever knows when its anomalies come; so
the heads are cut at random too, and streams are added in which nothing happens.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consumers.detectors import Floats, channels
from sensorline.evaluation import Cell, Table
from sensorline.evaluation import _skab_baselines as river_s
from sensorline.evaluation._skab_files import Key, Stream, cut, heads, read
from sensorline.evaluation._skab_score import Confusion, pooled

COLUMNS = ("detector", "threshold", "streams", "F1", "FAR %", "MAR %", "MCC", "rows/s")
SHIPPED, CROSSED = "as shipped", "the other half's best"
SEEDS = 3
PARTS_OF_SHIPPED = np.geomspace(0.5, 2.5, 15)
STRICT = "cut + normal, strict"
DRAWS = 400
THRESHOLDS = 200  # tried of a baseline: that many of its scores, by rank

Protocol = list[list[Stream]]  # a file each: the streams that were made of it
Judge = Callable[[Stream], Floats]


@dataclass(frozen=True, slots=True)
class Told:
    """What a detector said of every stream; protocols differ in the streams that they take and the rows they score."""

    scores: dict[Key, Floats]
    rows_per_s: float

    @classmethod
    def by(cls, judge: Judge, protocols: dict[str, Protocol]) -> "Told":
        """Each stream is judged once, however many protocols it is in."""
        streams = {one.key: one for protocol in protocols.values() for of_a_file in protocol for one in of_a_file}
        begun = time.process_time()
        scores = {key: judge(one) for key, one in streams.items()}
        return cls(scores, sum(map(len, scores.values())) / (time.process_time() - begun))

    def smoothed(self) -> "Told":
        return Told({key: river_s.smoothed(score) for key, score in self.scores.items()}, self.rows_per_s)

    def count(self, protocol: Protocol, threshold: float) -> list[Confusion]:
        """A file each, with every row in alarm whose score reaches the threshold."""
        return [pooled(one.count(self.scores[one.key] >= threshold) for one in of_a_file) for of_a_file in protocol]


def evaluate(data: Path, *, baselines: bool = True) -> Table:
    """Read every `.csv` below a folder (datetime;...;anomaly;changepoint); raises `Malformed` when they are not."""
    files = read(data)
    protocols = _protocols(files)
    _judge(1.0)(files[0])  # compiled before the clock starts
    shipped = Told.by(_judge(1.0), protocols)
    tried = [Told.by(_judge(part), protocols) for part in PARTS_OF_SHIPPED]
    at_parts = {name: [told.count(protocol, 1.0) for told in tried] for name, protocol in protocols.items()}
    rows = [_row("ours", SHIPPED, name, pooled(shipped.count(one, 1.0)), shipped) for name, one in protocols.items()]
    rows += [_row("ours", CROSSED, name, crossed(counts), shipped) for name, counts in at_parts.items()]
    for baseline in river_s.BASELINES if baselines else ():
        raw = Told.by(_river(baseline), protocols)
        for suffix, told in (("", raw), (f", mean of {river_s.SMOOTH_ROWS}", raw.smoothed())):
            rows += [
                _row(baseline + suffix, CROSSED, name, _ranked(told, one), told) for name, one in protocols.items()
            ]
    return Table("SKAB", COLUMNS, tuple(rows), _notes(shipped.count(protocols[STRICT], 1.0), at_parts[STRICT]))


def _protocols(files: Sequence[Stream]) -> dict[str, Protocol]:
    cuts = [cut(files, seed) for seed in range(SEEDS)]
    added = [heads(files, seed) for seed in range(SEEDS)]
    loose = [list(of_a_file) for of_a_file in zip(*cuts, strict=True)]
    normal = [list(of_a_file) for of_a_file in zip(*cuts, *added, strict=True)]
    strict = [[one.strict() for one in of_a_file] for of_a_file in normal]
    return {"whole": [[file] for file in files], "heads cut": loose, "cut + normal": normal, STRICT: strict}


# --- thresholds chosen on one part, used on another


def crossed(counts: Sequence[Sequence[Confusion]]) -> Confusion:
    """Each half of the files (every second by name) at the other's best threshold by MCC; `counts[threshold][file]`."""
    a, b = slice(0, None, 2), slice(1, None, 2)
    if len(counts[0]) == 1:
        return counts[_best(counts, a)][0]
    return pooled([*counts[_best(counts, a)][b], *counts[_best(counts, b)][a]])


def _best(counts: Sequence[Sequence[Confusion]], half: slice) -> int:
    return int(np.argmax([pooled(at[half]).mcc for at in counts]))


def _ranked(told: Told, protocol: Protocol) -> Confusion:
    thresholds = np.quantile(np.concatenate(list(told.scores.values())), np.linspace(0, 1, THRESHOLDS))
    return crossed([told.count(protocol, at) for at in thresholds])


# --- the detectors


def _judge(part: float) -> Judge:
    """Ours, fresh for every stream, with so many times the shipped threshold."""

    def judge(stream: Stream) -> Floats:
        fields = tuple(f"c{k}" for k in range(stream.values.shape[1]))
        detector = channels.Detector(fields, threshold=channels.Detector(fields).threshold * part)
        return detector.update(stream.t_ns, stream.values).score

    return judge


def _river(name: str) -> Judge:
    return lambda stream: river_s.scores(name, stream.values)


# --- the table


def _row(detector: str, threshold: str, protocol: str, count: Confusion, told: Told) -> tuple[Cell, ...]:
    rates = (round(100 * count.far, 1), round(100 * count.mar, 1))
    return detector, threshold, protocol, round(count.f1, 3), *rates, round(count.mcc, 3), round(told.rows_per_s)


def _notes(shipped: Sequence[Confusion], tried: Sequence[Sequence[Confusion]]) -> tuple[str, ...]:
    threshold = channels.Detector().threshold
    plateau = ", ".join(
        f"{threshold * part:.1f}: {pooled(counts).mcc:.2f}"
        for part, counts in zip(PARTS_OF_SHIPPED, tried, strict=True)
    )
    return (
        f"{len(shipped)} files; whole: the rows after a file's first 400.",
        f"Heads cut: without 0 to 350 of the first rows ({SEEDS} seeds), at least 100 normal ones left; scored are the"
        " rows after the file's 400 first and the stream's 60 first.",
        "+ normal: as many streams added in which nothing happens, scored from row 60; strict: so is everything.",
        "Each half of the files (every second by name) has the threshold whose MCC was best on the other half.",
        f"MCC of ours by threshold, {STRICT}: {plateau} (shipped: {threshold:g}).",
        f"Files drawn anew, shipped, {STRICT}: {_spread(shipped)}.",
    )


def _spread(counts: Sequence[Confusion]) -> str:
    """What the shipped threshold's result owes to the files that happen to be here: a bootstrap over files."""
    random = np.random.default_rng(1)
    draws = [pooled(counts[k] for k in random.integers(0, len(counts), len(counts))) for _ in range(DRAWS)]
    mcc = np.quantile([draw.mcc for draw in draws], [0.05, 0.95])
    far = np.quantile([100 * draw.far for draw in draws], [0.05, 0.95])
    return f"MCC {mcc[0]:.2f} to {mcc[1]:.2f}, FAR {far[0]:.1f} to {far[1]:.1f} % (90 % of {DRAWS} draws)"
