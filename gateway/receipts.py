"""What a sender is told of a message, over any listener."""

from typing import Any

from telemetry.batch import Receipt
from telemetry.outcome import ReceiptStatus


def stored(receipt: Receipt | None) -> dict[str, Any]:
    """The document of a message that is durable in the log; None: a test push, which stores nothing."""
    if receipt is None:
        return {"status": "ok", "stored": 0}
    return {
        "status": ReceiptStatus.STORED,
        "device": receipt.device,
        "session": receipt.session,
        "seq": receipt.seq,
        "readings": receipt.readings,
        "rejected": receipt.rejected,
        "duplicate": receipt.duplicate,
    }
