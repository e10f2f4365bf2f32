"""Anomalies and windows to keep: made plainly, so that a test sees what is in them."""

from typing import Any

import msgspec
import numpy as np
from stores_samples import SECOND, T0

from telemetry.anomaly import Anomaly, Evidence, Samples, Severity, anomaly_id
from telemetry.window import Windows


def anomaly(start_ns: int = T0, *, device: str = "d1", session: str = "s1", **changed: Any) -> Anomaly:
    """An anomaly of two seconds with evidence and samples; its numbers have no short text."""
    stream, kind = changed.get("stream", "motion"), changed.get("kind", "pothole")
    values: dict[str, Any] = {
        "id": anomaly_id(device, session, stream, kind, start_ns),
        "version": 1,
        "device": device,
        "session": session,
        "stream": stream,
        "kind": kind,
        "severity": Severity.WARNING,
        "start_ns": start_ns,
        "end_ns": start_ns + 2 * SECOND,
        "is_open": True,
        "score": 1 / 3 + 1,
        "peak_ns": start_ns + 1,
        "words": 'pothole: "vibration" 4.1x its usual \\ ключ 😀',
        "evidence": (
            Evidence("vibration", "m/s2", 0.1 + 0.2, -5e-324, 1.7e308, "vibration 4.1x its usual"),
            Evidence("speed", "m/s", -0.0, 0.0, 2.0, "speed"),
        ),
        "detector": "motion",
        "model": 3,
        "is_live": True,
        "received_ns": T0 + 60 * SECOND + 7,
        "updated_ns": T0 + 61 * SECOND + 9,
        "partition": 2,
        "offset": 2**40,
        "samples": Samples((T0 - 1, T0, T0 + 1), {"ax": (1 / 3, None, -1e-300), "latitude": (None, 48.0, None)}, True),
    }
    return Anomaly(**(values | changed))


def bare(whole: Anomaly) -> Anomaly:
    """As a list shows it."""
    return msgspec.structs.replace(whole, samples=Samples())


def windows(
    n: int = 3,
    *,
    t0: int = T0,
    device: str = "d1",
    sensor: str = "acceleration",
    session: str = "s1",
    kind: str = "tumbling",
    width_ns: int = SECOND,
    count: int = 100,
    revision: int = 0,
    **features: Any,
) -> Windows:
    """`n` windows, one behind the other; features by name, else three: one with a point in its name, as bands have."""
    start = t0 + np.arange(n, dtype=np.int64) * (width_ns or SECOND)
    usual = {"x_rms": np.arange(n) / 3, "x_mean": -np.arange(n, dtype=np.float64), "x_power_0.5_1hz": np.arange(n) / 7}
    named = features or usual
    columns = {name: np.broadcast_to(np.asarray(values, np.float64), n).copy() for name, values in named.items()}
    end = start + (width_ns or SECOND)
    counts, revisions = np.full(n, count, np.int64), np.full(n, revision, np.int64)
    return Windows(device, sensor, session, kind, width_ns, start, end, counts, revisions, columns)
