"""What a transaction does when there is no room: wait, drop the oldest, or drop the newest.

Every drop is counted under its reason and announced by a tombstone for its seq.  A batch that may have been sent is
never dropped: it may be stored, and a tombstone would contradict it.
"""

from dataclasses import dataclass

from edge._spool import drafts
from edge._spool.schema import BATCH, COLUMNS, TOMBSTONE, Row, rows
from edge._spool.transaction import Transaction
from edge._spool.words import UNANNOUNCED, Encoded, Gap, Group, Unit, count
from edge.settings import OnFull
from telemetry import wire

TOMBSTONE_BYTES = 256  # about what one takes
TOMBSTONES_SHARE = 4  # they may fill one part in so many of the limit: announcing must not eat what it is about
PAGES_SPARE = 2  # for notes, and the tree above the rows


@dataclass(frozen=True, slots=True)
class Policy:
    """Puts a group's units into the file, in order."""

    on_full: OnFull
    room_bytes: int  # that may be in use
    limit_bytes: int
    page_bytes: int

    def put(self, t: Transaction, group: Group, run: str) -> bool:
        """Take units until one must wait; True when none had to make room or wait."""
        taken = t.state.taken if t.state.taken_by == run else 0
        before = dict(t.state.dropped)
        for unit in group.units:
            if unit.number > taken:
                if not self._take(t, unit):
                    return False
                t.state.cursors.update(unit.cursors)
                t.state.taken_by, t.state.taken = run, unit.number
        self._bound_tombstones(t)
        return t.state.dropped == before

    def _take(self, t: Transaction, unit: Unit) -> bool:
        if self.on_full == "block" and not self._fits(t, self._need(*unit.parts), unit):
            return False
        for part in unit.parts:
            if isinstance(part, Gap):
                self._announce(t, unit, part)
            elif self._make_room(t, part):
                self._insert(t, unit, part)
            else:
                self._announce(t, unit, Gap(part.readings, self.on_full))
        return True

    def _make_room(self, t: Transaction, part: Encoded) -> bool:
        need = self._need(part)
        while t.used_bytes + need > self.room_bytes and self.on_full != "block":
            if self.on_full == "drop_newest" or not drop_oldest(t, self.on_full):
                return False
        return True

    def _fits(self, t: Transaction, need: int, unit: Unit) -> bool:
        """A unit of nothing but announcements and cursors always does."""
        return t.used_bytes + need <= self.room_bytes or not any(isinstance(p, Encoded) for p in unit.parts)

    def _need(self, *parts: Encoded | Gap) -> int:
        """At most: two rows that just do not fit on one page take two."""
        sizes = [len(part.tail) for part in parts if isinstance(part, Encoded)]
        return sum(size + min(size, self.page_bytes) for size in sizes) + PAGES_SPARE * self.page_bytes

    def _insert(self, t: Transaction, unit: Unit, part: Encoded) -> None:
        if unit.is_draft:
            drafts.insert(t, part, unit)
            return
        row, told = t.pack(t.session(unit.session), part, unit.put_ns, unit.epoch)
        t.insert(row)
        t.handed.append(told)

    def _announce(self, t: Transaction, unit: Unit, gap: Gap) -> None:
        count(t.state.dropped, gap.reason, gap.readings)
        if unit.is_draft:
            drafts.insert_gap(t, gap, unit)
        else:
            t.announce(t.session(unit.session), gap.readings, gap.reason, unit.put_ns, unit.epoch)

    def _bound_tombstones(self, t: Transaction) -> None:
        """The oldest are forgotten when all of them take more than their share."""
        surplus = t.state.tombstones - self.limit_bytes // TOMBSTONES_SHARE // TOMBSTONE_BYTES
        start = 0
        while surplus > 0 and (row := _next(t, TOMBSTONE, start)) is not None:
            start = row.place + 1
            if not t.may_have_been_sent(row.place):
                _forget(t, row)
                surplus -= 1


def drop_oldest(t: Transaction, reason: str) -> bool:
    """Drop the oldest batch that was certainly never sent, or else the oldest draft; False when there is none."""
    while (row := _next(t, BATCH, t.state.drop_from)) is not None:
        t.state.drop_from = row.place + 1
        if not t.may_have_been_sent(row.place):
            count(t.state.dropped, reason, row.readings)
            t.bury(row, row.readings, reason)
            t.ended.append((t.id_of(row.place), "dropped", reason))
            return True
    return drafts.drop_oldest(t, reason)


def _next(t: Transaction, kind: int, start: int) -> Row | None:
    sql = f"SELECT {COLUMNS} FROM batches WHERE place >= ? AND kind = ? AND keep = 0 ORDER BY place LIMIT 1"  # noqa: S608
    found = rows(t.db, sql, (start, kind))
    return Row(*found[0]) if found else None


def _forget(t: Transaction, row: Row) -> None:
    """The readings stay counted, under a name that says that nobody was told."""
    gone = wire.decode_own(t.packer.unpack(row) or b"{}").dropped
    t.remove(row)
    if gone is not None:
        count(t.state.dropped, gone.reason, -gone.readings)
        count(t.state.dropped, UNANNOUNCED, gone.readings)
