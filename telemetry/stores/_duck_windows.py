"""Windows in DuckDB: a row each, the newest revision; looked for only within the times that come in.

Windows come nearly in the order of time, so DuckDB's zone maps leave most of the table unread: cheaper than an index of
everything ever written.
"""

# ruff: noqa: S608 - every name in a statement is ours; values are parameters

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from telemetry.ports import Span
from telemetry.stores._buckets import bounds
from telemetry.stores._duck_schema import Cursor
from telemetry.stores._windows import COLUMNS
from telemetry.window import Windows

_IDENTITY = "device, sensor, session, kind, width_ns, t"
_ALL = f"{_IDENTITY}, end_ns, count, revision, features"
_NEWEST = f"""SELECT {_ALL} FROM incoming
              QUALIFY row_number() OVER (PARTITION BY {_IDENTITY} ORDER BY revision DESC, place) = 1"""
_FEATURES = pa.map_(pa.string(), pa.float64())


def put(cursor: Cursor, windows: Sequence[Windows]) -> None:
    """Keep the newer of each; inside the caller's transaction."""
    windows = [some for some in windows if len(some.start_ns)]
    if not windows:
        return
    incoming = pa.concat_tables([_table(some) for some in windows])  # DuckDB finds it by its name in this frame
    if _may_repeat(windows):
        incoming = incoming.append_column("place", pa.array(np.arange(incoming.num_rows)))
        incoming = cursor.sql(_NEWEST).to_arrow_table()
    t = incoming["t"].to_numpy()
    between = [int(t.min()), int(t.max())]
    same = " AND ".join(f"kept.{name} = incoming.{name}" for name in _IDENTITY.split(", "))
    cursor.execute(
        f"""DELETE FROM windows AS kept USING incoming
            WHERE kept.t BETWEEN ? AND ? AND {same} AND incoming.revision > kept.revision""",
        between,
    )
    cursor.execute(
        f"""INSERT INTO windows ({_ALL}) SELECT {_ALL} FROM incoming
            ANTI JOIN (SELECT {_IDENTITY} FROM windows WHERE t BETWEEN ? AND ?) AS kept ON {same}""",
        between,
    )


def listed(cursor: Cursor, span: Span, kind: str, width_ns: int, limit: int) -> pa.Table:
    """See `Store.windows`."""
    first_ns, last_ns = bounds(span.from_ns, span.to_ns)
    query = """SELECT t, end_ns AS "end", session, count, features FROM windows
               WHERE device = ? AND sensor = ? AND kind = ? AND width_ns = ? AND t BETWEEN ? AND ? AND count > 0
               ORDER BY t, session LIMIT ?"""
    asked = [span.device, span.sensor, kind, width_ns, first_ns, last_ns, limit]
    found = cursor.sql(query, params=asked).to_arrow_table().combine_chunks()
    columns = found.select(COLUMNS.names).cast(COLUMNS)
    for name, values in _columns_of(found["features"], found.num_rows):
        columns = columns.append_column(name, values)
    return columns


def _may_repeat(windows: Sequence[Windows]) -> bool:
    """Whether one window may come twice: to look for such costs as much as all the rest."""
    streams = {(w.device, w.sensor, w.session, w.kind, w.width_ns) for w in windows}
    return len(streams) < len(windows) or any((np.diff(w.start_ns) <= 0).any() for w in windows)


def _table(windows: Windows) -> pa.Table:
    """One stream's windows as rows; features that are not finite are absent."""
    n = len(windows.start_ns)
    names = sorted(windows.features)
    values = np.array([windows.features[name] for name in names], np.float64).reshape(len(names), n).T
    present = np.isfinite(values)
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)
    keys = pa.DictionaryArray.from_arrays(np.nonzero(present)[1].astype(np.int32), pa.array(names, pa.string()))
    features = pa.MapArray.from_arrays(offsets, keys.cast(pa.string()), pa.array(values[present]))
    about = {"device": windows.device, "sensor": windows.sensor, "session": windows.session, "kind": windows.kind}
    columns: dict[str, Any] = {name: pa.repeat(pa.scalar(text), n) for name, text in about.items()}
    columns["width_ns"] = pa.repeat(pa.scalar(windows.width_ns, pa.int64()), n)
    for name, column in (
        ("t", windows.start_ns),
        ("end_ns", windows.end_ns),
        ("count", windows.count),
        ("revision", windows.revision),
    ):
        columns[name] = pa.array(np.asarray(column, np.int64))
    return pa.table(columns | {"features": features.cast(_FEATURES)})


def _columns_of(features: pa.ChunkedArray, n: int) -> list[tuple[str, pa.Array]]:
    """A float64 column for each feature that some row has, by name."""
    if not n:
        return []
    maps = features.combine_chunks() if features.num_chunks != 1 else features.chunk(0)
    offsets = np.asarray(maps.offsets)
    held = slice(int(offsets[0]), int(offsets[-1]))
    row = np.repeat(np.arange(n), np.diff(offsets))
    keys = maps.keys.slice(held.start, held.stop - held.start).dictionary_encode()
    which, values = np.asarray(keys.indices), np.asarray(maps.items)[held]
    columns = []
    for code, name in sorted(enumerate(keys.dictionary.to_pylist()), key=lambda found: found[1]):
        is_this = which == code
        column = np.full(n, np.nan)
        column[row[is_this]] = values[is_this]
        columns.append((name, pa.array(column, from_pandas=True)))  # NaN becomes null
    return columns
