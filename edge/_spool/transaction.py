"""One transaction of the spool's file: what can be done to its rows, and the notes that are kept in step.

It works on a copy of the file's `State`; `save` writes what changed of it beside the rows.
"""

from collections.abc import Set as AbstractSet
from dataclasses import fields, replace

import apsw
import orjson

from edge._spool.schema import BATCH, COLUMNS, TOMBSTONE, Packer, Row, number, rows
from edge._spool.words import ORDINAL_SHIFT, SEQ_MASK, Encoded, Session, State, body, tombstone
from edge.spooled import Epoch
from telemetry import wire
from telemetry.batch import BatchId

FREES_MAX = 32  # acknowledged batches whose delete is not durable yet: so many more may have been sent before a crash
_ELSEWHERE = frozenset({"sessions", "cursors", "used_bytes", "oldest_put_ns"})  # not in `state.facts`


class Transaction:
    """Its methods raise apsw's errors; nothing of it holds until COMMIT returned."""

    def __init__(
        self,
        db: apsw.Connection,
        state: State,
        *,
        packer: Packer,
        mine: AbstractSet[str],
        device: str,
        still_there: AbstractSet[int],
    ) -> None:
        """`mine` are sessions of this run; `still_there` are places whose batch has ended, but not in the file."""
        self.db, self.packer, self.device = db, packer, device
        self._mine, self._still_there = mine, still_there
        self._before = state
        self.state = state.copy()
        self.handed: list[tuple[BatchId, str, int]] = []
        self.ended: list[tuple[BatchId, str, str]] = []
        self._changes = db.total_changes()

    # rows

    def row(self, place: int) -> Row | None:
        """The batch or tombstone there."""
        found = rows(self.db, f"SELECT {COLUMNS} FROM batches WHERE place = ?", (place,))  # noqa: S608
        return Row(*found[0]) if found else None

    def id_of(self, place: int) -> BatchId:
        """Whose place it is; raises `KeyError` for nobody's."""
        session = self.state.sessions[place >> ORDINAL_SHIFT]
        return BatchId(session.device, session.name, place & SEQ_MASK)

    def session(self, name: str, device: str | None = None) -> Session:
        """The session of that name, made when it is new; of this agent's device unless another is named."""
        found = self.state.session(name)
        if found is None:
            self.state.last_ordinal += 1
            found = self.state.sessions[self.state.last_ordinal] = Session(
                self.state.last_ordinal, device or self.device, name
            )
        return found

    def pack(self, session: Session, part: Encoded, put_ns: int, epoch: Epoch) -> tuple[Row, tuple[BatchId, str, int]]:
        """A cut as the session's next batch, and what the journal is told of it."""
        id_ = BatchId(session.device, session.name, session.next_seq)
        canonical = body(id_, part)
        row = self.packer.row(session.places[0] + session.next_seq, BATCH, part.readings, put_ns, epoch, canonical)
        return row, (id_, wire.content_hash(canonical), part.readings)

    def insert(self, row: Row, *, keep: bool = False) -> None:
        """A row at its place; its session counts it, and never gives its seq again."""
        self.db.execute(
            f"INSERT INTO batches ({COLUMNS}, keep) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (*row, int(keep)),
        )
        session = self.state.sessions[row.place >> ORDINAL_SHIFT]
        grown = replace(session, next_seq=max(session.next_seq, (row.place & SEQ_MASK) + 1))
        self._count(grown, row, 1)

    def remove(self, row: Row) -> None:
        """No longer there."""
        self.db.execute("DELETE FROM batches WHERE place = ?", (row.place,))
        self._count(self.state.sessions[row.place >> ORDINAL_SHIFT], row, -1)

    def bury(self, row: Row, readings: int, reason: str) -> None:
        """Put a tombstone of these readings where the row is."""
        id_ = self.id_of(row.place)
        stone = self.packer.row(row.place, TOMBSTONE, readings, row.put_ns, row.epoch, tombstone(id_, readings, reason))
        self.remove(row)
        self.insert(stone)

    def may_have_been_sent(self, place: int) -> bool:
        """Whether it can be on its way, or have been before a crash: then its content must not change.

        The first of a session may.  Of an earlier run's session more may, as deletes are committed late.
        """
        session = self.state.sessions[place >> ORDINAL_SHIFT]
        start, some = session.places[0], self.sent_max(session)
        some += sum(start <= gone < place for gone in self._still_there)
        sql = "SELECT count(*) FROM (SELECT 1 FROM batches WHERE place >= ? AND place < ? LIMIT ?)"
        return place in self._still_there or number(self.db, sql, (start, place, some)) < some

    def sent_max(self, session: Session) -> int:
        """How many of its first batches may have been sent."""
        return 1 if session.name in self._mine else FREES_MAX + 1

    def announce(self, session: Session, readings: int, reason: str, put_ns: int, epoch: Epoch) -> None:
        """A tombstone under the session's next seq, or more readings in its last one."""
        last = self.row(session.places[0] + session.next_seq - 1) if session.next_seq else None
        if last is not None and last.kind == TOMBSTONE and not self.may_have_been_sent(last.place):
            gone = wire.decode_own(self.packer.unpack(last) or b"").dropped
            if gone is not None and gone.reason == reason:
                self.bury(last, gone.readings + readings, reason)
                return
        id_ = BatchId(session.device, session.name, session.next_seq)
        place = session.places[0] + session.next_seq
        self.insert(self.packer.row(place, TOMBSTONE, readings, put_ns, epoch, tombstone(id_, readings, reason)))

    # ends

    def free(self, place: int, id_: BatchId) -> None:
        """Acknowledged."""
        row = self.row(place)
        if row is not None:
            self.remove(row)
            if row.kind == BATCH:
                self.ended.append((id_, "acknowledged", ""))

    def forget_empty_sessions(self, live: AbstractSet[str]) -> None:
        """Those in which nothing is left and nothing will be put."""
        for ordinal, session in list(self.state.sessions.items()):
            if session.batches == 0 and session.name not in live:
                del self.state.sessions[ordinal]

    def recount(self) -> None:
        """Trust the rows, not the notes: a damaged row may have been counted under another session or number."""
        counted = "count(*), coalesce(sum(CASE kind WHEN 0 THEN readings END), 0)"
        sql = f"SELECT {counted} FROM batches WHERE place BETWEEN ? AND ?"  # noqa: S608
        for ordinal, session in self.state.sessions.items():
            start, stop = session.places
            ((batches, readings),) = rows(self.db, sql, (start, stop - 1))
            self.state.sessions[ordinal] = replace(session, batches=batches, readings=readings)

    # notes

    @property
    def used_bytes(self) -> int:
        """Of the file, by now; pages that are free for the next row do not count."""
        return self.measure(self.db, oldest=False)[0]

    @staticmethod
    def measure(db: apsw.Connection, *, oldest: bool = True) -> tuple[int, int | None]:
        """Bytes in use, and when the oldest batch was put."""
        pages = number(db, "PRAGMA page_count") - number(db, "PRAGMA freelist_count")
        first = rows(db, "SELECT put_ns FROM batches ORDER BY place LIMIT 1") if oldest else []
        return pages * number(db, "PRAGMA page_size"), int(first[0][0]) if first else None

    def save(self) -> bool:
        """Write the notes that changed; False when the transaction changed nothing at all."""
        now, before = self.state, self._before
        for ordinal in before.sessions.keys() - now.sessions.keys():
            self.db.execute("DELETE FROM sessions WHERE ordinal = ?", (ordinal,))
        for ordinal, s in now.sessions.items():
            if before.sessions.get(ordinal) != s:
                values = (ordinal, s.device, s.name, s.next_seq, s.batches, s.readings)
                self.db.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?)", values)
        for source, cursor in now.cursors.items():
            if before.cursors.get(source) != cursor:
                self.db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (source, cursor))
        if (facts := _facts(now)) != _facts(before):
            self.db.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (facts,))
        changed = self.db.total_changes() != self._changes
        if changed:
            now.used_bytes, now.oldest_put_ns = self.measure(self.db)
        return changed

    def _count(self, session: Session, row: Row, by: int) -> None:
        is_batch = row.kind == BATCH
        self.state.sessions[session.ordinal] = session.plus(by, by * row.readings if is_batch else 0)
        self.state.tombstones += 0 if is_batch else by


def _facts(state: State) -> str:
    return orjson.dumps({f.name: getattr(state, f.name) for f in fields(State) if f.name not in _ELSEWHERE}).decode()
