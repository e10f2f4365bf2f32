"""River's detectors over several numbers a row: what `channels` is compared with."""

from collections.abc import Callable
from typing import Any

import numpy as np
from river import anomaly, compose, preprocessing

from consumers.detectors import Floats
from sensorline.evaluation._baselines import half_space_trees, scored

SMOOTH_ROWS = 30


class _GaussianSum:
    """One `GaussianScorer` a channel; the sum of what they say."""

    def __init__(self) -> None:
        self._scorers: dict[str, Any] = {}

    def score_one(self, x: dict[str, float]) -> float:
        return float(sum(self._of(name).score_one({}, value) for name, value in x.items()))

    def learn_one(self, x: dict[str, float]) -> None:
        for name, value in x.items():
            self._of(name).learn_one({}, value)

    def _of(self, name: str) -> Any:
        return self._scorers.setdefault(name, anomaly.GaussianScorer())  # type: ignore[no-untyped-call]


def _one_class_svm() -> Any:
    return compose.Pipeline(preprocessing.StandardScaler(), anomaly.OneClassSVM(nu=0.1))


BASELINES: dict[str, Callable[[], Any]] = {
    "river OneClassSVM": _one_class_svm,
    "river HalfSpaceTrees": half_space_trees,
    "river GaussianScorer, summed": _GaussianSum,
}


def scores(name: str, values: Floats) -> Floats:
    """What that baseline, started afresh, says of rows [n, channels]: float64[n]; absent values are left out."""
    rows = ({str(c): v for c, v in enumerate(row) if v == v} for row in values.tolist())  # noqa: PLR0124 - NaN
    return scored(BASELINES[name](), rows)


def smoothed(told: Floats, rows: int = SMOOTH_ROWS) -> Floats:
    """The mean of the newest `rows` scores, or of as many as there are."""
    summed = np.concatenate([[0.0], np.cumsum(told)])
    ends = np.arange(1, len(told) + 1)
    begins = np.maximum(ends - rows, 0)
    return np.asarray((summed[ends] - summed[begins]) / (ends - begins))
