"""What is removed from DuckDB, and the folding of the day counts."""

# ruff: noqa: S608 - every name in a statement is the catalogue's or ours; values are parameters

from dataclasses import dataclass

from telemetry.stores._duck_schema import Cursor, tables

_OF_DEVICE = "stream IN (SELECT stream FROM streams WHERE device = ?)"


@dataclass
class Totals:
    """What the counts are: loaded at the start, kept up to date by every commit."""

    readings: int
    batches: int
    devices: set[str]
    day_rows: int


def totals(cursor: Cursor) -> Totals:
    """Counted from the small tables."""
    readings, day_rows = cursor.execute("SELECT coalesce(sum(readings), 0)::BIGINT, count(*) FROM days").fetchone()
    (batches,) = cursor.execute("SELECT count(*) FROM claims").fetchone()
    named = cursor.execute("SELECT DISTINCT device FROM streams WHERE stream IN (SELECT stream FROM days)").fetchall()
    return Totals(readings, batches, {name for (name,) in named}, day_rows)


def delete_device(cursor: Cursor, device: str) -> int:
    """Rows, days, claims, sessions, streams, anomalies and windows of a device; returns the rows."""
    removed = sum(_deleted(cursor, table, _OF_DEVICE, device) for table in tables(cursor))
    for table in ("days", "claims"):
        _deleted(cursor, table, _OF_DEVICE, device)
    for table in ("sessions", "streams", "anomalies", "windows"):
        _deleted(cursor, table, "device = ?", device)
    return removed


def prune(cursor: Cursor, cut_ns: int) -> int:
    """Rows of the days before `cut_ns`; a claim goes with its last row, unless its batch came after the cut."""
    removed = sum(_deleted(cursor, table, "t < ?", cut_ns) for table in tables(cursor))
    _deleted(cursor, "days", "day_ns < ?", cut_ns)
    _deleted(cursor, "anomalies", "start_ns < ?", cut_ns)
    _deleted(cursor, "windows", "t < ?", cut_ns)
    _deleted(cursor, "claims", "received_ns < ? AND coalesce(last_ns, -1) < ?", cut_ns, cut_ns)
    cursor.execute("DELETE FROM streams WHERE stream NOT IN (SELECT stream FROM claims UNION SELECT stream FROM days)")
    return removed


def fold_days(cursor: Cursor) -> None:
    """One row a (stream, sensor, day) again."""
    cursor.execute(
        """CREATE OR REPLACE TEMP TABLE folded AS SELECT stream, sensor, day_ns, sum(readings)::BIGINT AS readings,
           min(first_ns) AS first_ns, max(last_ns) AS last_ns FROM days GROUP BY ALL"""
    )
    cursor.execute("DELETE FROM days")
    cursor.execute("INSERT INTO days SELECT * FROM folded")
    cursor.execute("DROP TABLE folded")


def _deleted(cursor: Cursor, table: str, where: str, *params: object) -> int:
    row = cursor.execute(f"DELETE FROM {table} WHERE {where}", list(params)).fetchone()
    return int(row[0])
