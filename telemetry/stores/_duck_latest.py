"""The latest row of each device, as DuckDB's SQL: `days` says when it was, so that few readings are looked at."""

# ruff: noqa: S608 - every name in a statement is the catalogue's or ours; values are parameters

from collections.abc import Sequence

from telemetry.ports import Latest
from telemetry.stores._duck_schema import OTHER, Cursor, table_of
from telemetry.stores._latest import in_order, latest_of
from telemetry.stores._tables import fields_of


def latest(cursor: Cursor, sensors: Sequence[str], from_ns: int) -> list[Latest]:
    """See `Store`."""
    return in_order(one for sensor in set(sensors) for one in _of_sensor(cursor, sensor, from_ns))


def _of_sensor(cursor: Cursor, sensor: str, from_ns: int) -> list[Latest]:
    table, names = table_of(sensor), [f.name for f in fields_of(sensor)]
    columns = ", ".join(["last.device", "r.t", *(f'r."{name}"' for name in names)])
    query = f"""WITH last AS (SELECT s.device, max(d.last_ns) AS t FROM days d JOIN streams s ON d.stream = s.stream
                              WHERE d.sensor = $1 GROUP BY s.device HAVING max(d.last_ns) >= $2)
                SELECT {columns} FROM last JOIN streams s ON s.device = last.device
                JOIN {table} r ON r.stream = s.stream AND r.t = last.t WHERE r.t >= $2
                {"AND r.sensor = $1" if table == OTHER else ""}
                ORDER BY last.device, s.session, r.seq, r.series, r.i"""
    rows = cursor.execute(query, [sensor, from_ns]).fetchall()
    last = {device: (t_ns, values) for device, t_ns, *values in rows}  # of rows at the same time the last one
    return [
        latest_of(device, sensor, t_ns, dict(zip(names, values, strict=True)))
        for device, (t_ns, values) in last.items()
    ]
