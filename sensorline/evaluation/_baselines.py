"""River's detectors over one number a row, as they come and with a quiet policy: what ours are compared with."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from river import anomaly, base, preprocessing

from consumers.detectors import Floats

QUIET_ROWS = 100


def _half_space_trees() -> Any:
    return preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=1)


def _gaussian() -> Any:
    return anomaly.GaussianScorer()  # type: ignore[no-untyped-call]


def _absolute_deviation() -> Any:
    return anomaly.StandardAbsoluteDeviation()


BASELINES: dict[str, Callable[[], Any]] = {
    "river HalfSpaceTrees": _half_space_trees,
    "river GaussianScorer": _gaussian,
    "river StandardAbsoluteDeviation": _absolute_deviation,
}


def run(name: str, streams: Sequence[Floats]) -> tuple[list[Floats], float]:
    """Each stream's scores (one number a row: [n]) by that baseline started afresh, and the rows a second it took."""
    begun = time.process_time()
    scores = [_stream(BASELINES[name](), values) for values in streams]
    return scores, sum(map(len, streams)) / (time.process_time() - begun)


def _stream(model: Any, values: Floats) -> Floats:
    scores = np.empty(len(values))
    of_a_target = isinstance(model, base.SupervisedAnomalyDetector)
    for i, value in enumerate(values.tolist()):
        if of_a_target:
            scores[i] = model.score_one({}, value)
            model.learn_one({}, value)
        else:
            scores[i] = model.score_one({"value": value})
            model.learn_one({"value": value})
    return np.nan_to_num(scores)


def quiet(scores: Floats, rows: int = QUIET_ROWS) -> Floats:
    """The same, less than any other where it is not higher than all of the `rows` scores before it."""
    padded = np.concatenate([np.full(rows, -np.inf), scores])
    before = np.lib.stride_tricks.sliding_window_view(padded, rows)[: len(scores)].max(axis=1)
    return np.where(scores > before, scores, -np.inf)
