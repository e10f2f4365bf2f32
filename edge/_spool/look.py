"""A look at the spool's file from outside, read-only: for when no agent runs, and for proofs."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from edge._spool import fullness
from edge._spool.file import load
from edge._spool.keeper import FILE
from edge._spool.schema import BATCH
from edge._spool.words import SEQ_MASK, State, Torn
from edge.spooled import Depth
from telemetry.batch import BatchId
from telemetry.errors import NotReady

BUSY_WAIT_MS = 2_000


def depth(folder: Path) -> Depth:
    """How full; an empty one where there is no spool yet.  Raises `NotReady` for a file that cannot be read."""
    with _opened(folder) as db:
        if db is None:
            return Depth()
        state = _state(db, folder)
    return fullness.of_file(state)


def is_there(folder: Path) -> bool:
    """Whether there is a file at all."""
    return (folder / FILE).exists()


def ids(folder: Path) -> frozenset[BatchId]:
    """Of every batch committed there; a tombstone is none.  Raises `NotReady` for a file that cannot be read."""
    with _opened(folder) as db:
        if db is None:
            return frozenset()
        state = _state(db, folder)
        places = [int(str(place)) for (place,) in db.execute("SELECT place FROM batches WHERE kind = ?", (BATCH,))]
    owners = [(state.of_place(place), place) for place in places]
    return frozenset(BatchId(s.device, s.name, place & SEQ_MASK) for s, place in owners if s is not None)


def _state(db: apsw.Connection, folder: Path) -> State:
    try:
        return load(db)
    except Torn as e:
        raise NotReady(f"the spool in {folder} cannot be read: {e}") from e


@contextmanager
def _opened(folder: Path) -> Iterator[apsw.Connection | None]:
    if not is_there(folder):
        yield None
        return
    try:
        with closing(apsw.Connection(str(folder / FILE), flags=apsw.SQLITE_OPEN_READONLY)) as db:
            db.set_busy_timeout(BUSY_WAIT_MS)
            yield db
    except apsw.Error as e:
        raise NotReady(f"the spool in {folder} cannot be read: {e}") from e
