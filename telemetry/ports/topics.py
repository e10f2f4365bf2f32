"""The log's named topics."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """A named topic; compacted ones keep the last record of each key, and a record without value deletes it.

    An archive is kept for people to look at: no consumer has to have read what its retention drops.
    """

    name: str
    compacted: bool = False
    single_partition: bool = False
    archive: bool = False


BATCHES = Topic("batches")
ANOMALIES = Topic("anomalies")
DEADLETTERS = Topic("deadletters", archive=True)
AUDIT = Topic("audit", single_partition=True, archive=True)
DEVICES = Topic("devices", compacted=True, single_partition=True)
CHECKPOINTS = Topic("checkpoints", compacted=True)
LABELS = Topic("labels", compacted=True)
MODELS = Topic("models", compacted=True)
TOPICS: tuple[Topic, ...] = (BATCHES, ANOMALIES, DEADLETTERS, AUDIT, DEVICES, CHECKPOINTS, LABELS, MODELS)
