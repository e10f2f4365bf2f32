"""Records of a few devices that break, drain a backlog, repeat themselves and fall silent: the same in every run."""

from collections.abc import Iterator
from random import Random

import numpy as np

from telemetry.anomaly import Anomaly, decode, encode, newest
from telemetry.batch import Batch, Dropped, Series
from telemetry.ports import ANOMALIES, Log, Record
from telemetry.records import batch_record

S = 10**9
T0_NS = 1_763_800_000 * S
STEP_S = 2  # of a batch
STEPS = 110
RATE_HZ = 50


def records(seed: int = 1) -> list[Record]:
    """In the order in which a gateway had them: 30 % repeated, neighbours swapped, a seq that never came."""
    random = Random(seed)
    made: list[tuple[int, Batch]] = []
    for step in range(STEPS):
        received_ns = T0_NS + (step + 1) * STEP_S * S + S // 4
        made += [(received_ns, batch) for batch in _step(step)]
    for k in range(len(made) - 4):
        if random.random() < 0.1:
            made[k], made[k + 3] = made[k + 3], made[k]
    told: list[Record] = []
    for received_ns, batch in made:
        told.append(batch_record(batch, received_ns=received_ns, dialect="native"))
        if random.random() < 0.3:
            told.insert(random.randrange(max(1, len(told) - 20), len(told) + 1), told[-1])
    return told


def _step(step: int) -> Iterator[Batch]:
    yield Batch("phone", "now", step, (_shaken(step, "phone", stuck=range(40, 48)),))
    if step != 70:  # never comes
        yield Batch("walker", "now", step, (_shaken(step, "walker", knocked=60),))
    yield Batch("room", "now", step, (_warm(step),))
    if step < 30:
        yield Batch("gone", "now", step, (_warm(step),))
    if 50 <= step < 90:  # what an outage had left: older, and with a fault of its own
        yield Batch("phone", "old", step - 50, (_shaken(step - 350, "phone", stuck=range(-280, -274)),))
    elif step == 90:
        yield Batch("phone", "old", 40, (), Dropped(100, "spool_full"))


def _shaken(step: int, device: str, *, stuck: range = range(0), knocked: int | None = None) -> Series:
    """An accelerometer at rest with its noise; stuck at one value for some steps, or knocked once."""
    rows = STEP_S * RATE_HZ
    noise = np.random.default_rng([abs(step), len(device)])
    values = noise.normal(0, 0.08, (3, rows)) + np.array([[0.2], [0.1], [9.8]])
    if step in stuck:
        values[:] = [[0.25], [0.125], [9.75]]
    if step == knocked:
        values[0, 40:43] += [60.0, -45.0, 30.0]
    t = T0_NS + step * STEP_S * S + np.arange(rows, dtype=np.int64) * (S // RATE_HZ)
    return Series.of("acceleration", t, dict(zip("xyz", values, strict=True)))


def _warm(step: int) -> Series:
    """A thermometer, once far off."""
    rows = STEP_S * 5
    celsius = 20 + np.random.default_rng([abs(step), 7]).normal(0, 0.05, rows)
    if step == 80:
        celsius[3:6] = 55.0
    t = T0_NS + step * STEP_S * S + np.arange(rows, dtype=np.int64) * (S // 5)
    return Series.of("temperature", t, {"celsius": celsius})


async def found(log: Log) -> tuple[dict[str, bytes], int]:
    """The newest version of each anomaly in the topic, as bytes; and how many records there are.

    Two records of one version with other bytes would be two truths: that fails.
    """
    reader = await log.follow(ANOMALIES)
    ends = await log.ends(ANOMALIES)
    by_version: dict[tuple[str, int], bytes] = {}
    seen: list[Anomaly] = []
    while await reader.position() != ends:
        for entry in await reader.poll(records_max=500, bytes_max=2**26, wait_s=1.0):
            one = decode(entry.value or b"")
            seen.append(one)
            body = by_version.setdefault((one.id, one.version), entry.value or b"")
            assert body == entry.value, f"two contents of {one.kind} version {one.version}"
    await reader.close()
    return {one.id: encode(one) for one in newest(seen)}, len(seen)
