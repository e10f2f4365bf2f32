"""An anomaly: one record that opens at once and is updated under the same id until it closes.

It travels on the `anomalies` topic (key = device) and is kept by the store.  `version` rises with each update and
the store keeps the highest, so a repeated or a zombie's write changes nothing.  Everything in it follows from the
log's records alone: read again, the same records give the same bytes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

from telemetry.batch import TIME_NS_MAX
from telemetry.errors import Malformed

Ns: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=TIME_NS_MAX)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Severity(StrEnum):
    """How much it matters, from what it is and how far it went."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Evidence(msgspec.Struct, frozen=True):
    """A feature that carried it: the value seen and the stream's usual range, in `unit`, and the same in words."""

    feature: str
    unit: str
    seen: float
    low: float
    high: float
    words: str


class Samples(msgspec.Struct, frozen=True):
    """Raw rows around it: device times, UTC nanoseconds, and a column a field (null = absent)."""

    t: tuple[int, ...] = ()
    values: dict[str, tuple[float | None, ...]] = {}
    is_truncated: bool = False  # more rows than are kept fell into the span


class Anomaly(msgspec.Struct, frozen=True):
    """Times are device times, UTC nanoseconds.  `stream` is the sensor, or "motion" where several make one stream."""

    id: str
    version: Count
    device: str
    session: str
    stream: str
    kind: str
    severity: Severity
    start_ns: Ns
    end_ns: Ns  # as far as is known
    is_open: bool
    score: float  # the peak, in units of the alarm's threshold
    peak_ns: Ns
    words: str
    evidence: tuple[Evidence, ...]
    detector: str
    model: int
    is_live: bool  # False: found in a backlog or after the fact; it raises no alert
    received_ns: Ns  # when the gateway had the batch that opened it
    updated_ns: Ns  # when the gateway had the batch of this update
    partition: Count  # where that batch is in the log
    offset: Count
    samples: Samples = Samples()


@dataclass(frozen=True, slots=True)
class Asked:
    """Which anomalies: those that touch [from_ns, to_ns) and are of all the given properties (None = any).

    `after` is the (start_ns, id) of the last one of the page before: only what comes behind it in the order.
    """

    device: str | None = None
    from_ns: int = 0
    to_ns: int = 2**63 - 1
    kind: str | None = None
    severity: Severity | None = None
    is_open: bool | None = None
    limit: int = 1000
    after: tuple[int, str] | None = None


_DECODER = msgspec.json.Decoder(Anomaly)


def anomaly_id(device: str, session: str, stream: str, kind: str, start_ns: int) -> str:
    """32 hex digits that are the same whoever finds it, however often."""
    identity = "\0".join((device, session, stream, kind, str(start_ns)))
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def encode(anomaly: Anomaly) -> bytes:
    """As JSON."""
    return msgspec.json.encode(anomaly)


def decode(body: bytes) -> Anomaly:
    """Read back; raises `Malformed`."""
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"this is no anomaly: {e}") from e


def newest(anomalies: Sequence[Anomaly]) -> list[Anomaly]:
    """The highest version of each, in the order in which they first stand."""
    kept: dict[str, Anomaly] = {}
    for anomaly in anomalies:
        if anomaly.id not in kept or kept[anomaly.id].version < anomaly.version:
            kept[anomaly.id] = anomaly
    return list(kept.values())
