"""The health rules on generated phone and vehicle streams, where the generator is at hand."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumers.detectors import health

GENERATOR = Path(__file__).parents[4] / "shared" / "detection" / "imu_gen.py"
MOTION = ("ax", "ay", "az", "gx", "gy", "gz", "latitude", "longitude", "speed", "horizontalAccuracy")
TRIPS = ((31_001, "car"), (31_002, "car"), (31_003, "walk"), (31_004, "car"))
GRACE_S, TAIL_S = 2.0, 12.0


@pytest.fixture(scope="module")
def trips() -> list[dict[str, Any]]:
    if not GENERATOR.exists():
        pytest.skip("the stream generator is not beside the repository")
    spec = importlib.util.spec_from_file_location("imu_gen", GENERATOR)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # its folder is not ours
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = bytecode
    return [module.trip(seed, kind) for seed, kind in TRIPS]


def test_most_faults_are_found_and_almost_nothing_else(trips: list[dict[str, Any]]) -> None:
    found = missed = false = 0
    for trip in trips:
        values = np.concatenate([trip["acc"], trip["gyr"], trip["gps"]], axis=1)
        verdict = health.Detector(MOTION).update(np.round(trip["t"] * 1e9).astype(np.int64), values)
        seconds = trip["t_true"][verdict.hits["row"]]
        for kind, first, last in trip["events"]:
            if kind in health.KINDS:
                hit = bool(((seconds >= first) & (seconds <= last + GRACE_S)).any())
                found, missed = found + hit, missed + (not hit)
        beside = np.ones(len(seconds), bool)
        for _, first, last in trip["events"]:
            beside &= (seconds < first) | (seconds > last + TAIL_S)
        false += int(beside.any())
    assert found >= 20
    assert missed <= 0.2 * (found + missed)
    assert false <= 1
