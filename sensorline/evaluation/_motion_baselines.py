"""River's detectors on motion streams: what ours are compared with in the same run."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from river import anomaly, preprocessing

from consumers.detectors import Floats
from sensorline.evaluation._motion_streams import Stream

Rows = list[dict[str, float]]


def _axes(stream: Stream) -> Rows:
    """The six axes; what is absent holds its last value."""
    names = ("ax", "ay", "az", "gx", "gy", "gz")
    return [dict(zip(names, row, strict=True)) for row in np.nan_to_num(stream.values[:, :6]).tolist()]


def _size(stream: Stream) -> Rows:
    """|a| alone."""
    return [{"a": a} for a in np.linalg.norm(np.nan_to_num(stream.values[:, :3]), axis=1).tolist()]


def _half_space_trees() -> Any:
    return preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=1)


def _absolute_deviation() -> Any:
    return anomaly.StandardAbsoluteDeviation()


def _gaussian() -> Any:
    return anomaly.GaussianScorer()  # type: ignore[no-untyped-call]


BASELINES: dict[str, tuple[Callable[[], Any], Callable[[Stream], Rows]]] = {
    "river HalfSpaceTrees, six axes": (_half_space_trees, _axes),
    "river StandardAbsoluteDeviation, |a|": (_absolute_deviation, _size),
    "river GaussianScorer, |a|": (_gaussian, _size),
}


def run(name: str, streams: Sequence[Stream]) -> tuple[list[Floats], float]:
    """Every stream's scores by that baseline, and the rows a second it took."""
    make, rows_of = BASELINES[name]
    scores, rows, begun = [], 0, time.process_time()
    for stream in streams:
        model = make()
        one = _unsupervised if name.startswith("river Half") else _of_a_target
        scores.append(np.nan_to_num(np.array([one(model, x) for x in rows_of(stream)])))
        rows += len(stream.t_ns)
    return scores, rows / (time.process_time() - begun)


def _unsupervised(model: Any, x: dict[str, float]) -> float:
    score = float(model.score_one(x))
    model.learn_one(x)
    return score


def _of_a_target(model: Any, x: dict[str, float]) -> float:
    score = float(model.score_one({}, x["a"]))
    model.learn_one({}, x["a"])
    return score
