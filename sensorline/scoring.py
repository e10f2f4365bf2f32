"""`sensorline score`: the consumer's detectors over a file's rows; the same rows come out, with what was said of them.

Strictly causal and in pieces of bounded size: a row in, a row out, in the same order.  A CSV's cells pass through as
the text they were.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from consumers import profiles, words
from consumers.detectors import Floats
from consumers.scorer import Judged, Scorer
from sensorline.tabular import Source, Target, open_source, open_target
from sensorline.timestamps import Nanoseconds, Times
from telemetry.errors import Misconfigured

ADDED = pa.schema([("score", pa.float64()), ("alarm", pa.int8()), ("kind", pa.string()), ("reason", pa.string())])
ABSENT = pa.array(["", "nan", "NaN", "NAN", "null", "NULL", "None", "NA", "N/A", "n/a", "-"])
UPDATE_ROWS_MAX = 16_384


@dataclass(frozen=True, slots=True)
class Scored:
    """What was done: rows, rows in alarm, and how many alarms of each kind (rows)."""

    rows: int
    alarms: int
    kinds: dict[str, int]
    profile: str
    fields: tuple[str, ...]


def score(source: Path, target: Path, *, time: str, fields: Sequence[str] = (), profile: str = "") -> Scored:
    """Score a CSV or Parquet file into another (by their endings; CSV unless .parquet).

    `fields` empty: the motion columns where the file has them, else every column of numbers but the time; `profile`
    empty: by the columns.  Raises `Misconfigured` for columns that are not there and cells that cannot be read.
    """
    with open_source(source) as rows:
        _check(rows.schema, time)
        first = next(rows.pieces, None)
        chosen = _profile(rows.schema, first, time, tuple(fields), profile)
        with open_target(target, rows.schema, ADDED, delimiter=rows.delimiter) as out:
            return _run(rows, first, out, Scorer(chosen), time)


def _run(rows: Source, first: pa.Table | None, out: Target, scorer: Scorer, time: str) -> Scored:
    fields = scorer.profile.fields
    clock, told = Times(time), _Told(scorer)
    for piece in _pieces(first, rows.pieces):
        t_ns = clock.read(piece.column(time))
        values = np.column_stack([numbers(piece, name) for name in fields])
        out.write(piece, told.of(t_ns, values))
    return Scored(told.rows, told.alarms, told.kinds, scorer.profile.name, fields)


def _pieces(first: pa.Table | None, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    for piece in itertools.chain([] if first is None else [first], rest):
        yield from _cut(piece)


def _cut(piece: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, piece.num_rows, UPDATE_ROWS_MAX):
        yield piece.slice(start, UPDATE_ROWS_MAX)


class _Told:
    """The added columns of piece after piece."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.rows = self.alarms = 0
        self.kinds: dict[str, int] = {}

    def of(self, t_ns: Nanoseconds, values: Floats) -> pa.Table:
        judged = self._scorer.update(t_ns, values)
        kind, reason = self._named(judged, t_ns)
        alarm = judged.alarm()
        self.rows += len(alarm)
        self.alarms += int(alarm.sum())
        columns = [pa.array(judged.score), pa.array(alarm.astype(np.int8)), pa.array(kind), pa.array(reason)]
        return pa.table(columns, schema=ADDED)

    def _named(self, judged: Judged, t_ns: Nanoseconds) -> tuple[list[str], list[str]]:
        """Of each row the kind with the highest score, and all of its reasons, that one's first."""
        found: dict[int, list[tuple[float, str, str]]] = {}
        for detector, hits in judged.hits:
            names, features = detector.KINDS, detector.features()
            for row, kind, feature, score, seen, low, high in hits[
                ["row", "kind", "feature", "score", "seen", "low", "high"]
            ].tolist():
                known = features[feature]
                said = words.evidence(known.name, known.unit, seen, low, high)
                found.setdefault(row, []).append(
                    (score, names[kind], words.sentence(names[kind], said, int(t_ns[row])))
                )
        kinds, reasons = [""] * len(t_ns), [""] * len(t_ns)
        for row, several in found.items():
            several.sort(key=lambda one: (-one[0], one[1]))
            kinds[row], reasons[row] = several[0][1], "; ".join(reason for _, _, reason in several)
            self.kinds[kinds[row]] = self.kinds.get(kinds[row], 0) + 1
        return kinds, reasons


def numbers(piece: pa.Table, name: str) -> Floats:
    """A column as float64, NaN where it is absent; raises `Misconfigured` for a cell that is no number."""
    if name not in piece.column_names:
        return np.full(piece.num_rows, np.nan)
    column = piece.column(name)
    try:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            text = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.is_in(text, ABSENT), None, text)
        found: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        raise Misconfigured(f"column {name!r} has a cell that is no number: {e}; choose others with --fields") from e
    return np.where(np.isfinite(found), found, np.nan)


def _check(schema: pa.Schema, time: str) -> None:
    if time not in schema.names:
        raise Misconfigured(f"there is no column {time!r}; there are: {', '.join(schema.names)}")
    taken = set(ADDED.names) & set(schema.names)
    if taken:
        raise Misconfigured(f"the file has a column {sorted(taken)[0]!r} already, which is what would be added")


def _profile(
    schema: pa.Schema, first: pa.Table | None, time: str, fields: tuple[str, ...], profile: str
) -> profiles.Profile:
    missing = [name for name in fields if name not in schema.names]
    if missing:
        raise Misconfigured(f"there is no column {missing[0]!r}; there are: {', '.join(schema.names)}")
    if profile and profile not in profiles.DETECTORS:
        raise Misconfigured(f"profiles are {', '.join(profiles.DETECTORS)}, not {profile!r}")
    is_motion = not fields and {"ax", "ay", "az"} <= set(schema.names)
    if profile == "motion" or (not profile and is_motion):
        return profiles.made("motion", profiles.MOTION_FIELDS)
    chosen = fields or _of_numbers(schema, first, time)
    if not chosen:
        raise Misconfigured(f"there is no column of numbers beside {time!r}: name some with --fields")
    if profile == "series" and len(chosen) != 1:
        raise Misconfigured(f"the profile series takes one column, not {', '.join(chosen)}: name it with --fields")
    return profiles.made(profile or ("series" if len(chosen) == 1 else "channels"), chosen)


def _of_numbers(schema: pa.Schema, first: pa.Table | None, time: str) -> tuple[str, ...]:
    """Every column but the time whose first rows are numbers; all of them where there are no rows."""
    names = [name for name in schema.names if name != time]
    if first is None:
        return tuple(names)
    found = []
    for name in names:
        try:
            if np.isfinite(numbers(first, name)).any():
                found.append(name)
        except Misconfigured:
            continue
    return tuple(found)
