"""The Skoltech Anomaly Benchmark's files, and the streams that are made of them: whole, or with the head cut off."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from consumers.detectors import Floats, Times
from sensorline.evaluation._skab_score import Confusion
from telemetry.errors import Malformed

PREFIX_ROWS = 400  # of a file: known to be normal there, never scored by the benchmark
CUT_ROWS_MAX = 350
HEAD_ROWS_MIN = 100  # of normal rows that a cut leaves before the first anomaly
WARM_ROWS = 60  # of any stream: never scored
LABELS = ("datetime", "anomaly", "changepoint")

Labels = npt.NDArray[np.bool_]
Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Stream:
    """`t_ns` and `values` [n, channels] are what a detector sees; `wrong` and `first` (row that is scored) are not."""

    name: str
    t_ns: Times
    values: Floats
    wrong: Labels
    first: int

    @property
    def head(self) -> int:
        """Normal rows before the first anomaly."""
        return int(self.wrong.argmax()) if self.wrong.any() else len(self.wrong)

    @property
    def key(self) -> Key:
        """The same for streams with the same rows, whichever of them are scored."""
        return self.name, int(self.t_ns[0]), len(self.t_ns)

    def count(self, alarm: Labels) -> Confusion:
        """Right and wrong among the rows that are scored."""
        return Confusion.of(self.wrong[self.first :], alarm[self.first :])

    def strict(self) -> "Stream":
        """The same, scored from row 60."""
        return self.between(0, len(self.wrong), WARM_ROWS)

    def between(self, begin: int, end: int, first: int) -> "Stream":
        """Its rows from `begin` to before `end`, scored from their row `first` on."""
        rows = slice(begin, end)
        return Stream(self.name, self.t_ns[rows], self.values[rows], self.wrong[rows], first)


def read(folder: Path) -> list[Stream]:
    """Every `.csv` below a folder, by name; one without a column `anomaly` is normal; raises `Malformed`."""
    paths = sorted(folder.rglob("*.csv"))
    if not paths:
        raise Malformed(f"{folder} holds no .csv")
    return [_file(path, str(path.relative_to(folder))) for path in paths]


def _file(path: Path, name: str) -> Stream:
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter=";"))
    if not rows or "datetime" not in rows[0]:
        raise Malformed(f"{name} has no rows with a datetime")
    fields = [field for field in rows[0] if field not in LABELS]
    try:
        values = np.array([[float(row[field] or "nan") for field in fields] for row in rows])
        wrong = np.array([float(row.get("anomaly") or 0) == 1 for row in rows])
        t_ns = np.array([row["datetime"] for row in rows], "datetime64[ns]").astype(np.int64)
    except (TypeError, ValueError) as error:
        raise Malformed(f"{name}: {error}") from error
    return Stream(name, t_ns, values, wrong, PREFIX_ROWS)


def cut(files: Sequence[Stream], seed: int) -> list[Stream]:
    """Every file without a random part of its head.

    Scored are the rows after the file's 400 first and the stream's 60 first.
    """
    random = np.random.default_rng([seed, 1])
    streams = []
    for file in files:
        begin = int(random.integers(0, max(min(CUT_ROWS_MAX, file.head - HEAD_ROWS_MIN), 0) + 1))
        streams.append(file.between(begin, len(file.wrong), max(PREFIX_ROWS - begin, WARM_ROWS)))
    return streams


def heads(files: Sequence[Stream], seed: int) -> list[Stream]:
    """What is normal in every file up to its first anomaly, from a random row on: streams in which nothing happens."""
    random = np.random.default_rng([seed, 2])
    streams = []
    for file in files:
        begin = int(random.integers(0, max(file.head - 300, 0) + 1))
        streams.append(file.between(begin, file.head, WARM_ROWS))
    return streams
