"""Batches to write: small ones whose content is plain to see, and random ones that hold everything a batch can."""

import random
from typing import Any

import numpy as np
import pyarrow as pa

from telemetry import wire
from telemetry.batch import Batch, Dropped, Series
from telemetry.ports import Item, Session
from telemetry.reading import CATALOGUE, Field, Kind
from telemetry.session_clock import SessionClock

T0 = 1_760_000_000_000_000_000  # 2025-10-09, the event time of the first reading
SECOND = 10**9
DAY = 86_400 * SECOND
TEXTS = ("charging", "", "ключ", "😀 a\tb\n", 'quote " and \\', "nul\x00inside", "null", "x" * 4096)


def xyz(n: int, *, t0: int = T0, step_ns: int = 10_000_000, sensor: str = "acceleration", first: float = 0.0) -> Series:
    """`n` readings; x counts up from `first`, y is its negative, z is absent from odd readings."""
    x = np.arange(n) + first
    z = np.where(np.arange(n) % 2 == 0, 9.81, np.nan)
    return Series.of(sensor, t0 + np.arange(n, dtype=np.int64) * step_ns, {"x": x, "y": -x, "z": z})


def batch(device: str = "d1", session: str = "s1", seq: int = 0, *series: Series) -> Batch:
    """A batch of these series, or of five accelerations that depend on `seq`."""
    return Batch(device, session, seq, series or (xyz(5, t0=T0 + seq * SECOND, first=seq * 5),))


def tombstone(device: str = "d1", session: str = "s1", seq: int = 0, readings: int = 7) -> Batch:
    """A batch that says what was dropped."""
    return Batch(device, session, seq, (), Dropped(readings, "spool_full"))


def item(of: Batch, *, received_ns: int = T0 + 60 * SECOND, partition: int = 0, offset: int = 0) -> Item:
    """The batch as the indexer hands it over."""
    return Item(of, hash_of(of), received_ns, partition, offset)


def hash_of(of: Batch) -> str:
    """The hash of its canonical bytes."""
    return wire.content_hash(wire.encode(of))


def session(device: str = "d1", name: str = "s1", **changed: Any) -> Session:
    """A session's completeness."""
    values: dict[str, Any] = {
        "seqs": ((0, 4), (7, 9)),
        "received_batches": 8,
        "received_readings": 4000,
        "rejected_readings": 3,
        "duplicate_batches": 2,
        "reordered_batches": 1,
        "late_batches": 0,
        "dropped_readings": 11,
        "first_received_ns": T0 + 1,
        "last_received_ns": T0 + 123_456_789,
        "partition": 0,
        "next_offset": 10,
        "clock": SessionClock(-3_000_000_007, "sent", 12, T0, False, -(2**63)),
    }
    return Session(device, name, **(values | changed))


def random_batch(rng: random.Random, device: str, session: str, seq: int) -> Batch:
    """A few series of any sensor, known or not, with every kind of value, absent ones and extras."""
    names = [*CATALOGUE, "uwb_range", "x-acme.probe"]
    return Batch(device, session, seq, tuple(random_series(rng, rng.choice(names)) for _ in range(rng.randint(1, 5))))


def random_series(rng: random.Random, sensor: str) -> Series:
    """One to forty readings, not in the order of time; some fields are absent from all of them."""
    n = rng.randint(1, 40)
    known = CATALOGUE.get(sensor)
    fields = [f for f in known.fields if rng.random() < 0.8] if known else []
    values = {f.name: [None if rng.random() < 0.2 else random_value(rng, f) for _ in range(n)] for f in fields}
    floats = {f.name: [np.nan if v is None else v for v in values[f.name]] for f in fields if f.kind.is_number}
    extra = [random_extra(rng) for _ in range(n)] if known is None or rng.random() < 0.3 else None
    return Series.of(sensor, [T0 + rng.randrange(10**12) for _ in range(n)], values | floats, extra)


def random_value(rng: random.Random, field: Field) -> Any:
    """Any value of the field's range, and the awkward ones: zeros of both signs, the bounds, the smallest."""
    if field.kind is Kind.TEXT:
        return rng.choice(TEXTS)
    if field.kind is Kind.BOOL:
        return rng.random() < 0.5
    awkward = [v for v in (0.0, -0.0, 1e-45, 5e-324, -1e-42, 1 / 3, 1.1) if field.low <= v <= field.high]
    return rng.choice([*awkward, field.low, field.high]) if rng.random() < 0.3 else rng.uniform(field.low, field.high)


def random_extra(rng: random.Random) -> str | None:
    """A JSON object's text as the dialects keep it."""
    if rng.random() < 0.3:
        return None
    return '{"k":' + rng.choice(["1", '"v"', "null", "[1,2.50]", '{"a":"é"}', "1e3"]) + "}"


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows as dictionaries."""
    listed: list[dict[str, Any]] = table.to_pylist()
    return listed
