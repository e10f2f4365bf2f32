"""The spool's tables, its connections, and how a row is packed and known to be whole.

A batch's place is `session's ordinal << 40 | seq`: in the order of places, sessions follow each other and seqs
within them, so the heads of both lanes are look-ups of the table's own key.
"""

import zlib
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import zstandard

from edge._spool.words import Faulty, Full, Torn
from edge.spooled import Epoch

SCHEMA_VERSION = 1
APPLICATION_ID = 0x53504F4C
BUSY_WAIT_MS = 5_000
CACHE_KIB = 512  # look-ups by key only: a Pi's memory is for the sensors
BODY_BYTES_MAX = 64 * 2**20

COLUMNS = "place, kind, readings, put_ns, boot, offset_ns, synchronised, crc, body"
_ROW = (
    "kind INTEGER NOT NULL, readings INTEGER NOT NULL, put_ns INTEGER NOT NULL, boot TEXT NOT NULL,"
    " offset_ns INTEGER NOT NULL, synchronised INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL"
)
TABLES = (
    "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), facts TEXT NOT NULL);"
    "CREATE TABLE cursors (source TEXT PRIMARY KEY, cursor TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE sessions (ordinal INTEGER PRIMARY KEY, device TEXT NOT NULL, name TEXT NOT NULL,"
    " next_seq INTEGER NOT NULL, batches INTEGER NOT NULL, readings INTEGER NOT NULL);"
    f"CREATE TABLE batches (place INTEGER PRIMARY KEY, {_ROW}, keep INTEGER NOT NULL DEFAULT 0);"
    f"CREATE TABLE drafts (place INTEGER PRIMARY KEY, {_ROW});"
    f"CREATE TABLE aside (n INTEGER PRIMARY KEY, place INTEGER NOT NULL, {_ROW}, device TEXT NOT NULL,"
    " session TEXT NOT NULL, reason TEXT NOT NULL, aside_ns INTEGER NOT NULL)"
)

BATCH, TOMBSTONE = 0, 1


class Row(NamedTuple):
    """A batch, a tombstone, or a draft (whose place is its number) as it is stored; `body` is packed."""

    place: int
    kind: int
    readings: int
    put_ns: int
    boot: str
    offset_ns: int
    synchronised: int
    crc: int
    body: bytes

    @property
    def epoch(self) -> Epoch:
        """The clock that stamped it."""
        return Epoch(self.boot, self.offset_ns, bool(self.synchronised))

    @property
    def is_whole(self) -> bool:
        """Whether every byte is the one that was written."""
        return self.crc == _crc(self[:7], self.body)

    def cleaned(self) -> "Row":
        """A damaged one as something that can be kept."""
        kind, readings, put_ns, offset_ns, synchronised, crc = (
            value if isinstance(value, int) else 0 for value in (*self[1:4], *self[5:8])
        )
        body = self.body if isinstance(self.body, bytes) else str(self.body).encode("utf-8", "replace")
        return Row(self.place, kind, readings, put_ns, str(self.boot), offset_ns, synchronised, crc, body)


class Packer:
    """Canonical bytes <-> what a row holds.  Not shared between threads."""

    def __init__(self) -> None:
        self._packer = zstandard.ZstdCompressor(level=1, write_checksum=True)
        self._unpacker = zstandard.ZstdDecompressor()

    def row(  # noqa: PLR0917 - the columns, in their order
        self, place: int, kind: int, readings: int, put_ns: int, epoch: Epoch, body: bytes
    ) -> Row:
        """Pack."""
        packed = self._packer.compress(body)
        head = (place, kind, readings, put_ns, epoch.boot, epoch.offset_ns, int(epoch.synchronised))
        return Row(*head, _crc(head, packed), packed)

    def unpack(self, row: Row) -> bytes | None:
        """The canonical bytes, or None when the row is damaged."""
        try:
            return self._unpacker.decompress(row.body, max_output_size=BODY_BYTES_MAX) if row.is_whole else None
        except (zstandard.ZstdError, TypeError, ValueError):
            return None


def _crc(head: tuple[Any, ...], body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(" ".join(map(str, head)).encode("utf-8", "replace")))


def connect(path: Path, vfs: str | None, synchronous: str) -> apsw.Connection:
    """A connection that checkpoints only when told; makes the file.  Raises apsw's errors."""
    db = apsw.Connection(str(path), vfs=vfs)
    try:
        db.set_busy_timeout(BUSY_WAIT_MS)
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        mode = [row[0] for row in db.execute("PRAGMA journal_mode = WAL")]
        if mode != ["wal"]:
            raise Faulty(  # noqa: TRY301
                f"{path} cannot be in WAL mode here ({mode})"
            )
        db.execute(f"PRAGMA synchronous = {synchronous}")
    except BaseException:
        db.close(True)
        raise
    return db


def make(db: apsw.Connection) -> None:
    """Tables of a new file, or the check that an old one has them.  Raises `Torn` and apsw's errors."""
    with db:
        version, app, tables = number(db, "PRAGMA user_version"), number(db, "PRAGMA application_id"), _tables(db)
        if not tables and version == 0:
            db.execute(TABLES)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif (version, app) != (SCHEMA_VERSION, APPLICATION_ID):
            raise Torn(f"schema {version} of application {app:#x}; this program writes {SCHEMA_VERSION}")
        elif not {"state", "cursors", "sessions", "batches", "drafts", "aside"} <= tables:
            raise Torn(f"tables are missing, there are only {sorted(tables)}")


def _tables(db: apsw.Connection) -> set[str]:
    return {str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def rows(db: apsw.Connection, sql: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All of a query's rows; no cursor stays open that would hold back a checkpoint."""
    return db.execute(sql, bindings).fetchall()


def number(db: apsw.Connection, sql: str, bindings: tuple[Any, ...] = ()) -> int:
    """A query's one number; 0 for none."""
    for (value,) in rows(db, sql, bindings):
        return int(value or 0)
    return 0


def classed(error: Exception) -> Full | Torn | Faulty:
    """What an error of SQLite, or of the file system, means to the spool."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, apsw.FullError):
        return Full(text)
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.SchemaChangeError)):
        return Torn(text)
    if isinstance(error, apsw.SQLError) and "no such" in str(error):  # a table or column that should be there
        return Torn(text)
    return Faulty(text)
