"""Labelled motion streams, read from files: what the `motion` benchmark is measured on."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from consumers.detectors import Floats, Times
from consumers.profiles import MOTION_FIELDS
from telemetry.errors import Malformed


class Event(NamedTuple):
    """Something that happened, in true seconds."""

    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Stream:
    """`t_ns` and `values` (columns of `MOTION_FIELDS`) are what a detector sees; `true_s` and `events` are not."""

    name: str
    t_ns: Times
    values: Floats
    true_s: Floats
    events: tuple[Event, ...]


def read(folder: Path) -> list[Stream]:
    """Every NAME.csv that has NAME.truth.csv and NAME.events.csv beside it, by name; raises `Malformed` without any."""
    labelled = sorted(path for path in folder.glob("*.csv") if _beside(path, "truth").exists())
    if not labelled:
        raise Malformed(f"{folder} holds no NAME.csv with a NAME.truth.csv and a NAME.events.csv beside it")
    return [_stream(path) for path in labelled]


def halves(streams: list[Stream]) -> tuple[list[int], list[int]]:
    """Every second stream by name; nothing of what is in them decides."""
    return list(range(0, len(streams), 2)), list(range(1, len(streams), 2))


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.stem}.{what}.csv")


def _stream(path: Path) -> Stream:
    with path.open(newline="") as lines:
        header = next(csv.reader(lines))
        if header[0] != "t" or not set(header[1:]) <= set(MOTION_FIELDS):
            raise Malformed(f"{path.name}: the columns are t and some of {', '.join(MOTION_FIELDS)}")
        table = np.genfromtxt(lines, delimiter=",", ndmin=2)
    values = np.full((len(table), len(MOTION_FIELDS)), np.nan)
    for column, name in enumerate(header[1:], 1):
        values[:, MOTION_FIELDS.index(name)] = table[:, column]
    true_s = np.loadtxt(_beside(path, "truth"), skiprows=1, ndmin=1)
    with _beside(path, "events").open(newline="") as lines:
        events = tuple(Event(e["kind"], float(e["start"]), float(e["end"])) for e in csv.DictReader(lines))
    return Stream(path.stem, np.rint(table[:, 0] * 1e9).astype(np.int64), values, true_s, events)
