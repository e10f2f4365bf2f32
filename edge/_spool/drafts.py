"""Drafts: readings whose times wait for the clock.  Durable, without a seq; `settle_some` makes batches of them, and
`settled` of those that are not durable yet."""

from dataclasses import replace

import numpy as np

from edge._spool.schema import BATCH, COLUMNS, TOMBSTONE, Row, number, rows
from edge._spool.transaction import Transaction
from edge._spool.words import DAMAGED, Encoded, Gap, Part, Unit, body, count, encoded, tombstone
from edge.batcher import Cut, CutLimits, split
from edge.spooled import Epoch
from telemetry import wire
from telemetry.batch import TIME_NS_MAX, BatchId, Series, Times

SESSION = "draft"  # under which a draft's bytes lie; never sent
_INSERT = f"INSERT INTO drafts ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608


def insert(t: Transaction, part: Encoded, unit: Unit) -> None:
    """One more, after all others."""
    canonical = body(BatchId(t.device, SESSION, 0), part)
    add(t, t.packer.row(_next(t), BATCH, part.readings, unit.put_ns, unit.epoch, canonical))


def insert_gap(t: Transaction, gap: Gap, unit: Unit) -> None:
    """Dropped ones in their place; they become a tombstone when the drafts become batches."""
    last = _one(t, "ORDER BY place DESC")
    if last is not None and _reason(t, last) == gap.reason:
        _bury(t, last, last.readings + gap.readings, gap.reason)
    else:
        stone = tombstone(BatchId(t.device, SESSION, 0), gap.readings, gap.reason)
        add(t, t.packer.row(_next(t), TOMBSTONE, gap.readings, unit.put_ns, unit.epoch, stone))


def drop_oldest(t: Transaction, reason: str) -> bool:
    """Drop the oldest draft, into the gap before it if there is one; False when there is no draft."""
    row = _one(t, "WHERE kind = 0 ORDER BY place")
    if row is None:
        return False
    count(t.state.dropped, reason, row.readings)
    before = _one(t, "WHERE place < ? ORDER BY place DESC", row.place)
    if before is not None and _reason(t, before) == reason:
        _remove(t, before)
        _bury(t, row, row.readings + before.readings, reason)
    else:
        _bury(t, row, row.readings, reason)
    return True


def settle_some(
    t: Transaction, session: str, *, shift_ns: int, epoch: Epoch | None, limits: CutLimits, size_bytes: int
) -> bool:
    """Make batches of the oldest drafts, about so many packed bytes of them; True when none is left.

    Without an epoch they are of an earlier run: each keeps its own epoch, as one that nobody could set right, and
    its device.
    """
    while size_bytes > 0 and (row := _one(t, "ORDER BY place")) is not None:
        size_bytes -= len(row.body) + 100
        _remove(t, row)
        stamped = epoch or Epoch(row.boot, row.offset_ns, synchronised=False)
        canonical = t.packer.unpack(row)
        if canonical is None:
            count(t.state.dropped, DAMAGED, row.readings)
            t.announce(t.session(session), row.readings, DAMAGED, row.put_ns, stamped)
            continue
        batch = wire.decode_own(canonical)
        device = t.device if epoch else batch.device
        if batch.dropped is not None:
            gone = batch.dropped
            t.announce(t.session(session, device), gone.readings, gone.reason, row.put_ns, stamped)
            continue
        for cut in split(shifted(batch.series, shift_ns), limits):
            new, told = t.pack(t.session(session, device), encoded(cut), row.put_ns, stamped)
            t.insert(new)
            t.handed.append(told)
    return _one(t, "") is None


def settled(unit: Unit, session: str, shift_ns: int, epoch: Epoch, limits: CutLimits) -> Unit:
    """A gathered draft as batches to be."""
    if not unit.is_draft:
        return unit
    parts: list[Part] = []
    for part in unit.parts:
        if isinstance(part, Gap):
            parts.append(part)
        else:
            batch = wire.decode_own(body(BatchId("", "", 0), part))
            parts += map(encoded, split(shifted(batch.series, shift_ns), limits))
    return replace(unit, session=session, parts=tuple(parts), epoch=epoch, is_draft=False)


def shifted(cut: Cut, by_ns: int) -> Cut:
    """The same readings at other times, none before 1970 or after 2262."""
    return tuple(Series(s.sensor, _shifted(s.t, by_ns), s.values, s.extra) for s in cut) if by_ns else cut


def _shifted(times: Times, by_ns: int) -> Times:
    earliest, latest = max(0, -by_ns), min(TIME_NS_MAX, TIME_NS_MAX - by_ns)
    moved: Times = np.clip(times, earliest, latest) + np.int64(by_ns)
    return moved


def _one(t: Transaction, which: str, *bindings: int) -> Row | None:
    found = rows(t.db, f"SELECT {COLUMNS} FROM drafts {which} LIMIT 1", bindings)  # noqa: S608
    return Row(*found[0]) if found else None


def _next(t: Transaction) -> int:
    return number(t.db, "SELECT max(place) FROM drafts") + 1


def add(t: Transaction, row: Row) -> None:
    """A row at its place."""
    t.db.execute(_INSERT, row)
    _count(t, row, 1)


def _remove(t: Transaction, row: Row) -> None:
    t.db.execute("DELETE FROM drafts WHERE place = ?", (row.place,))
    _count(t, row, -1)


def _bury(t: Transaction, row: Row, readings: int, reason: str) -> None:
    stone = tombstone(BatchId(t.device, SESSION, 0), readings, reason)
    _remove(t, row)
    add(t, t.packer.row(row.place, TOMBSTONE, readings, row.put_ns, row.epoch, stone))


def _reason(t: Transaction, row: Row) -> str:
    """Of a gap; "" of a draft."""
    canonical = t.packer.unpack(row) if row.kind == TOMBSTONE else None
    gone = wire.decode_own(canonical).dropped if canonical else None
    return gone.reason if gone else ""


def _count(t: Transaction, row: Row, by: int) -> None:
    t.state.drafts += by
    if row.kind == BATCH:
        t.state.draft_readings += by * row.readings
