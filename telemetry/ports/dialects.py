"""PORT dialects: one message's bytes become batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from telemetry.batch import Batch
from telemetry.outcome import Reason


@dataclass(frozen=True, slots=True)
class Sender:
    """What the gateway knows of who sent the bytes: the token's device and how its phone measures.

    `platform` is "android", "ios" or "" (not known); `standardised` is the app's "standardise units & frames".
    `received_ns` is when the gateway had the bytes; None where they did not just come (a replay of a file).
    """

    device: str
    platform: str = ""
    standardised: bool = False
    received_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message in our terms: every reading of it is in a batch or counted in `rejected`."""

    batches: tuple[Batch, ...]
    rejected: Mapping[Reason, int] = field(default_factory=dict)
    converted: tuple[str, ...] = ()  # conversions that were made, e.g. "acceleration: ios frame -> android"
    unknown: Mapping[str, int] = field(default_factory=dict)  # readings by "sensor" or "sensor.field" that we lack
    hints: tuple[str, ...] = ()  # what speaks for a platform, e.g. "android: light"; nothing was converted by them
    source_id: str | None = None  # the sender's own device id, to be pinned to the token
    is_test: bool = False  # a push that wants an answer and stores nothing


class Dialect(Protocol):
    """A module that turns one message's bytes into batches.  Pure: no clock, no socket, no state."""

    def parse(self, body: bytes, sender: Sender, *, readings_max: int) -> Parsed:
        """Raises `Malformed`, `Invalid`, `TooLarge`, `Forbidden` (another device) or `Unsupported` (a form of the
        protocol that is not spoken here); nothing else."""
        ...
