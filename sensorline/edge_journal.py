"""The edge's journal in the simulator's ledger format, so that `sensorline verify` can prove an edge.

A line is on disk before its batch is committed to the spool; how a batch ended is written when it is known and synced
with the next hand-over.  At a start the two are reconciled: what was written down and is neither in the spool nor
ended was never committed, so it was never sent either.
"""

import logging
import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import orjson

from edge._spool import look
from simulator import ledger
from simulator.ledger import End, Handed
from telemetry.batch import BatchId
from telemetry.errors import Misconfigured, NotReady

logger = logging.getLogger(__name__)

NOT_COMMITTED = "crash_before_commit"
NOT_IN_SPOOL = "not_in_spool"  # a file that was torn or deleted while the agent ran
SPOOL_LOST = "spool_lost"  # it was there when an earlier run ended


class LedgerJournal:
    """Appends to one file; see `edge.journal.Journal`."""

    def __init__(self, path: Path) -> None:
        """A torn last line of an earlier run is cut off.  Raises `Misconfigured` when it cannot be written."""
        try:
            self._fd = ledger.open_for_append(path)
        except OSError as e:
            raise Misconfigured(f"{path} cannot be written ({e.strerror}): choose another --ledger") from e
        self._path = path
        self._tops: dict[str, int] = {}  # the highest seq handed over, by session

    def handed_over(self, batches: Sequence[tuple[BatchId, str, int]]) -> None:
        """On disk when it returns; raises `OSError`."""
        lines: list[bytes] = []
        for id_, content_hash, readings in batches:
            if id_.seq <= self._tops.get(id_.session, -1):  # the commit before failed, and its seqs are given again
                lines.append(_line(id_, {"end": End.DROPPED, "reason": NOT_COMMITTED}))
            self._tops[id_.session] = max(id_.seq, self._tops.get(id_.session, -1))
            lines.append(_line(id_, {"hash": content_hash, "readings": readings}))
        ledger.write_through(self._fd, b"".join(lines))

    def ended(self, id_: BatchId, end: str, reason: str = "") -> None:
        """Written at once, synced with the next hand-over."""
        os.write(self._fd, _line(id_, {"end": str(End(end)), "reason": reason}))

    def begin(self, folder: Path) -> None:
        """End what a crash kept from the spool in `folder`: it was never committed, so it was never sent either."""
        try:
            spooled = look.ids(folder)
        except NotReady as e:
            logger.warning("%s: what is in there is left without an end for now", e.message)
            return
        self._end_absent(spooled, {None: NOT_COMMITTED, End.UNSENT: SPOOL_LOST})

    def leave(self, folder: Path) -> None:
        """Write down what is still in the spool; a later run says how it ended."""
        spooled = look.ids(folder)
        self._end_absent(spooled, {None: NOT_IN_SPOOL, End.UNSENT: SPOOL_LOST})
        for batch in self._open_batches():
            if batch.end is None:
                self.ended(batch.id, End.UNSENT)

    def close(self) -> None:
        """All on disk."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.fsync(fd)
            os.close(fd)

    def _end_absent(self, spooled: Set[BatchId], reasons: Mapping[End | None, str]) -> None:
        for batch in self._open_batches():
            if batch.id not in spooled:
                self.ended(batch.id, End.DROPPED, reasons[batch.end])

    def _open_batches(self) -> list[Handed]:
        return [b for b in ledger.read(self._path).values() if b.end in (None, End.UNSENT)]


def _line(id_: BatchId, what: dict[str, Any]) -> bytes:
    return orjson.dumps(id_._asdict() | what, option=orjson.OPT_APPEND_NEWLINE)
