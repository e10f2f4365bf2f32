"""The spool's file: one connection, transactions, and reads of what is committed.

Rules: nothing is in `state` before its COMMIT returned; a transaction that failed has not happened, and the same may
be tried again, for a unit's number says whether it is in the file already.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TypeVar

import apsw
import orjson

from edge._spool import schema
from edge._spool.schema import Packer, Row
from edge._spool.transaction import Transaction
from edge._spool.words import SEQ_MASK, Faulty, Full, Gone, Session, State, Torn, prefix
from edge.journal import Journal, NoJournal
from edge.spooled import Spooled
from telemetry import failpoints
from telemetry.batch import BatchId

CHECKPOINT_PAGES = 1_000
HEADROOM_BYTES = 4 * 2**20  # of the hard stop above the limit: deleting needs pages, too
T = TypeVar("T")


class SpoolFile:
    """Owned by one thread.  Every method raises `Full`, `Torn` or `Faulty`, except `close`."""

    def __init__(
        self,
        path: Path,
        *,
        device: str,
        vfs: str | None = None,
        synchronous: str = "FULL",
        size_bytes_max: int = 2**30,
        journal: Journal | None = None,
        mine: set[str] | None = None,
    ) -> None:
        self.path, self._vfs, self._synchronous = path, vfs, synchronous
        self._device, self._size_bytes_max = device, size_bytes_max
        self.journal: Journal = journal or NoJournal()
        self.packer = Packer()
        self.commits = 0
        self.mine = set() if mine is None else mine  # sessions of this run: what of them was sent is known
        self._wal_pages = 0
        with _classed():
            self._db = self._connect()
            try:
                schema.make(self._db)
                self.state = self._load()
                self.checkpoint(truncate=True)
                self._files = self._named()
            except BaseException:
                self._db.close(True)
                raise

    @property
    def size_bytes(self) -> int:
        """Of the file, its free pages included."""
        with _classed():
            return schema.number(self._db, "PRAGMA page_count") * self.page_bytes

    @property
    def db(self) -> apsw.Connection:
        """For reading what is committed."""
        return self._db

    def reopen(self) -> None:
        """A fresh connection.  Raises `Gone`, too.

        The old one is let go afterwards: so the WAL's index, which knows how far the WAL was synced, lives on, and
        is not rebuilt from pages that look written and are not on the disk.
        """
        self.check_named()
        with _classed():
            fresh = self._connect()
            old, self._db = self._db, fresh
            with contextlib.suppress(apsw.Error):
                old.close(True)
            self.state = self._load()

    def transact(self, work: Callable[[Transaction], T], still_there: AbstractSet[int] = frozenset()) -> T:
        """Run it in one transaction; durable when this returns.  What changed nothing writes nothing.

        See `Transaction` for `still_there`.
        """
        self.check_named()
        with _classed():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                transaction = Transaction(
                    self._db,
                    self.state,
                    packer=self.packer,
                    mine=self.mine,
                    device=self._device,
                    still_there=still_there,
                )
                result = work(transaction)
                if transaction.save():
                    self._tell_journal(transaction)
                    failpoints.passing("edge.before_commit")
                    self._db.execute("COMMIT")
                    failpoints.passing("edge.after_commit")
                    self.commits += 1
                    self.state = transaction.state
                else:
                    self._db.execute("ROLLBACK")
            except BaseException:
                self._roll_back()
                raise
        return result

    def checkpoint_when_due(self) -> None:
        """Move the WAL into the file when it is long."""
        pages_max = min(CHECKPOINT_PAGES, max(64, self._size_bytes_max // 4 // self.page_bytes))
        if self._wal_pages >= pages_max:
            self.checkpoint()

    def checkpoint(self, *, truncate: bool = False) -> None:
        """Move the WAL's pages into the file; without room for it they stay where they are safe."""
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_PASSIVE
        with _classed(), contextlib.suppress(apsw.FullError, apsw.BusyError, apsw.LockedError):
            self._db.wal_checkpoint(mode=mode)
            self._wal_pages = 0

    def first(self, start: int, stop: int, without: Callable[[int], bool]) -> Row | None:
        """The first row from `start` on and before `stop` whose place is not one `without` which to look."""
        sql = f"SELECT {schema.COLUMNS} FROM batches WHERE place >= ? AND place < ? ORDER BY place LIMIT 1"  # noqa: S608
        with _classed():
            while found := schema.rows(self._db, sql, (start, stop)):
                row = Row(*found[0])
                if not without(row.place):
                    return row
                start = row.place + 1
        return None

    def spooled(self, row: Row) -> Spooled | None:
        """What a row holds, or None when it is damaged."""
        session, body = self.state.of_place(row.place), self.packer.unpack(row)
        if session is None or body is None:
            return None
        id_ = BatchId(session.device, session.name, row.place & SEQ_MASK)
        if not body.startswith(prefix(id_)):
            return None
        return Spooled(id_, body, row.readings if row.kind == schema.BATCH else 0, row.put_ns, row.epoch)

    def close(self, *, checkpoint: bool = True) -> None:
        """Let go of the file, whatever its state."""
        with contextlib.suppress(Full, Torn, Faulty):
            if checkpoint:
                self.checkpoint(truncate=True)
        with contextlib.suppress(apsw.Error):  # what was committed is on disk
            self._db.close(True)

    def _connect(self) -> apsw.Connection:
        db = schema.connect(self.path, self._vfs, self._synchronous)
        self.page_bytes = schema.number(db, "PRAGMA page_size")
        pages_max = (self._size_bytes_max + HEADROOM_BYTES) // self.page_bytes
        db.execute(f"PRAGMA max_page_count = {pages_max}")
        db.set_wal_hook(self._note_wal)  # replaces the automatic checkpoint, which swallows errors
        return db

    def _load(self) -> State:
        with _classed():
            return load(self._db)

    def check_named(self) -> None:
        """Raises `Gone` when the file or its WAL is no longer what its name leads to: what is written now would
        vanish with this process."""
        try:
            found = self._named()
        except FileNotFoundError as e:
            raise Gone(f"{e.filename} was deleted") from e
        except OSError as e:
            raise Faulty(str(e)) from e
        if found != self._files:
            raise Gone(f"{self.path} is another file now")

    def _named(self) -> list[tuple[int, int]]:
        found = [os.stat(name) for name in (self.path, f"{self.path}-wal")]  # noqa: PTH116 - a WAL has no Path
        return [(s.st_dev, s.st_ino) for s in found]

    def _tell_journal(self, transaction: Transaction) -> None:
        if transaction.handed:
            self.journal.handed_over(transaction.handed)
        for id_, end, reason in transaction.ended:
            self.journal.ended(id_, end, reason)

    def _roll_back(self) -> None:
        with contextlib.suppress(apsw.Error):  # the connection is replaced when it cannot
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _note_wal(self, _db: apsw.Connection, _schema: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK


def load(db: apsw.Connection) -> State:
    """What the small tables say.  Raises `Torn` for what cannot be."""
    state = State()
    try:
        for (facts,) in db.execute("SELECT facts FROM state"):
            for name, value in orjson.loads(facts).items():
                setattr(state, name, value)
        for row in schema.rows(db, "SELECT * FROM sessions ORDER BY ordinal"):
            state.sessions[row[0]] = Session(*row)
        state.cursors = dict(schema.rows(db, "SELECT source, cursor FROM cursors"))
    except (ValueError, TypeError, AttributeError) as e:
        raise Torn(f"the spool's own notes make no sense: {e}") from e
    state.used_bytes, state.oldest_put_ns = Transaction.measure(db)
    return state


@contextlib.contextmanager
def _classed() -> Iterator[None]:
    try:
        yield
    except (Full, Torn, Faulty, Gone):
        raise
    except UnicodeDecodeError as e:
        raise Torn(f"a text that is none: {e}") from e
    except (apsw.Error, OSError) as e:
        raise schema.classed(e) from e
