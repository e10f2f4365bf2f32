"""The ports: what a dialect, a log and a store promise, and the values that cross them.

An adapter is a module in the port's folder; its name is its config key.  It offers `Config`, a pydantic model,
and `open(config, ...)`; `telemetry.adapters` lists and imports them.  A port's promises are tests in
`tests/ports/`, run over every adapter.
"""

from telemetry.ports.dialects import Dialect, Parsed, Sender
from telemetry.ports.logs import Entry, Log, Position, Reader, Record
from telemetry.ports.stores import Claim, Counts, Detail, DeviceSeen, Item, Latest, Session, Span, Store, Written
from telemetry.ports.topics import (
    ANOMALIES,
    AUDIT,
    BATCHES,
    CHECKPOINTS,
    DEADLETTERS,
    DEVICES,
    LABELS,
    MODELS,
    TOPICS,
    Topic,
)

__all__ = [
    "ANOMALIES",
    "AUDIT",
    "BATCHES",
    "CHECKPOINTS",
    "DEADLETTERS",
    "DEVICES",
    "LABELS",
    "MODELS",
    "TOPICS",
    "Claim",
    "Counts",
    "Detail",
    "DeviceSeen",
    "Dialect",
    "Entry",
    "Item",
    "Latest",
    "Log",
    "Parsed",
    "Position",
    "Reader",
    "Record",
    "Sender",
    "Session",
    "Span",
    "Store",
    "Topic",
    "Written",
]
