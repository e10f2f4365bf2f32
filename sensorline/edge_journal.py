"""The edge's journal in the simulator's ledger format, so that `sensorline verify` can prove an edge.

A line is on disk before its batch is committed to the spool; how a batch ended is written when it is known and synced
with the next hand-over.  At a start the two are reconciled: what was written down and is neither in the spool nor
ended was never committed, so it was never sent either.
"""

import os
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import orjson

from simulator import ledger
from simulator.ledger import End, Handed
from telemetry.batch import BatchId
from telemetry.errors import Misconfigured

NOT_COMMITTED = "crash_before_commit"
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

    def reconcile(self, spooled: Set[BatchId]) -> dict[str, int]:
        """Give an end to what is not in the spool and has none; how many batches, by reason.

        At a start and at an end, with everything that is in the spool.
        """
        reasons = {None: NOT_COMMITTED, End.UNSENT: SPOOL_LOST}
        lost = [(b.id, reasons[b.end]) for b in self._open_batches() if b.id not in spooled]
        for id_, reason in lost:
            self.ended(id_, End.DROPPED, reason)
        return dict(Counter(reason for _, reason in lost))

    def leave(self, spooled: Set[BatchId]) -> None:
        """Write down what is still in the spool; a later run says how it ended."""
        self.reconcile(spooled)
        for batch in self._open_batches():
            if batch.end is None:
                self.ended(batch.id, End.UNSENT)

    def close(self) -> None:
        """All on disk."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.fsync(fd)
            os.close(fd)

    def _open_batches(self) -> list[Handed]:
        return [b for b in ledger.read(self._path).values() if b.end in (None, End.UNSENT)]


def _line(id_: BatchId, what: dict[str, Any]) -> bytes:
    return orjson.dumps(id_._asdict() | what, option=orjson.OPT_APPEND_NEWLINE)
