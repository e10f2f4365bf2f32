"""River's detectors on motion streams: what ours are compared with in the same run."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from consumers.detectors import Floats
from sensorline.evaluation._baselines import absolute_deviation, gaussian, half_space_trees, scored
from sensorline.evaluation._motion_streams import Stream

Rows = list[dict[str, float]]


def _axes(stream: Stream) -> Rows:
    """The six axes; what is absent is 0."""
    names = ("ax", "ay", "az", "gx", "gy", "gz")
    return [dict(zip(names, row, strict=True)) for row in np.nan_to_num(stream.values[:, :6]).tolist()]


def _size(stream: Stream) -> Rows:
    """|a| alone."""
    return [{"a": a} for a in np.linalg.norm(np.nan_to_num(stream.values[:, :3]), axis=1).tolist()]


BASELINES: dict[str, tuple[Callable[[], Any], Callable[[Stream], Rows]]] = {
    "river HalfSpaceTrees, six axes": (half_space_trees, _axes),
    "river StandardAbsoluteDeviation, |a|": (absolute_deviation, _size),
    "river GaussianScorer, |a|": (gaussian, _size),
}


def run(name: str, streams: Sequence[Stream]) -> tuple[list[Floats], float]:
    """Every stream's scores by that baseline, and the rows a second it took."""
    make, rows_of = BASELINES[name]
    begun = time.process_time()
    scores = [scored(make(), rows_of(stream)) for stream in streams]
    return scores, sum(len(stream.t_ns) for stream in streams) / (time.process_time() - begun)
