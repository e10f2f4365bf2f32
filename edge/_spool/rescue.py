"""A spool file that is torn or gone: what can be read of it goes into a new one, and the old one gets another name.

The new file is made beside the old one and renamed when it is complete: a crash in between starts over.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from edge._spool import aside, drafts
from edge._spool.file import SpoolFile, load
from edge._spool.schema import BATCH, COLUMNS, Row
from edge._spool.transaction import Transaction
from edge._spool.words import ORDINAL_SHIFT, SEQ_MASK, Faulty, Full, Session, State, Torn, count, prefix
from telemetry import wire
from telemetry.batch import BatchId
from telemetry.durable import sync_folder
from telemetry.errors import Malformed

MISSES_MAX = 20_000  # looks at places on unreadable pages, in all
STEP_MISSES = 256  # the longer the stretch, the longer the steps: a little is lost behind it
ROWS_A_TRANSACTION = 100
TORN_FILES_MAX = 3  # kept for a person
LOST = "torn"
ENDINGS = ("", "-wal", "-shm")


@dataclass(slots=True)
class Found:
    """What was carried."""

    batches: int = 0
    readings: int = 0
    drafts: int = 0
    aside: int = 0
    expected: int | None = None

    def __str__(self) -> str:
        of = "" if self.expected is None else f" of {self.expected}"
        return f"{self.batches}{of} batches, {self.drafts} drafts and {self.aside} refused ones were carried over"


def replace(path: Path, old: SpoolFile | None, make: Callable[[Path], SpoolFile]) -> str:
    """Put a new file at `path` and say in words what it holds.  Raises `Faulty` or `Full`; then nothing changed."""
    beside = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _remove(beside)
        found = _carry(path, old, beside, make)
        name = _set_aside(path) if path.exists() else "nothing is left of it"
        _remove(path)  # what is left of it: a WAL without its file would be read as the new file's
        beside.rename(path)
        sync_folder(path.parent)
    except OSError as e:
        raise Faulty(f"{type(e).__name__}: {e}") from e
    except Torn as e:  # the new one, at once: the disk itself is broken
        raise Faulty(str(e)) from e
    if old is not None:
        old.close(checkpoint=False)
    return f"{found}; {name}"


def finish(path: Path) -> None:
    """Complete what a crash interrupted: a new file without an old one is whole, with one it may not be."""
    beside = path.with_suffix(".new")
    if beside.exists() and not path.exists():
        _remove(path)
        beside.rename(path)
        sync_folder(path.parent)
    else:
        _remove(beside)


def _carry(path: Path, old: SpoolFile | None, beside: Path, make: Callable[[Path], SpoolFile]) -> Found:
    new = make(beside)
    try:
        found = Found()
        source = _source(path, old)
        if source is not None:
            try:
                _copy(source, old.state if old else _known(source), new, found)
            finally:
                if old is None:
                    source.close(True)
    finally:
        new.close()
    return found


def _source(path: Path, old: SpoolFile | None) -> apsw.Connection | None:
    if old is not None:
        return old.db
    with contextlib.suppress(apsw.Error):
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        return db
    return None


def _known(db: apsw.Connection) -> State | None:
    try:
        return load(db)
    except (apsw.Error, Torn, Full, Faulty):
        return None


def _copy(source: apsw.Connection, known: State | None, new: SpoolFile, found: Found) -> None:
    budget = iter(range(MISSES_MAX))
    new.transact(lambda t: _copy_notes(source, known, t))
    _in_chunks(new, _places(source, known, budget), lambda t, row: _copy_batch(t, row, known, found))
    _in_chunks(
        new,
        readable(source, f"SELECT {COLUMNS} FROM drafts WHERE place >= ? ORDER BY place LIMIT 1", budget),  # noqa: S608
        lambda t, row: _copy_draft(t, row, found),
    )
    _in_chunks(
        new,
        readable(source, "SELECT * FROM aside WHERE n >= ? ORDER BY n LIMIT 1", budget),
        lambda t, row: _copy_aside(t, row, found),
    )
    if known is not None:
        found.expected = sum(s.batches for s in known.sessions.values())
        lost = sum(s.readings for s in known.sessions.values()) + known.draft_readings - found.readings
        if lost > 0:
            new.transact(lambda t: count(t.state.dropped, LOST, lost))


def _copy_notes(source: apsw.Connection, known: State | None, t: Transaction) -> None:
    """Counts, and cursors: whose readings were carried or are counted as lost."""
    if known is not None:
        for name in ("dropped", "aside", "taken_by", "taken", "last_ordinal", "cursors"):
            setattr(t.state, name, getattr(known, name))
        t.state.aside = {}  # counted again as they are carried
        return
    with contextlib.suppress(apsw.Error, TypeError, ValueError):
        t.state.cursors = {str(k): str(v) for k, v in source.execute("SELECT source, cursor FROM cursors")}


def _places(source: apsw.Connection, known: State | None, budget: Iterator[int]) -> Iterator[tuple[Any, ...]]:
    """All readable rows of `batches`; behind an unreadable stretch, each known session is looked at again."""
    sql = f"SELECT {COLUMNS}, keep FROM batches WHERE place >= ? ORDER BY place LIMIT 1"  # noqa: S608
    at = -1
    for start in [0, *sorted(s.places[0] for s in (known.sessions.values() if known else ()))]:
        for row in readable(source, sql, budget, max(start, at + 1)):
            at = row[0]
            yield row


def readable(db: apsw.Connection, sql: str, budget: Iterator[int], start: int = 0) -> Iterator[tuple[Any, ...]]:
    """Rows in the order of their first column, from `start` on; those on unreadable pages are stepped over, with as
    many tries as the budget has."""
    at, misses = start, 0
    while True:
        try:
            rows = db.execute(sql, (at,)).fetchall()
        except (apsw.NotADBError, apsw.SQLError):  # it is no database, or has no such table
            return
        except (apsw.Error, UnicodeDecodeError):
            if next(budget, None) is None:
                return
            at, misses = at + 1 + misses // STEP_MISSES, misses + 1
            continue
        if not rows or not isinstance(rows[0][0], int) or rows[0][0] < at:
            return
        yield rows[0]
        at, misses = rows[0][0] + 1, 0


def _in_chunks(
    new: SpoolFile, rows: Iterator[tuple[Any, ...]], copy: Callable[[Transaction, tuple[Any, ...]], None]
) -> None:
    while chunk := list(itertools.islice(rows, ROWS_A_TRANSACTION)):
        new.transact(partial(_copy_all, chunk, copy))
        new.checkpoint_when_due()


def _copy_all(
    chunk: list[tuple[Any, ...]], copy: Callable[[Transaction, tuple[Any, ...]], None], t: Transaction
) -> None:
    for row in chunk:
        with contextlib.suppress(TypeError, ValueError, apsw.ConstraintError):  # what it says cannot be
            copy(t, row)


def _copy_batch(t: Transaction, values: tuple[Any, ...], known: State | None, found: Found) -> None:
    row = Row(*values[:-1])
    body = t.packer.unpack(row)
    if body is None or not _is_session_known(t, row.place >> ORDINAL_SHIFT, known, body):
        return
    session = t.state.sessions[row.place >> ORDINAL_SHIFT]
    if not body.startswith(prefix(BatchId(session.device, session.name, row.place & SEQ_MASK))):
        return
    t.insert(row, keep=bool(values[-1]))
    found.batches += 1
    found.readings += row.readings if row.kind == BATCH else 0


def _is_session_known(t: Transaction, ordinal: int, known: State | None, body: bytes) -> bool:
    """A session's row may be lost or wrong: its batches say whose they are."""
    if ordinal not in t.state.sessions:
        try:
            batch = wire.decode_own(body)
        except Malformed:
            return False
        next_seq = known.sessions[ordinal].next_seq if known and ordinal in known.sessions else 0
        t.state.sessions[ordinal] = Session(ordinal, batch.device, batch.session, next_seq)
        t.state.last_ordinal = max(t.state.last_ordinal, ordinal)
    return True


def _copy_draft(t: Transaction, values: tuple[Any, ...], found: Found) -> None:
    row = Row(*values)
    if t.packer.unpack(row) is not None:
        drafts.add(t, row)
        found.drafts += 1
        found.readings += row.readings if row.kind == BATCH else 0


def _copy_aside(t: Transaction, values: tuple[Any, ...], found: Found) -> None:
    row, (device, session, reason, aside_ns) = Row(*values[1:-4]), values[-4:]
    if t.packer.unpack(row) is not None:
        aside.add(t, row, BatchId(str(device), str(session), row.place & SEQ_MASK), str(reason), int(aside_ns))
        t.state.last_ordinal = max(t.state.last_ordinal, row.place >> ORDINAL_SHIFT)
        found.aside += 1


def _set_aside(path: Path) -> str:
    """Another name for the old file; of several such the oldest go."""
    kept = sorted(path.parent.glob(f"{path.stem}.torn-*[0-9]"), key=_number)
    name = path.with_name(f"{path.stem}.torn-{_number(kept[-1]) + 1 if kept else 1}")
    for ending in ENDINGS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{ending}").rename(f"{name}{ending}")
    for old in kept[: max(0, len(kept) + 1 - TORN_FILES_MAX)]:
        _remove(old)
    return f"the old file is {name.name}"


def _number(torn: Path) -> int:
    return int(torn.name.rpartition("-")[2])


def _remove(path: Path) -> None:
    for ending in ENDINGS:
        Path(f"{path}{ending}").unlink(missing_ok=True)
