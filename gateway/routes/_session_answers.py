"""What is answered about a session: what came of it, the clock that stamped it, and the batches that were accepted."""

from typing import Annotated, Any

from pydantic import Field

from gateway.answers import Answer
from telemetry.ports import Claim, Session
from telemetry.session_clock import AHEAD_NS, BEHIND_NS, Basis, SessionClock

Ns = Annotated[int, Field(description="UTC nanoseconds.")]
Count = Annotated[int, Field(ge=0)]


class ClockListed(Answer):
    """The clock that stamped a session's readings; nothing is refused for it, and no time is changed."""

    offset_s: float | None = Field(
        description="To be added to the session's times, at most: the least of receive time minus `basis`. Null where "
        "nobody said when it sent and nothing lies in the future: a batch that comes late may just be late."
    )
    basis: Basis | None = Field(
        description="`sent`: when the sender says it sent, so the clock's error and the quickest batch's way. "
        "`newest`: its newest reading's time, which lies in the future, so the clock is ahead by as much or more."
    )
    latest_offset_s: float | None = Field(
        description="The same of the last ten minutes of which anything came: unlike `offset_s` where the clock "
        "drifts or has stepped."
    )
    synchronised: bool | None = Field(
        description="False if any batch was stamped before the sender's clock had been set; null if it never said."
    )
    correction_s: float | None = Field(description="The sender's own last word on what must be added to its times.")
    skewed: bool = Field(
        description=f"An offset is below -{AHEAD_NS / 1e9:g} s or above {BEHIND_NS / 1e9:g} s: more than a slow way."
    )


class SessionListed(Answer):
    """What came of a session and what did not; a batch counts as missing once a later one came."""

    device: str
    session: str
    numbered: bool = Field(
        description="False for a protocol without sequence numbers (OwnTracks, SenML): what is missing is not known."
    )
    received_batches: Count
    received_readings: Count
    missing_batches: Count
    missing: list[tuple[int, int]] = Field(description="Intervals of seq, both ends included.")
    duplicate_batches: Count
    reordered_batches: Count
    late_batches: Count
    dropped_readings: Count
    rejected_readings: Count
    first_received_ns: Ns
    last_received_ns: Ns
    clock: ClockListed


class Completeness(Answer):
    """Sessions, the one heard of last first; at most 10,000."""

    sessions: list[SessionListed]


class ClaimListed(Answer):
    """A batch that the store accepted, with the hash of its canonical bytes."""

    session: str
    seq: Count
    hash: str
    received_ns: Ns
    readings: Count
    expired: Count
    summarised: Count = Field(description="Kept as windows only.")


class Claims(Answer):
    """Batches by session and seq."""

    claims: list[ClaimListed]


def session_listed(s: Session) -> dict[str, Any]:
    """As `SessionListed`."""
    return {
        "device": s.device,
        "session": s.session,
        "numbered": s.is_numbered,
        "received_batches": s.received_batches,
        "received_readings": s.received_readings,
        "missing_batches": s.missing_batches,
        "missing": s.missing,
        "duplicate_batches": s.duplicate_batches,
        "reordered_batches": s.reordered_batches,
        "late_batches": s.late_batches,
        "dropped_readings": s.dropped_readings,
        "rejected_readings": s.rejected_readings,
        "first_received_ns": s.first_received_ns,
        "last_received_ns": s.last_received_ns,
        "clock": _clock(s.clock),
    }


def claim_listed(c: Claim) -> dict[str, Any]:
    """As `ClaimListed`."""
    return {
        "session": c.id.session,
        "seq": c.id.seq,
        "hash": c.content_hash,
        "received_ns": c.received_ns,
        "readings": c.readings,
        "expired": c.expired,
        "summarised": c.summarised,
    }


def _clock(clock: SessionClock) -> dict[str, Any]:
    return {
        "offset_s": _seconds(clock.offset_ns),
        "basis": clock.basis,
        "latest_offset_s": _seconds(clock.latest_ns),
        "synchronised": clock.synchronised,
        "correction_s": _seconds(clock.correction_ns),
        "skewed": clock.is_skewed,
    }


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9
