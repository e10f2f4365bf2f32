"""The Numenta Anomaly Benchmark's files: one number a row, with windows in which something was wrong."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from consumers.detectors import Floats, Times
from telemetry.errors import Malformed


@dataclass(frozen=True, slots=True)
class File:
    """`t_ns` and `values` [n, 1] are what a detector sees; `windows` (first row, last row) and `scored` are not."""

    name: str
    t_ns: Times
    values: Floats
    windows: tuple[tuple[int, int], ...]
    scored: npt.NDArray[np.bool_]

    def copy(self, *, times: float = 1.0, plus: float = 0.0, later_ns: int = 0, cut: int = 0) -> "File":
        """The same in other clothes: another unit, offset or date, without its first `cut` rows (scored as it was)."""
        windows = tuple((first - cut, last - cut) for first, last in self.windows)
        return File(self.name, self.t_ns[cut:] + later_ns, self.values[cut:] * times + plus, windows, self.scored[cut:])


def probation(n: int) -> npt.NDArray[np.bool_]:
    """Which of n rows count: not the first 15 %, of which at most 750 are spared."""
    return np.asarray(np.arange(n) >= min(np.floor(0.15 * n), 0.15 * 5000))


def read(folder: Path) -> list[File]:
    """`data/<category>/<file>.csv` (timestamp,value) with `windows.json`, by name; raises `Malformed`."""
    labels = folder / "windows.json"
    paths = sorted(folder.glob("data/*/*.csv"))
    if not labels.exists() or not paths:
        raise Malformed(f"{folder} holds no windows.json with data/<category>/<file>.csv")
    windows = json.loads(labels.read_text())
    return [_file(path, windows) for path in paths]


def _file(path: Path, labels: dict[str, list[list[str]]]) -> File:
    name = f"{path.parent.name}/{path.name}"
    if name not in labels:
        raise Malformed(f"windows.json does not name {name}")
    with path.open(newline="") as lines:
        rows = [(row["timestamp"], float(row["value"])) for row in csv.DictReader(lines)]
    t_ns = np.array([at for at, _ in rows], "datetime64[ns]").astype(np.int64)
    values = np.array([[value] for _, value in rows])
    return File(name, t_ns, values, tuple(_rows(t_ns, *window) for window in labels[name]), probation(len(rows)))


def _rows(t_ns: Times, start: str, end: str) -> tuple[int, int]:
    start_ns, end_ns = (int(np.datetime64(at, "ns").astype(np.int64)) for at in (start, end))
    inside = np.flatnonzero((t_ns >= start_ns) & (t_ns <= end_ns))
    if not len(inside):
        raise Malformed(f"no row between {start} and {end}")
    return int(inside[0]), int(inside[-1])
