"""The edge's journal in the simulator's ledger format, so that `sensorline verify` can prove an edge.

A line is on disk before its batch is committed to the spool; how a batch ended is written when it is known and synced
with the next hand-over.  At a start the two are reconciled: what the last hand-over before a crash wrote down and is
not in the spool was never committed, so it was never sent either.  Whatever else is missing there is called lost.
"""

import logging
import os
from collections.abc import Callable, Sequence, Set
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
SPOOL_LOST = "spool_lost"  # the file is gone, or the batch was in it when an earlier run ended

# What may have been written of a batch that is in the spool all the same: nothing; the word of a transaction that then
# failed; a refusal that somebody took back.  What was acknowledged stays so.
NOT_THERE = (None, End.DROPPED, End.SET_ASIDE)


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
        at = os.fstat(self._fd).st_size  # the same for all of one transaction
        for id_, content_hash, readings in batches:
            if id_.seq <= self._tops.get(id_.session, -1):  # the commit before failed, and its seqs are given again
                lines.append(_line(id_, {"end": End.DROPPED, "reason": NOT_COMMITTED}))
            self._tops[id_.session] = max(id_.seq, self._tops.get(id_.session, -1))
            lines.append(_line(id_, {"hash": content_hash, "readings": readings, "at": at}))
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
        last = self._last_hand_over()

        def why(batch: Handed) -> str:
            if batch.end is End.UNSENT or not look.is_there(folder):
                return SPOOL_LOST
            return NOT_COMMITTED if batch.id in last else NOT_IN_SPOOL

        self._end_absent(spooled, why)

    def leave(self, folder: Path) -> None:
        """Write down what is still in the spool; a later run says how it ended."""
        spooled = look.ids(folder)
        self._end_absent(spooled, lambda batch: NOT_IN_SPOOL if batch.end is None else SPOOL_LOST)
        for batch in ledger.read(self._path).values():
            if batch.id in spooled and batch.end in NOT_THERE:
                self.ended(batch.id, End.UNSENT)

    def close(self) -> None:
        """All on disk."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.fsync(fd)
            os.close(fd)

    def _end_absent(self, spooled: Set[BatchId], why: Callable[[Handed], str]) -> None:
        for batch in self._open_batches():
            if batch.id not in spooled:
                self.ended(batch.id, End.DROPPED, why(batch))

    def _last_hand_over(self) -> frozenset[BatchId]:
        """Of one transaction; those before it were committed, or the agent would have handed them over again."""
        lines = [orjson.loads(line) for line in self._path.read_bytes().splitlines() if b'"at":' in line]
        at = lines[-1]["at"] if lines else None
        return frozenset(BatchId(x["device"], x["session"], x["seq"]) for x in lines if x["at"] == at)

    def _open_batches(self) -> list[Handed]:
        return [b for b in ledger.read(self._path).values() if b.end in (None, End.UNSENT)]


def _line(id_: BatchId, what: dict[str, Any]) -> bytes:
    return orjson.dumps(id_._asdict() | what, option=orjson.OPT_APPEND_NEWLINE)
