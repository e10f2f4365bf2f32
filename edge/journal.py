"""PORT: journal.  A witness of what the spool took and how each batch ended; for proofs, not for working."""

from collections.abc import Sequence
from typing import Protocol

from telemetry.batch import BatchId


class Journal(Protocol):
    """Told of every batch, in this order; each call returns at once or when the words are on disk."""

    def handed_over(self, batches: Sequence[tuple[BatchId, str, int]]) -> None:
        """(id, content hash, readings) of batches about to be committed to the spool.

        On disk when it returns; raises `OSError`.
        """
        ...

    def ended(self, id_: BatchId, end: str, reason: str = "") -> None:
        """`end` is "acknowledged", "set_aside", or "dropped" (with its policy as the reason)."""
        ...


class NoJournal:
    """Keeps nothing."""

    def handed_over(self, batches: Sequence[tuple[BatchId, str, int]]) -> None:
        """Nothing."""

    def ended(self, id_: BatchId, end: str, reason: str = "") -> None:
        """Nothing."""
