"""Is this answer's body the gateway's word that it stored this very batch?  Pure.

A 2xx alone is none: a hotel's login page answers 200 to everything.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from edge.transports import Answer
from telemetry.batch import BatchId
from telemetry.outcome import ReceiptStatus


@dataclass(frozen=True, slots=True)
class Receipted:
    """What a receipt says beyond "stored"; `settings` is what the gateway hands down, unchecked."""

    readings: int
    duplicate: bool
    settings: dict[str, Any] | None


def receipt_of(body: bytes, id_: BatchId) -> Receipted | None:
    """The receipt, or None when the body is none of this batch."""
    try:
        said = orjson.loads(body)
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("status") != ReceiptStatus.STORED:
        return None
    if (said.get("device"), said.get("session"), said.get("seq")) != id_ or isinstance(said.get("seq"), bool):
        return None
    readings, settings = said.get("readings"), said.get("settings")
    return Receipted(
        readings if isinstance(readings, int) else 0,
        said.get("duplicate") is True,
        settings if isinstance(settings, dict) else None,
    )


def believed(answer: Answer, id_: BatchId) -> tuple[Answer, Receipted | None]:
    """The answer with its receipt; a 2xx without one is silence."""
    if answer.status is None or not 200 <= answer.status <= 299:
        return answer, None
    receipt = receipt_of(answer.body, id_)
    if receipt is None:
        return Answer(None, detail=f"answered {answer.status} without a receipt: a captive portal?"), None
    return answer, receipt
