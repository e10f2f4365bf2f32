"""Windows as rows and as the table that a query returns: the same columns, in the same order, from every store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from telemetry.window import Windows

COLUMNS = pa.schema([("t", pa.int64()), ("end", pa.int64()), ("session", pa.string()), ("count", pa.int64())])


@dataclass(frozen=True, slots=True)
class Window:
    """One window; `features` holds those that it has."""

    t: int
    end: int
    session: str
    count: int
    revision: int
    features: Mapping[str, float]


def rows_of(windows: Windows) -> Iterator[Window]:
    """Each of them; what is not finite is absent."""
    names = sorted(windows.features)
    values = [np.asarray(windows.features[name], np.float64) for name in names]
    present = [np.isfinite(column).tolist() for column in values]
    columns = [column.tolist() for column in values]
    starts, ends = windows.start_ns.tolist(), windows.end_ns.tolist()
    counts, revisions = windows.count.tolist(), windows.revision.tolist()
    for k, t in enumerate(starts):
        features = {name: columns[n][k] for n, name in enumerate(names) if present[n][k]}
        yield Window(t, ends[k], windows.session, counts[k], revisions[k], features)


def table_of(rows: Sequence[Window]) -> pa.Table:
    """The rows in their order, as `Store.windows` says."""
    names = sorted({name for row in rows for name in row.features})
    columns: list[pa.Array] = [
        pa.array([row.t for row in rows], pa.int64()),
        pa.array([row.end for row in rows], pa.int64()),
        pa.array([row.session for row in rows], pa.string()),
        pa.array([row.count for row in rows], pa.int64()),
    ]
    columns += [pa.array([row.features.get(name) for row in rows], pa.float64()) for name in names]
    schema = pa.schema([*COLUMNS, *((name, pa.float64()) for name in names)])
    return pa.Table.from_arrays(columns, schema=schema)
