"""A session's rows as the gateway exports them (Arrow IPC) -> its batches, rebuilt and hashed, doubles counted."""

from collections import Counter
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from simulator.reconcile import Stored
from telemetry import wire
from telemetry.batch import BatchId
from telemetry.rebuild import batches_of

KEY = ("seq", "series", "i")


def stored_of(device: str, session: str, stream: IO[bytes]) -> dict[BatchId, Stored]:
    """The batches of one session's export; raises `pa.ArrowInvalid` when the stream is torn."""
    by_sensor: dict[str, list[pa.Table]] = {}
    for sensor, table in _pieces(stream):
        by_sensor.setdefault(sensor, []).append(table)
    tables = {sensor: pa.concat_tables(parts) for sensor, parts in by_sensor.items()}
    kept, doubled = _distinct(tables)
    rows = Counter(dict.fromkeys(doubled, 0))
    for table in kept.values():
        seqs, counts = np.unique(table["seq"].to_numpy(), return_counts=True)
        rows.update(dict(zip(seqs.tolist(), counts.tolist(), strict=True)))
    return {
        batch.id: Stored(wire.content_hash(wire.encode(batch)), rows[batch.seq], doubled[batch.seq])
        for batch in batches_of(device, kept.items())
        if batch.session == session
    }


def _pieces(stream: IO[bytes]) -> Iterator[tuple[str, pa.Table]]:
    """Split by sensor; the columns that a sensor has no value in fall away when it is rebuilt."""
    with pa.ipc.open_stream(stream) as reader:
        for record_batch in reader:
            table = pa.Table.from_batches([record_batch])
            for sensor in pc.unique(table["sensor"]).to_pylist():
                yield sensor, table.filter(pc.equal(table["sensor"], sensor)).drop_columns(["sensor"])


def _distinct(tables: dict[str, pa.Table]) -> tuple[dict[str, pa.Table], Counter[int]]:
    """Each sensor's rows in key order without those whose key is there already, and how many those are by seq."""
    doubled: Counter[int] = Counter()
    kept = {}
    for sensor, table in tables.items():
        ordered = table.sort_by([(name, "ascending") for name in KEY])
        repeated = _repeated(ordered)
        doubled.update(ordered["seq"].to_numpy()[repeated].tolist())
        kept[sensor] = ordered.filter(pa.array(~repeated))
    return kept, doubled


def _repeated(ordered: pa.Table) -> npt.NDArray[np.bool_]:
    keys = np.column_stack([np.asarray(ordered[name].to_numpy(), np.int64) for name in KEY])
    repeated = np.zeros(len(keys), np.bool_)
    repeated[1:] = (keys[1:] == keys[:-1]).all(axis=1)
    return repeated
