"""The SQLite log's file: one writing connection, reading ones, and what their errors mean.

Nothing here is shared between threads: the writer thread owns the `LogFile`, each reading thread its `LogView`.
An offset is never given twice: the file keeps, for each topic, a floor that pruning raises.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw
import orjson
import zstandard

from telemetry import failpoints
from telemetry.errors import LogFull, LogUnavailable, Misconfigured, SensorlineError
from telemetry.logs._records import RECORD_BYTES_MAX, size_bytes
from telemetry.ports import Entry, Record, Topic

SCHEMA_VERSION = 1
BUSY_WAIT_MS = 5_000
CACHE_KIB = 4_096
PACK_BYTES_MIN = 256  # below, a zstd frame's own bytes eat the gain
PRUNE_ROWS = 500  # a chunk is one job of the writer: appends do not wait for a whole prune
T = TypeVar("T")


class Broken(Exception):
    """The file can no longer be trusted to keep what it says it keeps."""


def connect(path: Path, vfs: str | None) -> apsw.Connection:
    """A connection, patient with the checkpoint of another."""
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.set_busy_timeout(BUSY_WAIT_MS)
    # The writer checkpoints while it trusts the disk; a connection that closes on a broken one must not.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


class LogFile:
    """The writing side.  Every method belongs inside `transact`, except those that say otherwise."""

    def __init__(self, path: Path, *, vfs: str | None, synchronous: str, size_bytes_max: int) -> None:
        """Open or make the file.  Raises `Misconfigured`, `LogFull` or `LogUnavailable`."""
        with _opening(path):
            self._db = connect(path, vfs)
            mode = [row[0] for row in self._db.execute("PRAGMA journal_mode = WAL")]
            if mode != ["wal"]:
                raise Misconfigured(f"{path} cannot be in WAL mode here ({mode}): choose another file system")
            self._db.execute(f"PRAGMA synchronous = {synchronous}")
            page_bytes = self._number("PRAGMA page_size")
            self._db.execute(f"PRAGMA max_page_count = {max(1, size_bytes_max // page_bytes)}")
            self._db.set_wal_hook(self._note_wal)  # replaces the automatic checkpoint, which swallows errors
        self.wal_pages = 0
        self._ends: dict[str, int] = {}
        self._packer = zstandard.ZstdCompressor(level=1, write_checksum=True)

    def make(self, topics: Sequence[Topic]) -> dict[str, int]:
        """Create the tables that are missing; the next offset of each topic.  Its own transaction."""
        with _opening(Path(self._db.filename)), self._db:
            if (version := self._number("PRAGMA user_version")) not in (0, SCHEMA_VERSION):
                raise Misconfigured(
                    f"{self._db.filename} has schema {version}, this program writes {SCHEMA_VERSION}: "
                    "run the version that made it, or move the file away"
                )
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS floors (topic TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;"
                "CREATE TABLE IF NOT EXISTS committed (topic TEXT, consumer TEXT, next INTEGER NOT NULL,"
                " PRIMARY KEY (topic, consumer)) WITHOUT ROWID"
            )
            for topic in topics:
                self._make_topic(topic)
        return dict(self._ends)

    def transact(self, jobs: Sequence[Callable[["LogFile"], Any]]) -> list[Any]:
        """Run all in one transaction; they are durable when this returns.

        Raises `LogFull` (nothing of it happened, more may be tried) or `Broken`.
        """
        ends = dict(self._ends)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            results = [job(self) for job in jobs]
            failpoints.passing("log.before_commit")
            self._db.execute("COMMIT")
            failpoints.passing("log.after_commit")
        except apsw.FullError as e:
            self._ends = ends
            self._roll_back()
            raise LogFull(f"no room left for {self._db.filename}: {e}", retry_after_s=5.0) from e
        except apsw.Error as e:
            raise Broken(f"{type(e).__name__}: {e}") from e
        return results

    def insert(self, topic: Topic, records: Sequence[Record], now_ns: int) -> int:
        """Append; the first record's offset, the others follow without a gap."""
        first = self._ends[topic.name]
        put = f'INSERT INTO "{_table(topic.name)}" VALUES (?, ?, ?, ?, ?, ?)'  # noqa: S608 - our own topic's name
        for offset, record in enumerate(records, first):
            if topic.compacted:
                self._db.execute(f'DELETE FROM "{_table(topic.name)}" WHERE key = ?', (record.key,))  # noqa: S608
            packed, value = self._pack(record.value)
            self._db.execute(put, (offset, now_ns, record.key, orjson.dumps(dict(record.headers)), packed, value))
        self._ends[topic.name] = first + len(records)
        return first

    def save(self, topic: str, group: str, next_offset: int) -> None:
        """Keep a group's offset."""
        self._db.execute("INSERT OR REPLACE INTO committed VALUES (?, ?, ?)", (topic, group, next_offset))

    def prune(
        self, topic: Topic, *, before_ns: int, after: int, groups: Collection[str] | None = None
    ) -> tuple[list[int], int | None]:
        """Drop what may go of the `PRUNE_ROWS` rows after offset `after`: the offsets, and where to go on.

        An ordinary topic's rows are in order of time, so a chunk without an old row is the last; a compacted
        topic loses only its tombstones.
        """
        table = _table(topic.name)
        if topic.compacted:
            which, bound = "value IS NULL", 2**63 - 1
        elif topic.archive:
            which, bound = "1", 2**63 - 1
        else:
            which, bound = "1", self._consumed(topic.name, groups)
        chunk = list(
            self._db.execute(
                f'SELECT offset, {which} AND appended_ns < ? FROM "{table}" WHERE offset > ? AND offset < ?'  # noqa: S608
                " ORDER BY offset LIMIT ?",
                (before_ns, after, bound, PRUNE_ROWS),
            )
        )
        gone = [int(offset) for offset, old in chunk if old]
        if gone:
            self._db.execute("INSERT OR REPLACE INTO floors VALUES (?, ?)", (topic.name, self._ends[topic.name]))
            self._db.executemany(f'DELETE FROM "{table}" WHERE offset = ?', [(at,) for at in gone])  # noqa: S608
        more = len(chunk) == PRUNE_ROWS and (gone or topic.compacted)
        return gone, int(chunk[-1][0]) if more else None

    def checkpoint(self, *, truncate: bool = False) -> None:
        """Move the WAL's pages into the file; not inside `transact`.  Raises `Broken`.

        Without room for it the pages stay in the WAL, where they are safe, and the next one tries again.
        """
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            self._db.wal_checkpoint(mode=mode)
        except (apsw.FullError, apsw.BusyError, apsw.LockedError):
            pass
        except apsw.Error as e:
            raise Broken(f"{type(e).__name__}: {e}") from e
        self.wal_pages = 0

    def close(self) -> None:
        """Let go of the file, whatever its state; not inside `transact`."""
        with contextlib.suppress(apsw.Error):  # what was acknowledged is on disk already
            self._db.close(True)

    def _make_topic(self, topic: Topic) -> None:
        table = _table(topic.name)
        self._db.execute(
            f'CREATE TABLE IF NOT EXISTS "{table}" (offset INTEGER PRIMARY KEY, appended_ns INTEGER NOT NULL,'
            " key TEXT NOT NULL, headers BLOB NOT NULL, packed INTEGER NOT NULL, value BLOB)"
        )
        if topic.compacted:
            self._db.execute(f'CREATE INDEX IF NOT EXISTS "{table}_key" ON "{table}" (key)')
        floor = self._number("SELECT coalesce(max(next), 0) FROM floors WHERE topic = ?", (topic.name,))
        above = self._number(f'SELECT coalesce(max(offset) + 1, 0) FROM "{table}"')  # noqa: S608
        self._ends[topic.name] = max(floor, above)

    def _pack(self, value: bytes | None) -> tuple[int, bytes | None]:
        if value is None or len(value) < PACK_BYTES_MIN:
            return 0, value
        packed = self._packer.compress(value)
        return (1, packed) if len(packed) < len(value) * 0.9 else (0, value)

    def _consumed(self, topic: str, groups: Collection[str] | None) -> int:
        """Up to where all of these have read; None: all that ever committed."""
        if groups is None:
            return self._number("SELECT coalesce(min(next), 0) FROM committed WHERE topic = ?", (topic,))
        sql = "SELECT coalesce(max(next), 0) FROM committed WHERE topic = ? AND consumer = ?"
        return min((self._number(sql, (topic, group)) for group in groups), default=self._ends[topic])

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except apsw.Error as e:
            raise Broken(f"ROLLBACK: {type(e).__name__}: {e}") from e

    def _note_wal(self, _db: apsw.Connection, _schema: str, pages: int) -> int:
        self.wal_pages = pages
        return apsw.SQLITE_OK

    def _number(self, sql: str, bindings: Sequence[Any] = ()) -> int:
        for (number,) in self._db.execute(sql, tuple(bindings)):
            return int(number)
        raise LogUnavailable(f"no answer to {sql!r}")


class LogView:
    """The reading side; sees what is committed."""

    def __init__(self, path: Path, *, vfs: str | None) -> None:
        with _reading(path.name):
            self._db = connect(path, vfs)
            self._db.execute("PRAGMA query_only = 1")
        self._unpacker = zstandard.ZstdDecompressor()

    def read(self, topic: str, offset: int, *, records_max: int, bytes_max: int) -> list[Entry]:
        """Entries from `offset` on, within both limits but at least one.  Raises `LogUnavailable`."""
        taken: list[Entry] = []
        rows = self._db.cursor()
        with _reading(topic), contextlib.closing(rows):  # an open cursor would hold back every checkpoint
            rows.execute(
                f'SELECT offset, appended_ns, key, headers, packed, value FROM "{_table(topic)}"'  # noqa: S608
                " WHERE offset >= ? ORDER BY offset LIMIT ?",
                (offset, max(1, records_max)),
            )
            for at, appended_ns, key, headers, packed, stored in rows:
                value = self._unpack(stored) if packed else stored
                texts: Mapping[str, str] = orjson.loads(headers)
                bytes_max -= size_bytes(key, value, texts)
                if taken and bytes_max < 0:
                    break
                taken.append(Entry(topic, 0, at, key, value, texts, appended_ns))
        return taken

    def begin(self, topic: str) -> int | None:
        """The oldest offset kept."""
        with _reading(topic):
            for (offset,) in self._db.execute(f'SELECT min(offset) FROM "{_table(topic)}"'):  # noqa: S608
                return None if offset is None else int(offset)
        return None

    def committed(self, topic: str, group: str) -> int | None:
        """A group's next offset."""
        with _reading(topic):
            sql = "SELECT next FROM committed WHERE topic = ? AND consumer = ?"
            for (offset,) in self._db.execute(sql, (topic, group)):
                return int(offset)
        return None

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(apsw.Error):  # nothing is lost with a reading connection
            self._db.close(True)

    def _unpack(self, packed: bytes) -> bytes:
        return bytes(self._unpacker.decompress(packed, max_output_size=RECORD_BYTES_MAX))


def _table(topic: str) -> str:
    return "topic_" + topic.replace('"', '""')


@contextlib.contextmanager
def _opening(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.FullError as e:
        raise LogFull(f"no room left for {path}: {e}", retry_after_s=5.0) from e
    except (apsw.NotADBError, apsw.CorruptError) as e:
        raise Misconfigured(f"{path} is not an intact SQLite database ({e}): restore a backup, or move it away") from e
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as e:
        raise Misconfigured(f"{path} cannot be opened for writing ({e}): check its folder's owner and mode") from e
    except apsw.Error as e:
        raise LogUnavailable(f"{path}: {type(e).__name__}: {e}", retry_after_s=5.0) from e


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except SensorlineError:
        raise
    except (apsw.Error, zstandard.ZstdError, orjson.JSONDecodeError) as e:
        raise LogUnavailable(f"the log cannot read {what}: {type(e).__name__}: {e}", retry_after_s=5.0) from e
