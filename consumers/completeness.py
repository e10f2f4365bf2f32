"""What a session's headers say: received, missing, duplicate, reordered, late; and of its clock.  Pure.

Lateness is judged by seq, not by any clock: a batch is reordered when a higher seq was seen before it, and late
when more than `LATE_SEQS` higher ones were.  Batches that nobody numbered (`telemetry.unnumbered`) have no gaps: their
intervals are just the latest that came, and they are reordered by the second of their newest reading.
"""

from bisect import bisect_right
from dataclasses import replace

from consumers import clock_offset
from telemetry.ports import Session
from telemetry.records import BatchHeaders
from telemetry.unnumbered import is_unnumbered, second_of

Intervals = tuple[tuple[int, int], ...]

LATE_SEQS = 8
INTERVALS_MAX = 4_096  # a session with more gaps than this forgets its oldest one, and counts it
UNNUMBERED_MAX = 1_000  # seqs of a day that are remembered: what comes again after so many newer ones counts twice


def apply(state: Session | None, batch: BatchHeaders, partition: int, offset: int) -> Session:
    """The session after this record; a record that the state covers already changes nothing."""
    if state is None:
        state = _empty(batch, partition)
    if state.partition == partition and offset < state.next_offset:
        return state
    clock = clock_offset.apply(state.clock, batch)
    if contains(state.seqs, batch.id.seq):
        return replace(
            state,
            partition=partition,
            next_offset=offset + 1,
            last_received_ns=batch.received_ns,
            clock=clock,
            duplicate_batches=state.duplicate_batches + 1,
        )
    behind = _behind(state.seqs, batch.id.seq)
    seqs, forgotten = _kept(state.seqs, batch.id.seq)
    return replace(
        state,
        partition=partition,
        next_offset=offset + 1,
        last_received_ns=batch.received_ns,
        clock=clock,
        seqs=seqs,
        forgotten_batches=state.forgotten_batches + forgotten,
        received_batches=state.received_batches + 1,
        received_readings=state.received_readings + batch.readings,
        rejected_readings=state.rejected_readings + batch.rejected,
        dropped_readings=state.dropped_readings + batch.dropped,
        reordered_batches=state.reordered_batches + (behind > 0),
        late_batches=state.late_batches + (behind > LATE_SEQS),
    )


def latest(seqs: Intervals, seq: int, intervals_max: int) -> Intervals:
    """The intervals with `seq` in them, of seqs that are no numbers in a row: the lowest ones, the oldest, go."""
    return add(seqs, seq)[-intervals_max:]


def contains(seqs: Intervals, seq: int) -> bool:
    """True when `seq` lies in one of the sorted, disjoint intervals."""
    at = bisect_right(seqs, (seq, 2**63)) - 1
    return at >= 0 and seqs[at][0] <= seq <= seqs[at][1]


def add(seqs: Intervals, seq: int) -> Intervals:
    """The intervals with `seq` in them; touching ones are joined."""
    if seqs and seq == seqs[-1][1] + 1:  # the usual case
        return (*seqs[:-1], (seqs[-1][0], seq))
    at = bisect_right(seqs, (seq, 2**63))
    low, high, first, last = seq, seq, at, at
    if at > 0 and seqs[at - 1][1] >= seq - 1:
        low, high, first = seqs[at - 1][0], max(seq, seqs[at - 1][1]), at - 1
    if at < len(seqs) and seqs[at][0] <= high + 1:
        high, last = max(high, seqs[at][1]), at + 1
    return (*seqs[:first], (low, high), *seqs[last:])


def bounded(seqs: Intervals, intervals_max: int = INTERVALS_MAX) -> tuple[Intervals, int]:
    """With one more interval than that, the oldest gap is forgotten; and how many seqs were in it."""
    if len(seqs) <= intervals_max:
        return seqs, 0
    (low, end), (start, high), *rest = seqs
    return ((low, high), *rest), start - end - 1


def _behind(seqs: Intervals, seq: int) -> int:
    """How many seqs at most were seen that should have come after this one."""
    if not is_unnumbered(seq):
        return seqs[-1][1] - seq if seqs else 0
    return sum(second_of(first) > second_of(seq) for first, _ in seqs[-LATE_SEQS - 1 :])


def _kept(seqs: Intervals, seq: int) -> tuple[Intervals, int]:
    if is_unnumbered(seq):
        return latest(seqs, seq, UNNUMBERED_MAX), 0
    return bounded(add(seqs, seq))


def _empty(batch: BatchHeaders, partition: int) -> Session:
    return Session(
        device=batch.id.device,
        session=batch.id.session,
        seqs=(),
        received_batches=0,
        received_readings=0,
        rejected_readings=0,
        duplicate_batches=0,
        reordered_batches=0,
        late_batches=0,
        dropped_readings=0,
        first_received_ns=batch.received_ns,
        last_received_ns=batch.received_ns,
        partition=partition,
        next_offset=0,
    )
