"""PORT: a detector a file, its name the config key; what one promises, and what it tells of each row.

A module offers `Detector`, made from the names of a stream's fields.  It is a River anomaly detector
(`score_one` before `learn_one`) that can also take whole columns (`update`), which is what the consumer and
`sensorline score` use.  Its state is a few named numpy arrays and nothing else, so that it can be copied for a
backlog session, written to a checkpoint and compared bit for bit.

The promises, which `tests/ports/test_detectors.py` holds for every file here:

- **Causal.**  A row's score is fixed before the next row is seen.  No length, minimum, name or row number is known.
- **The cut does not matter.**  `update` on rows cut in any way gives bit for bit what it gives on all at once.
- **One setting for all streams.**  `score` is in units of the stream's own alarm threshold: at 1 and above the row is
  in alarm, and exactly then it has a hit.  The detector calibrates itself; a quiet period and hysteresis are its own.
- **Bounded.**  `state_size_bytes` does not grow with the rows seen.
- **Finite.**  Constant, huge, absent (NaN) values and times that repeat or go back raise no error, give no NaN, and
  are no storm of alarms.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from river import base

from telemetry import adapters

Floats: TypeAlias = npt.NDArray[np.float64]
Times: TypeAlias = npt.NDArray[np.int64]
State: TypeAlias = dict[str, npt.NDArray[Any]]

HIT = np.dtype(
    [
        ("row", "<i8"),  # index into the rows of this `update`
        ("since_ns", "<i8"),  # when what was found began, device time; not after the row's own time
        ("kind", "<i2"),  # index into KINDS
        ("feature", "<i2"),  # index into `features()`: what carried it
        ("score", "<f8"),  # of this kind, >= 1
        ("seen", "<f8"),  # the feature's value
        ("low", "<f8"),  # its usual range for this stream
        ("high", "<f8"),
    ]
)
"""One kind that is in alarm at one row; a row may have several, and none twice of a kind."""

Hits: TypeAlias = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Feature:
    """What carried an alarm, in words ("vibration"), with the `unit` of its value."""

    name: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of n rows: `score` float64[n], finite, >= 0; `hits` HIT[m] in the order of rows."""

    score: Floats
    hits: Hits

    @classmethod
    def none(cls, n: int) -> Self:
        """Nothing to say of n rows."""
        return cls(np.zeros(n), np.zeros(0, HIT))


class Detector(base.AnomalyDetector):
    """One stream's detector.  `fields` are the names of its columns; () = taken from the first row, sorted.

    A subclass gives `KINDS`, `MODEL`, `features`, `_fresh` and `_advance`; parameters of its own are keyword
    arguments kept under their own names, as River asks.
    """

    KINDS: ClassVar[tuple[str, ...]]
    MODEL: ClassVar[int]
    """Rises whenever the same rows would be judged otherwise; a checkpoint of another model is not restored."""

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self.fields = tuple(fields)
        self._names = tuple(fields)
        self._state: State | None = None
        self._rows = 0  # only for River's form without a time: a row a second

    @abstractmethod
    def features(self) -> tuple[Feature, ...]:
        """What `HIT.feature` counts in."""

    @abstractmethod
    def _fresh(self) -> State:
        """The state before the first row, sized by `self._names`."""

    @abstractmethod
    def _advance(self, state: State, t_ns: Times, values: Floats) -> Verdict:
        """Score and then learn these rows, one after the other, changing `state`'s arrays in place."""

    # --- columns

    def update(self, t_ns: Times, values: Floats) -> Verdict:
        """Score and then learn rows in order: device times int64[n], values float64[n, fields] with NaN for absent."""
        if not len(t_ns):
            return Verdict.none(0)
        return self._advance(self._here(), t_ns, np.ascontiguousarray(values, np.float64))

    def state(self) -> State:
        """The arrays themselves, not copies."""
        return self._here()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on from these (copied)."""
        self._state = {name: np.array(array) for name, array in state.items()}

    @property
    def state_size_bytes(self) -> int:
        """What the arrays hold."""
        return sum(array.nbytes for array in self._here().values())

    def _here(self) -> State:
        if self._state is None:
            self._state = self._fresh()
        return self._state

    # --- River's form: a row is a dict; "t", where it is there, is its time in seconds

    def score_one(self, x: Mapping[Any, Any]) -> float:
        """This row's score; nothing is learned."""
        t_ns, row = self._row(x)
        if not self._names:
            return 0.0
        trial = {name: array.copy() for name, array in self._here().items()}
        return float(self._advance(trial, t_ns, row).score[0])

    def learn_one(self, x: Mapping[Any, Any]) -> None:
        """Learn this row."""
        t_ns, row = self._row(x)
        if self._names:
            self._advance(self._here(), t_ns, row)
        self._rows += 1

    def _row(self, x: Mapping[Any, Any]) -> tuple[Times, Floats]:
        if not self._names:
            self._names = tuple(sorted((name for name in x if name != "t"), key=str))
        seconds = x.get("t")
        t_ns = self._rows * 10**9 if seconds is None else round(float(seconds) * 1e9)
        row = [[float(x.get(name, np.nan)) for name in self._names]]
        return np.array([t_ns], np.int64), np.array(row, np.float64).reshape(1, -1)


def make(name: str, fields: Sequence[str]) -> Detector:
    """The detector of that file for a stream with these fields; raises `Misconfigured` when there is none."""
    return _form(name)(fields)


@lru_cache
def _form(name: str) -> type[Detector]:
    """Looked up once: a fleet makes many."""
    return cast(type[Detector], adapters.load("consumers.detectors", name).Detector)
