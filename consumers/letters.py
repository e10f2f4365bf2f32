"""What a consumer does with a record that can never succeed: count it, say it, and make the letter that keeps it."""

import logging

from telemetry import metrics
from telemetry.deadletters import dead_letter
from telemetry.outcome import Reason
from telemetry.ports import Entry, Record

logger = logging.getLogger(__name__)


def letter(entry: Entry, reason: Reason, detail: str, at_ns: int) -> Record:
    """The record for the topic `deadletters`; who makes it must append it before it commits."""
    metrics.dead_letters.labels(reason).inc()
    logger.error("dead letter %s/%d@%d (%s): %s", entry.topic, entry.partition, entry.offset, reason, detail)
    return dead_letter(entry, reason, detail, at_ns)
