"""River's detectors, score first and then learn: what ours are compared with, in the same run.

Here those over one number a row, as they come and with a quiet policy; the benchmarks with several have their own.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from river import anomaly, base, preprocessing

from consumers.detectors import Floats

QUIET_ROWS = 100


def half_space_trees() -> Any:
    """Over any number of values, each scaled to what was seen of it."""
    return preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=1)


def gaussian() -> Any:
    """Over one value."""
    return anomaly.GaussianScorer()  # type: ignore[no-untyped-call]


def absolute_deviation() -> Any:
    """Over one value."""
    return anomaly.StandardAbsoluteDeviation()


BASELINES: dict[str, Callable[[], Any]] = {
    "river HalfSpaceTrees": half_space_trees,
    "river GaussianScorer": gaussian,
    "river StandardAbsoluteDeviation": absolute_deviation,
}


def run(name: str, streams: Sequence[Floats]) -> tuple[list[Floats], float]:
    """Each stream's scores (one number a row: [n]) by that baseline started afresh, and the rows a second it took."""
    begun = time.process_time()
    scores = [scored(BASELINES[name](), ({"value": v} for v in values.tolist())) for values in streams]
    return scores, sum(map(len, streams)) / (time.process_time() - begun)


def scored(model: Any, rows: Iterable[dict[str, float]]) -> Floats:
    """What the model says of each row (float64[n]) before it learns it; some judge a single value."""
    if isinstance(model, base.SupervisedAnomalyDetector):
        told = [_of_a_target(model, *x.values()) for x in rows]
    else:
        told = [_of_a_row(model, x) for x in rows]
    return np.nan_to_num(np.array(told, np.float64))


def _of_a_target(model: Any, value: float) -> float:
    score = float(model.score_one({}, value))
    model.learn_one({}, value)
    return score


def _of_a_row(model: Any, x: dict[str, float]) -> float:
    score = float(model.score_one(x))
    model.learn_one(x)
    return score


def quiet(scores: Floats, rows: int = QUIET_ROWS) -> Floats:
    """The same, less than any other where it is not higher than all of the `rows` scores before it."""
    padded = np.concatenate([np.full(rows, -np.inf), scores])
    before = np.lib.stride_tricks.sliding_window_view(padded, rows)[: len(scores)].max(axis=1)
    return np.where(scores > before, scores, -np.inf)
