"""The questions that a store answers, as DuckDB's SQL; each runs on a cursor of its own, in a thread."""

# ruff: noqa: S608 - every name in a statement is the catalogue's or ours; values are parameters

from collections.abc import Sequence

import pyarrow as pa

from telemetry.batch import BatchId
from telemetry.ports import Claim, DeviceSeen, Session, Span
from telemetry.stores._buckets import bounds, buckets
from telemetry.stores._duck_schema import OTHER, Cursor, table_of
from telemetry.stores._sessions import COLUMNS, FLAGS, TEXTS, flat, session_of
from telemetry.stores._tables import (
    PIECE_ROWS_MAX,
    envelope_schema,
    envelope_trimmed,
    fields_of,
    schema_of,
    trimmed,
)

SESSIONS_LISTED_MAX = 10_000
_SESSIONS = ", ".join(COLUMNS)
_SESSIONS_SCHEMA = pa.schema(
    [(name, pa.string() if name in TEXTS else pa.bool_() if name in FLAGS else pa.int64()) for name in COLUMNS]
)


def readings(cursor: Cursor, span: Span, limit: int) -> pa.Table:
    """See `Store`."""
    source, params = _source(span)
    ordered = f"SELECT {_columns(span.sensor)} {source} ORDER BY r.t, s.session, r.seq, r.series, r.i LIMIT ?"
    return _table(cursor, span.sensor, ordered, [*params, limit])


def envelope(cursor: Cursor, span: Span, points: int) -> pa.Table:
    """See `Store`."""
    origin_ns, width_ns = buckets(span, points)
    source, params = _source(span)
    parts = [
        f'min("{f.name}")::DOUBLE, max("{f.name}")::DOUBLE, avg("{f.name}"::DOUBLE)'
        for f in fields_of(span.sensor)
        if f.kind.is_number
    ]
    bucket = f"{origin_ns} + (r.t - {origin_ns}) // {width_ns} * {width_ns}"
    query = f"SELECT {', '.join([f'{bucket} AS bucket', 'count(*)', *parts])} {source} GROUP BY bucket ORDER BY bucket"
    found = cursor.sql(query, params=params).to_arrow_table()
    schema = envelope_schema(span.sensor)
    return envelope_trimmed(found.rename_columns(schema.names).cast(schema))


def _source(span: Span) -> tuple[str, list[object]]:
    """FROM and WHERE of a span, and their parameters."""
    table = table_of(span.sensor)
    first_ns, last_ns = bounds(span.from_ns, span.to_ns)
    params: list[object] = [span.device, first_ns, last_ns]
    where = f"FROM {table} r JOIN streams s ON r.stream = s.stream WHERE s.device = ? AND r.t BETWEEN ? AND ?"
    if table == OTHER:
        return where + " AND r.sensor = ?", [*params, span.sensor]
    return where, params


def _columns(sensor: str) -> str:
    of_fields = (f'r."{f.name}"' for f in fields_of(sensor))
    return ", ".join(["r.t", *of_fields, "r.extra", "s.session", "r.seq", "r.series", "r.i"])


def _table(cursor: Cursor, sensor: str, query: str, params: Sequence[object]) -> pa.Table:
    return trimmed(cursor.sql(query, params=params).to_arrow_table().cast(schema_of(sensor)))


# --- export ---------------------------------------------------------------------------------------------------


def holdings(cursor: Cursor, device: str, session: str | None, sensor: str | None) -> list[tuple[str, str, int, int]]:
    """(sensor, session, stream, readings) of what a device has, by sensor and session."""
    query = """SELECT d.sensor, s.session, s.stream, sum(d.readings)::BIGINT FROM days d JOIN streams s
               ON d.stream = s.stream WHERE s.device = $1 AND coalesce(s.session = $2, true)
               AND coalesce(d.sensor = $3, true) GROUP BY ALL ORDER BY d.sensor, s.session"""
    found: list[tuple[str, str, int, int]] = cursor.execute(query, [device, session, sensor]).fetchall()
    return found


def cuts(cursor: Cursor, sensor: str, stream: int, between: tuple[int, int]) -> list[tuple[int, int]]:
    """Ranges of seq (both ends included) of which none has more rows than a piece may, unless one batch alone has."""
    query = f"""SELECT seq, count(*) AS n FROM {table_of(sensor)} WHERE stream = ? AND t BETWEEN ? AND ?
                {_other(sensor)} GROUP BY seq ORDER BY seq"""
    found = cursor.sql(query, params=[stream, *between]).to_arrow_table()
    ranges: list[tuple[int, int]] = []
    held = 0
    for seq, n in zip(found["seq"].to_pylist(), found["n"].to_pylist(), strict=True):
        if ranges and held + n <= PIECE_ROWS_MAX:
            ranges[-1], held = (ranges[-1][0], seq), held + n
        else:
            ranges.append((seq, seq))
            held = n
    return ranges


def piece(cursor: Cursor, sensor: str, stream: int, seqs: tuple[int, int], between: tuple[int, int]) -> pa.Table:
    """The rows of one stream's range of seq, by (seq, series, i)."""
    query = f"""SELECT {_columns(sensor)} FROM {table_of(sensor)} r JOIN streams s ON r.stream = s.stream
                WHERE r.stream = ? AND r.seq BETWEEN ? AND ? AND r.t BETWEEN ? AND ? {_other(sensor)}
                ORDER BY r.seq, r.series, r.i"""
    return _table(cursor, sensor, query, [stream, *seqs, *between])


def _other(sensor: str) -> str:
    """Sensors that the catalogue lacks share a table; a sensor's name holds no quote (`batch.NAME`), but be sure."""
    return "AND sensor = '{}'".format(sensor.replace("'", "''")) if table_of(sensor) == OTHER else ""


# --- batches, sessions, devices -------------------------------------------------------------------------------


def claims(cursor: Cursor, device: str, session: str | None) -> list[Claim]:
    """See `Store`."""
    query = """SELECT s.session, c.seq, c.hash, c.received_ns, c.readings, c.expired, c.summarised
               FROM claims c JOIN streams s ON c.stream = s.stream
               WHERE s.device = $1 AND coalesce(s.session = $2, true) ORDER BY s.session, c.seq"""
    rows = cursor.execute(query, [device, session]).fetchall()
    return [Claim(BatchId(device, s, seq), *rest) for s, seq, *rest in rows]


def completeness(cursor: Cursor, device: str | None, session: str | None) -> list[Session]:
    """See `Store`."""
    query = f"""SELECT {_SESSIONS} FROM sessions WHERE coalesce(device = $1, true) AND coalesce(session = $2, true)
                ORDER BY last_received_ns DESC, device, session LIMIT {SESSIONS_LISTED_MAX}"""
    return [_session(row) for row in cursor.execute(query, [device, session]).fetchall()]


def get_sessions(cursor: Cursor, keys: Sequence[tuple[str, str]]) -> list[Session]:
    """Those of the keys that are kept."""
    incoming = pa.table({"device": [d for d, _ in keys], "session": [s for _, s in keys]})
    query = f"SELECT {_SESSIONS} FROM sessions JOIN incoming USING (device, session)"
    return [_session(row) for row in cursor.execute(query).fetchall()] if incoming.num_rows else []


def put_sessions(cursor: Cursor, sessions: Sequence[Session]) -> None:
    """Keep the newer of each; without an index, so that a session just deleted may come again at once."""
    newest: dict[tuple[str, str], Session] = {}
    for s in sorted(sessions, key=lambda s: s.next_offset):
        newest[s.device, s.session] = s
    incoming = pa.Table.from_pylist([flat(s) for s in newest.values()], _SESSIONS_SCHEMA)
    same = "kept.device = incoming.device AND kept.session = incoming.session"
    assigned = ", ".join(f"{n} = incoming.{n}" for n in COLUMNS if n not in {"device", "session"})
    cursor.execute(
        f"UPDATE sessions AS kept SET {assigned} FROM incoming "
        f"WHERE {same} AND incoming.next_offset >= kept.next_offset"
    )
    if incoming.num_rows:
        cursor.execute(
            f"INSERT INTO sessions ({_SESSIONS}) SELECT {_SESSIONS} FROM incoming ANTI JOIN sessions kept ON {same}"
        )


def devices(cursor: Cursor) -> list[DeviceSeen]:
    """See `Store`."""
    query = """SELECT s.device, min(d.first_ns), max(d.last_ns), sum(d.readings)::BIGINT, list(DISTINCT d.sensor)
               FROM days d JOIN streams s ON d.stream = s.stream GROUP BY s.device ORDER BY s.device"""
    rows = cursor.execute(query).fetchall()
    return [DeviceSeen(name, first, last, n, tuple(sorted(sensors))) for name, first, last, n, sensors in rows]


def _session(row: Sequence[object]) -> Session:
    return session_of(dict(zip(COLUMNS, row, strict=True)))
