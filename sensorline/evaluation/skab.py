"""The `skab` benchmark: `channels` on the Skoltech Anomaly Benchmark's files, beside River's detectors.

The benchmark's own protocol spares each file's first 400 rows and rewards whoever knows when its anomalies come; so
the heads are cut at random too, and streams are added in which nothing happens.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consumers.detectors import Floats, channels
from sensorline.evaluation import Cell, Table
from sensorline.evaluation import _skab_baselines as river_s
from sensorline.evaluation._skab_files import Stream, cut, heads, read
from sensorline.evaluation._skab_score import Confusion, pooled

COLUMNS = ("detector", "threshold", "streams", "F1", "FAR %", "MAR %", "MCC", "rows/s")
SHIPPED, CROSSED = "as shipped", "the other half's best"
SEEDS = 5
PARTS_OF_SHIPPED = np.geomspace(0.5, 2.5, 15)
THRESHOLDS = 200  # tried of a baseline: that many of its scores, by rank

Streams = list[list[Stream]]  # a file each: the streams that were made of it


@dataclass(frozen=True, slots=True)
class Judged:
    """One detector on one protocol: the counts a file and threshold, and how fast it was."""

    counts: list[list[Confusion]]
    rows_per_s: float


def evaluate(data: Path, *, baselines: bool = True) -> Table:
    """Read every `.csv` below a folder (datetime;...;anomaly;changepoint); raises `Malformed` when they are not."""
    files = read(data)
    protocols = _protocols(files)
    _alarms(files[0], 1.0)  # compiled before the clock starts
    rows: list[tuple[Cell, ...]] = []
    shipped = {name: _ours(streams, [1.0]) for name, streams in protocols.items()}
    tried = {name: _ours(streams, PARTS_OF_SHIPPED) for name, streams in protocols.items()}
    rows += [_row("ours", SHIPPED, name, _at(one, 0), one.rows_per_s) for name, one in shipped.items()]
    rows += [_row("ours", CROSSED, name, crossed(one.counts), one.rows_per_s) for name, one in tried.items()]
    for baseline in river_s.BASELINES if baselines else ():
        for name, streams in protocols.items():
            for suffix, judged in _theirs(baseline, streams).items():
                rows.append(_row(baseline + suffix, CROSSED, name, crossed(judged.counts), judged.rows_per_s))
    return Table("SKAB", COLUMNS, tuple(rows), _notes(files, tried))


def _protocols(files: Sequence[Stream]) -> dict[str, Streams]:
    whole = [[file] for file in files]
    loose: Streams = [[] for _ in files]
    normal: Streams = [[] for _ in files]
    strict: Streams = [[] for _ in files]
    for seed in range(SEEDS):
        added = heads(files, seed)
        for k, stream in enumerate(cut(files, seed, strict=False)):
            loose[k].append(stream)
            normal[k] += [stream, added[k]]
        for k, stream in enumerate(cut(files, seed, strict=True)):
            strict[k] += [stream, added[k]]
    return {"whole": whole, "heads cut": loose, "cut + normal": normal, "cut + normal, strict": strict}


# --- thresholds chosen on one part, used on another


def crossed(counts: Sequence[Sequence[Confusion]]) -> Confusion:
    """Each half of the files (every second by name) at the threshold of the other's best MCC, pooled."""
    a, b = list(range(0, len(counts), 2)), list(range(1, len(counts), 2))
    if not b:
        return _of(counts, a, _best(counts, a))
    return _of(counts, b, _best(counts, a)) + _of(counts, a, _best(counts, b))


def _best(counts: Sequence[Sequence[Confusion]], files: Sequence[int]) -> int:
    return int(np.argmax([_of(counts, files, threshold).mcc for threshold in range(len(counts[0]))]))


def _of(counts: Sequence[Sequence[Confusion]], files: Sequence[int], threshold: int) -> Confusion:
    return pooled(counts[file][threshold] for file in files)


def _at(judged: Judged, threshold: int) -> Confusion:
    return _of(judged.counts, range(len(judged.counts)), threshold)


# --- ours


def _alarms(stream: Stream, part: float) -> Floats:
    """Scores of a stream by a fresh detector whose threshold is so many times the shipped one."""
    fields = tuple(f"c{k}" for k in range(stream.values.shape[1]))
    detector = channels.Detector(fields, threshold=channels.Detector(fields).threshold * part)
    return detector.update(stream.t_ns, stream.values).score


def _ours(streams: Streams, parts: Sequence[float] | Floats) -> Judged:
    begun = time.perf_counter()
    counts = [
        [pooled(_count(one, _alarms(one, part), 1.0) for one in of_a_file) for part in parts] for of_a_file in streams
    ]
    return Judged(counts, _rows(streams) * len(parts) / (time.perf_counter() - begun))


def _count(stream: Stream, score: Floats, threshold: float) -> Confusion:
    return Confusion.of(stream.wrong[stream.first :], score[stream.first :] >= threshold)


# --- River's


def _theirs(name: str, streams: Streams) -> dict[str, Judged]:
    begun = time.perf_counter()
    told = [[river_s.scores(name, one.values) for one in of_a_file] for of_a_file in streams]
    rows_per_s = _rows(streams) / (time.perf_counter() - begun)
    smooth = [[river_s.smoothed(one) for one in of_a_file] for of_a_file in told]
    suffixes = {"": told, f", mean of {river_s.SMOOTH_ROWS}": smooth}
    return {suffix: Judged(_at_ranks(streams, seen), rows_per_s) for suffix, seen in suffixes.items()}


def _at_ranks(streams: Streams, told: Sequence[Sequence[Floats]]) -> list[list[Confusion]]:
    every = np.concatenate([score for of_a_file in told for score in of_a_file])
    thresholds = np.quantile(every, np.linspace(0, 1, THRESHOLDS))
    pairs = [list(zip(*of_a_file, strict=True)) for of_a_file in zip(streams, told, strict=True)]
    return [[pooled(_count(s, score, at) for s, score in of_a_file) for at in thresholds] for of_a_file in pairs]


# --- the table


def _rows(streams: Streams) -> int:
    return sum(len(one.wrong) for of_a_file in streams for one in of_a_file)


def _row(detector: str, threshold: str, protocol: str, count: Confusion, rows_per_s: float) -> tuple[Cell, ...]:
    rates = (round(100 * count.far, 1), round(100 * count.mar, 1))
    return detector, threshold, protocol, round(count.f1, 3), *rates, round(count.mcc, 3), round(rows_per_s)


def _notes(files: Sequence[Stream], tried: dict[str, Judged]) -> tuple[str, ...]:
    shipped = channels.Detector().threshold
    plateau = ", ".join(
        f"{shipped * part:.2f}: {_at(tried['cut + normal, strict'], k).mcc:.2f}"
        for k, part in enumerate(PARTS_OF_SHIPPED)
    )
    return (
        f"{len(files)} files; whole: the rows after a file's first 400.",
        f"Heads cut: without 0 to 350 of the first rows ({SEEDS} seeds), at least 100 normal ones left; scored are the"
        " rows after the file's 400 first and the stream's 60 first.",
        "+ normal: as many streams added in which nothing happens, scored from row 60; strict: so is everything.",
        "Each half of the files (every second by name) has the threshold whose MCC was best on the other half.",
        f"MCC of ours by threshold, cut + normal, strict: {plateau} (shipped: {shipped:g}).",
        _spread(files),
    )


def _spread(files: Sequence[Stream]) -> str:
    """How much the shipped threshold's MCC owes to the files that happen to be here: a bootstrap over files."""
    streams = _protocols(files)["cut + normal, strict"]
    counts = [one[0] for one in _ours(streams, [1.0]).counts]
    random = np.random.default_rng(1)
    draws = [pooled(counts[k] for k in random.integers(0, len(counts), len(counts))) for _ in range(400)]
    low, high = np.quantile([draw.mcc for draw in draws], [0.05, 0.95])
    fars = np.quantile([100 * draw.far for draw in draws], [0.05, 0.95])
    return (
        f"Files drawn anew 400 times, shipped, cut + normal, strict: MCC {low:.2f} to {high:.2f},"
        f" FAR {fars[0]:.1f} to {fars[1]:.1f} % (90 %)."
    )
