"""Records as the log holds them, for those who watch."""

from collections.abc import Sequence
from typing import Any

from telemetry.anomaly import Anomaly
from telemetry.batch import Batch, Series
from telemetry.ports import ANOMALIES, BATCHES, Entry
from telemetry.records import anomaly_record, batch_record
from tests.gateway.found import anomaly

T0 = 1_760_000_000_000_000_000


def series(sensor: str = "acceleration", n: int = 2, *, t0: int = T0, **values: Any) -> Series:
    """n readings, 10 ms apart."""
    values = values or {"x": [float(k) for k in range(n)]}
    return Series.of(sensor, [t0 + k * 10_000_000 for k in range(n)], values)


def batch_entry(
    device: str = "pi",
    seq: int = 0,
    parts: Sequence[Series] | None = None,
    *,
    partition: int = 0,
    offset: int | None = None,
    received_ns: int = T0,
    decoded: bool = True,
) -> Entry:
    """A batch's record; its offset is its seq where none is given."""
    batch = Batch(device, "s", seq, tuple(parts if parts is not None else [series()]))
    record = batch_record(batch, received_ns=received_ns, dialect="native")
    at = seq if offset is None else offset
    return Entry(
        BATCHES.name, partition, at, device, record.value, record.headers, received_ns, batch if decoded else None
    )


def anomaly_entry(device: str = "pi", n: int = 0, *, partition: int = 0, offset: int = 0) -> Entry:
    """An anomaly's record."""
    record = anomaly_record(anomaly(device, n))
    return Entry(ANOMALIES.name, partition, offset, device, record.value, record.headers, T0)


def shown(one: Anomaly) -> dict[str, Any]:
    """As little as a test needs."""
    return {"id": one.id, "device": one.device}
