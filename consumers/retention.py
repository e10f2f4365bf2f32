"""Retention: the log's by time, once every group has read it; the store's by whole days of event time."""

import logging
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TypeAlias

from telemetry import metrics
from telemetry.clock import Clock
from telemetry.errors import Retryable
from telemetry.ports import ANOMALIES, AUDIT, BATCHES, CHECKPOINTS, DEADLETTERS, Log, Store
from telemetry.settings import Retention

logger = logging.getLogger(__name__)

HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * HOUR_NS
Readers: TypeAlias = Mapping[str, Collection[str]]
NOBODY_NAMED: Readers = MappingProxyType({})
ALARM_SHARE = 0.5  # of the log's retention: a consumer this far behind is in danger of the log's end


async def prune_once(
    log: Log, store: Store, settings: Retention, clock: Clock, readers: Readers = NOBODY_NAMED
) -> tuple[int, int]:
    """Drop what is past its time; returns (records, rows) dropped.  Raises `Retryable`.

    `readers` are the groups that must have read what goes, by topic: those that are switched on.
    """
    now_ns = clock.now_ns()
    records = 0
    for topic in (BATCHES, ANOMALIES, CHECKPOINTS, DEADLETTERS, AUDIT):
        hours = settings.log_hours if topic is BATCHES else settings.store_days * 24
        before_ns = now_ns - round(hours * HOUR_NS)
        records += await log.prune(topic, before_ns=before_ns, groups=readers.get(topic.name))
    rows = await store.prune(before_ns=now_ns - settings.store_days * DAY_NS)
    return records, rows


async def run(log: Log, store: Store, settings: Retention, clock: Clock, readers: Readers = NOBODY_NAMED) -> None:
    """Prune for ever, every `check_s`; a failure is tried again the next time."""
    while True:
        try:
            records, rows = await prune_once(log, store, settings, clock, readers)
        except Retryable as e:
            logger.warning("retention: %s", e.message)
        else:
            if records or rows:
                logger.info("retention: dropped %d records of the log and %d rows of the store", records, rows)
        await clock.sleep(settings.check_s)


def watch(consumer: str, behind_s: float, settings: Retention) -> bool:
    """Raise or lower the alarm that a lagging consumer nears the log's end; returns whether it is raised."""
    raised = behind_s > ALARM_SHARE * settings.log_hours * 3_600
    metrics.retention_alarm.labels(consumer).set(raised)
    if raised:
        logger.error("%s: ALARM %.0f s behind; the log keeps %.1f h", consumer, behind_s, settings.log_hours)
    return raised
