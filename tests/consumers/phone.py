"""A phone for detection's tests: quiet readings, into which a test puts what it wants, cut into batches by time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from consumers.detect import DetectOperator
from consumers.operator import Arrival, Lane
from telemetry.anomaly import Anomaly, newest
from telemetry.batch import Batch, Series

SECOND = 10**9
T0 = 1_763_800_000 * SECOND
DEVICE = "phone"


@dataclass
class Readings:
    """`seconds` of acceleration and gyroscope at `rate`, a fix and a temperature a second: arrays to change at will."""

    seconds: int
    rate: int = 20
    seed: int = 1
    begin_s: float = 0
    t: np.ndarray = field(init=False)
    body: np.ndarray = field(init=False)  # [n, 6]
    fixes_t: np.ndarray = field(init=False)
    fixes: np.ndarray = field(init=False)  # [m, 4]
    celsius: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        start = T0 + round(self.begin_s * SECOND)
        n = self.seconds * self.rate
        self.t = start + np.arange(n) * (SECOND // self.rate)
        self.body = rng.normal(0, 0.05, (n, 6)) + np.array([0, 0, 9.81, 0, 0, 0])
        self.fixes_t = start + np.arange(self.seconds) * SECOND + SECOND // 4
        north = 52 + (self.begin_s + np.arange(self.seconds)) * 1.3e-5
        self.fixes = np.stack(
            [north, np.full(self.seconds, 13.0), np.full(self.seconds, 1.44), np.full(self.seconds, 5.0)], 1
        )
        self.celsius = 20 + rng.normal(0, 0.1, self.seconds)

    def batches(self, session: str = "s1", each_s: float = 1, first_seq: int = 0) -> list[Batch]:
        """Cut by device time; for readings whose times never step."""
        bounds = np.arange(self.t[0], self.t[0] + self.seconds * SECOND, round(each_s * SECOND))
        return [
            Batch(DEVICE, session, first_seq + k, self._series(begin, begin + round(each_s * SECOND)))
            for k, begin in enumerate(bounds)
        ]

    def _series(self, begin: int, end: int) -> tuple[Series, ...]:
        rows = slice(*self.t.searchsorted([begin, end]))
        fixes = slice(*self.fixes_t.searchsorted([begin, end]))
        names = ("latitude", "longitude", "speed", "horizontal_accuracy")
        return tuple(
            s
            for s in (
                Series.of("acceleration", self.t[rows], dict(zip("xyz", self.body[rows, :3].T, strict=True))),
                Series.of("gyroscope", self.t[rows], dict(zip("xyz", self.body[rows, 3:].T, strict=True))),
                Series.of("location", self.fixes_t[fixes], dict(zip(names, self.fixes[fixes].T, strict=True))),
                Series.of("temperature", self.fixes_t[fixes], {"celsius": self.celsius[fixes]}),
            )
            if len(s)
        )

    def row(self, second: float) -> int:
        """The row at this second."""
        return int(second * self.rate)


class Giver:
    """Hands batches to an operator; receive time is the time of a batch's last reading, unless told."""

    def __init__(self, operator: DetectOperator) -> None:
        self.operator = operator
        self.said: list[Anomaly] = []
        self.offset = 0

    def give(self, batches: Sequence[Batch], lane: Lane = Lane.LIVE, received_s: float | None = None) -> list[Anomaly]:
        said: list[Anomaly] = []
        for batch in batches:
            last = max((int(s.t.max()) for s in batch.series if len(s)), default=T0)
            received_ns = last if received_s is None else T0 + round(received_s * SECOND)
            said += self.operator.apply(Arrival(batch, lane, received_ns, 3, self.offset))
            self.offset += 1
        self.said += said
        return said

    def kinds(self, where: Callable[[Anomaly], bool] = lambda _: True) -> list[str]:
        return sorted(a.kind for a in newest(self.said) if where(a))
