"""Batches that were refused for good: kept with their reason for a person, within a bound, and sent again on demand."""

import apsw

from edge._spool.schema import BATCH, COLUMNS, Row, rows
from edge._spool.transaction import Transaction
from edge._spool.words import ASIDE_FULL, ORDINAL_SHIFT, SEQ_MASK, Session, count, short
from edge.spooled import Refused
from telemetry.batch import BatchId

_INSERT = (
    f"INSERT INTO aside ({COLUMNS}, device, session, reason, aside_ns)"  # noqa: S608
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def set_aside(t: Transaction, place: int, reason: str, *, now_ns: int, bytes_max: int) -> None:
    """Move the batch there, and the oldest out when that is too much."""
    row = t.row(place)
    if row is None:
        return
    row, id_ = row.cleaned(), t.id_of(place)
    t.remove(row)
    add(t, row, id_, reason, now_ns)
    if row.kind == BATCH:
        t.ended.append((id_, "set_aside", reason))
    _bound(t, bytes_max)


def add(t: Transaction, row: Row, id_: BatchId, reason: str, aside_ns: int) -> None:
    """A row, as the newest."""
    t.db.execute(_INSERT, (*row, id_.device, id_.session, reason, aside_ns))
    t.state.aside_batches += 1
    t.state.aside_bytes += len(row.body)
    if row.kind == BATCH:
        count(t.state.aside, short(reason), row.readings)


def listed(db: apsw.Connection, limit: int) -> list[Refused]:
    """The newest, newest first."""
    sql = "SELECT place, device, session, readings, reason, aside_ns FROM aside ORDER BY n DESC LIMIT ?"
    return [
        Refused(BatchId(device, session, place & SEQ_MASK), readings, reason, aside_ns)
        for place, device, session, readings, reason, aside_ns in rows(db, sql, (limit,))
    ]


def put_back(t: Transaction, batches_max: int) -> int:
    """The oldest so many, where they were and as they were; how many that is.

    They were sent, and so may what stands behind them have been: none of it may be dropped.
    """
    sql = f"SELECT n, device, session, reason, {COLUMNS} FROM aside ORDER BY n LIMIT ?"  # noqa: S608
    found = rows(t.db, sql, (batches_max,))
    for n, device, session, reason, *values in found:
        row = Row(*values)
        t.db.execute("DELETE FROM aside WHERE n = ?", (n,))
        _forget(t, row, reason)
        if t.packer.unpack(row) is not None:
            _protect_first(t, row.place >> ORDINAL_SHIFT, device, session)
            t.insert(row, keep=True)
    return len(found)


def _protect_first(t: Transaction, ordinal: int, device: str, name: str) -> None:
    session = t.state.sessions.setdefault(ordinal, Session(ordinal, device, name))
    t.state.sessions = dict(sorted(t.state.sessions.items()))
    start, stop = session.places
    first = "SELECT place FROM batches WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"
    for (place,) in rows(t.db, first, (start, stop, t.sent_max(session))):
        t.db.execute("UPDATE batches SET keep = 1 WHERE place = ?", (place,))


def _bound(t: Transaction, bytes_max: int) -> None:
    while t.state.aside_bytes > bytes_max:
        found = rows(t.db, f"SELECT n, reason, {COLUMNS} FROM aside ORDER BY n LIMIT 1")  # noqa: S608
        if not found:
            t.state.aside_bytes = 0
            return
        n, reason, *values = found[0]
        row = Row(*values)
        t.db.execute("DELETE FROM aside WHERE n = ?", (n,))
        _forget(t, row, reason)
        if row.kind == BATCH:
            count(t.state.dropped, ASIDE_FULL, row.readings)


def _forget(t: Transaction, row: Row, reason: str) -> None:
    t.state.aside_batches -= 1
    t.state.aside_bytes -= len(row.body)
    if row.kind == BATCH:
        count(t.state.aside, short(reason), -row.readings)
