"""Anomalies and windows as consumers would have left them in the store."""

from typing import Any

import numpy as np

from telemetry.anomaly import Anomaly, Evidence, Samples, Severity, anomaly_id
from telemetry.window import Windows
from tests.gateway.gateway_world import T0

SECOND = 10**9


def anomaly(device: str, at_ns: int = 0, **changed: Any) -> Anomaly:
    """A fall that begins `at_ns` after T0."""
    start_ns, kind = T0 + at_ns, changed.get("kind", "fall")
    values: dict[str, Any] = {
        "id": anomaly_id(device, "s", "motion", kind, start_ns),
        "version": 2,
        "device": device,
        "session": "s",
        "stream": "motion",
        "kind": kind,
        "severity": Severity.CRITICAL,
        "start_ns": start_ns,
        "end_ns": start_ns + SECOND,
        "is_open": True,
        "score": 3.25,
        "peak_ns": start_ns + 5,
        "words": "fall: impact 3.9x its usual for this device at 22:13:20",
        "evidence": (Evidence("impact", "m/s2", 42.5, 0.5, 11.0, "impact 3.9x its usual"),),
        "detector": "motion",
        "model": 1,
        "is_live": True,
        "received_ns": T0 + 10,
        "updated_ns": T0 + 20,
        "partition": 0,
        "offset": 3,
        "samples": Samples((start_ns, start_ns + 1), {"ax": (0.5, None), "latitude": (None, 48.25)}),
    }
    return Anomaly(**(values | changed))


def windows(device: str, n: int = 3, *, sensor: str = "acceleration", **changed: Any) -> Windows:
    """`n` seconds of windows from T0 on; y is absent from the first."""
    start = T0 + np.arange(n, dtype=np.int64) * SECOND
    y = np.where(np.arange(n) == 0, np.nan, 0.5)
    values: dict[str, Any] = {
        "session": "s",
        "kind": "tumbling",
        "width_ns": SECOND,
        "start_ns": start,
        "end_ns": start + SECOND,
        "count": np.full(n, 100),
        "revision": np.zeros(n, np.int64),
        "features": {"x_rms": np.arange(n) / 4, "y_min": y},
    }
    return Windows(device=device, sensor=sensor, **(values | changed))
