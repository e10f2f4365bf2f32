"""The tables of the DuckDB store: one a sensor of the catalogue, one for all others, and what is known of batches.

`r_<sensor>`  a row a reading: its key (stream, seq, series, i), event time `t`, the catalogue's fields, `extra`
`r_other`     the same without fields, for sensors that the catalogue lacks
`streams`     a number for each (device, session)
`claims`      a row a batch: what was accepted, and when
`days`        rows stored by (stream, sensor, UTC day), as deltas that are folded now and then: what the counts and
              the list of devices are made from, without a look at the readings
`sessions`    the ledger's state
`anomalies`   a row an anomaly: what is asked for as columns, the whole as JSON, its samples apart
`windows`     a row a window, its features as a map from name to value
"""

# ruff: noqa: S608 - every name in a statement is the catalogue's or ours; values are parameters

from typing import Any, Protocol

import pyarrow as pa

from telemetry.errors import Misconfigured
from telemetry.reading import CATALOGUE, Kind
from telemetry.stores import _sessions
from telemetry.stores._tables import fields_of


class Cursor(Protocol):
    """As much of a DuckDB connection as the statements here need; `FROM incoming` reads the caller's Arrow table."""

    def execute(self, query: str, parameters: object = None) -> Any:
        """Run one statement."""
        ...

    def sql(self, query: str, *, params: object = None) -> Any:
        """A relation, whose `to_arrow_table` runs it."""
        ...


KEY = ("stream", "seq", "series", "i", "t")
OTHER = "r_other"
_SQL = {Kind.FLOAT32: "FLOAT", Kind.FLOAT64: "DOUBLE", Kind.BOOL: "BOOLEAN", Kind.TEXT: "VARCHAR"}
_KEY_DDL = (
    "stream INTEGER NOT NULL, seq BIGINT NOT NULL, series INTEGER NOT NULL, i INTEGER NOT NULL, t BIGINT NOT NULL"
)
_SESSION_SQL = {
    name: "VARCHAR" if name in _sessions.TEXTS else "BOOLEAN" if name in _sessions.FLAGS else "BIGINT"
    for name in _sessions.COLUMNS
}
_SESSION_DDL = ", ".join(
    f"{name} {kind}{'' if name in _sessions.NULLABLE else ' NOT NULL'}" for name, kind in _SESSION_SQL.items()
)
_FIXED = (
    "CREATE SEQUENCE IF NOT EXISTS stream_ids",
    "CREATE TABLE IF NOT EXISTS streams (stream INTEGER NOT NULL, device VARCHAR NOT NULL, session VARCHAR NOT NULL)",
    """CREATE TABLE IF NOT EXISTS claims (stream INTEGER NOT NULL, seq BIGINT NOT NULL, hash VARCHAR NOT NULL,
       received_ns BIGINT NOT NULL, readings BIGINT NOT NULL, expired BIGINT NOT NULL, log_partition INTEGER NOT NULL,
       log_offset BIGINT NOT NULL, last_ns BIGINT, summarised BIGINT DEFAULT 0, PRIMARY KEY (stream, seq))""",
    """CREATE TABLE IF NOT EXISTS days (stream INTEGER NOT NULL, sensor VARCHAR NOT NULL, day_ns BIGINT NOT NULL,
       readings BIGINT NOT NULL, first_ns BIGINT NOT NULL, last_ns BIGINT NOT NULL)""",
    f"CREATE TABLE IF NOT EXISTS sessions ({_SESSION_DDL})",
    """CREATE TABLE IF NOT EXISTS anomalies (id VARCHAR NOT NULL, version BIGINT NOT NULL, device VARCHAR NOT NULL,
       kind VARCHAR NOT NULL, severity VARCHAR NOT NULL, start_ns BIGINT NOT NULL, end_ns BIGINT NOT NULL,
       is_open BOOLEAN NOT NULL, document VARCHAR NOT NULL, samples VARCHAR NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS windows (device VARCHAR NOT NULL, sensor VARCHAR NOT NULL, session VARCHAR NOT NULL,
       kind VARCHAR NOT NULL, width_ns BIGINT NOT NULL, t BIGINT NOT NULL, end_ns BIGINT NOT NULL,
       count BIGINT NOT NULL, revision BIGINT NOT NULL, features MAP(VARCHAR, DOUBLE) NOT NULL)""",
    f"CREATE TABLE IF NOT EXISTS {OTHER} ({_KEY_DDL}, sensor VARCHAR NOT NULL, extra VARCHAR)",
)


def table_of(sensor: str) -> str:
    """The table that holds a sensor's readings."""
    return f"r_{sensor}" if sensor in CATALOGUE else OTHER


def tables(cursor: Cursor) -> list[str]:
    """Every table of readings in the file, also of sensors that the catalogue has lost since."""
    listed = "SELECT table_name FROM information_schema.tables WHERE starts_with(table_name, 'r_') ORDER BY 1"
    return [name for (name,) in cursor.execute(listed).fetchall()]


def migrate(cursor: Cursor) -> None:
    """Make what is missing: tables, columns of fields that are new in the catalogue, and of sessions.

    Raises `Misconfigured` when a field's kind is another than the file's.
    """
    for statement in _FIXED:
        cursor.execute(statement)
    for name in sorted(_sessions.NULLABLE):  # a file of before there were clocks lacks these
        cursor.execute(f"ALTER TABLE sessions ADD COLUMN IF NOT EXISTS {name} {_SESSION_SQL[name]}")
    cursor.execute("ALTER TABLE claims ADD COLUMN IF NOT EXISTS summarised BIGINT DEFAULT 0")
    for sensor in CATALOGUE:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {table_of(sensor)} ({_KEY_DDL}, extra VARCHAR)")
        _add_fields(cursor, sensor)
    _adopt(cursor)


def _add_fields(cursor: Cursor, sensor: str) -> None:
    table = table_of(sensor)
    listed = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = ?"
    there: dict[str, str] = dict(cursor.execute(listed, [table]).fetchall())
    for field in fields_of(sensor):
        wanted = _SQL[field.kind]
        if field.name not in there:
            cursor.execute(f'ALTER TABLE {table} ADD COLUMN "{field.name}" {wanted}')
        elif there[field.name] != wanted:
            raise Misconfigured(
                f"the store holds {sensor}.{field.name} as {there[field.name]}, the catalogue says {wanted}: "
                "export the data and start with a new data directory, or undo the catalogue's change"
            )


def _adopt(cursor: Cursor) -> None:
    """Readings of sensors that the catalogue has learned since move to their own table."""
    for (sensor,) in cursor.execute(f"SELECT DISTINCT sensor FROM {OTHER}").fetchall():
        if sensor in CATALOGUE:
            columns = ", ".join((*KEY, "extra"))
            cursor.execute(
                f"INSERT INTO {table_of(sensor)} ({columns}) SELECT {columns} FROM {OTHER} WHERE sensor = ?",
                [sensor],
            )
            cursor.execute(f"DELETE FROM {OTHER} WHERE sensor = ?", [sensor])


def insert(cursor: Cursor, table: str, incoming: pa.Table) -> None:
    """Append the rows; DuckDB finds `incoming` by its name in this frame."""
    columns = ", ".join(f'"{name}"' for name in incoming.column_names)
    cursor.execute(f"INSERT INTO {table} ({columns}) SELECT * FROM incoming")
