"""Anomalies in DuckDB: a row each, the newest version; without an index, so that one just deleted may come again."""

# ruff: noqa: S608 - every name in a statement is ours; values are parameters

from collections.abc import Sequence

import pyarrow as pa

from telemetry.anomaly import Anomaly, Asked, newest
from telemetry.stores._anomalies import anomaly_of, parts_of
from telemetry.stores._buckets import bounds
from telemetry.stores._duck_schema import Cursor

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("version", pa.int64()),
        *((name, pa.string()) for name in ("device", "kind", "severity")),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
        ("is_open", pa.bool_()),
        ("document", pa.string()),
        ("samples", pa.string()),
    ]
)
_COLUMNS = ", ".join(_SCHEMA.names)


def put(cursor: Cursor, anomalies: Sequence[Anomaly]) -> None:
    """Keep the newer of each; inside the caller's transaction."""
    incoming = pa.Table.from_pylist([_row(a) for a in newest(anomalies)], _SCHEMA)
    cursor.execute(
        "DELETE FROM anomalies AS kept USING incoming WHERE kept.id = incoming.id AND incoming.version > kept.version"
    )
    if incoming.num_rows:  # DuckDB finds `incoming` by its name in this frame
        cursor.execute(
            f"INSERT INTO anomalies ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming ANTI JOIN anomalies AS kept USING (id)"
        )


def listed(cursor: Cursor, asked: Asked) -> list[Anomaly]:
    """See `Store.anomalies`."""
    first_ns, last_ns = bounds(asked.from_ns, asked.to_ns)
    if first_ns > last_ns:
        return []
    where, params = "start_ns <= ? AND end_ns >= ?", [last_ns, first_ns]
    wanted: list[object] = [*params]
    for name, value in (
        ("device", asked.device),
        ("kind", asked.kind),
        ("severity", None if asked.severity is None else str(asked.severity)),
        ("is_open", asked.is_open),
    ):
        if value is not None:
            where += f" AND {name} = ?"
            wanted.append(value)
    if asked.after is not None:
        where += " AND (start_ns < ? OR (start_ns = ? AND id > ?))"
        wanted += [asked.after[0], *asked.after]
    query = f"SELECT document FROM anomalies WHERE {where} ORDER BY start_ns DESC, id LIMIT ?"
    return [anomaly_of(document) for (document,) in cursor.execute(query, [*wanted, asked.limit]).fetchall()]


def one(cursor: Cursor, id_: str) -> Anomaly | None:
    """See `Store.anomaly`."""
    row = cursor.execute("SELECT document, samples FROM anomalies WHERE id = ?", [id_]).fetchone()
    return None if row is None else anomaly_of(*row)


def _row(anomaly: Anomaly) -> dict[str, object]:
    document, samples = parts_of(anomaly)
    return {
        "id": anomaly.id,
        "version": anomaly.version,
        "device": anomaly.device,
        "kind": anomaly.kind,
        "severity": str(anomaly.severity),
        "start_ns": anomaly.start_ns,
        "end_ns": anomaly.end_ns,
        "is_open": anomaly.is_open,
        "document": document,
        "samples": samples,
    }
