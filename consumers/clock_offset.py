"""How wrong a session's clock is, from what its batches' headers say.  Pure.

Receive time minus sending time is the clock's error plus the way's length, which is never negative: so the least of
many is the best bound, and the order in which batches, resends and duplicates come does not matter to it.
"""

from typing import TypeAlias

from telemetry.batch import TIME_NS_MAX
from telemetry.records import BatchHeaders
from telemetry.session_clock import AHEAD_NS, Basis, SessionClock

WINDOW_NS = 600 * 10**9

Measure: TypeAlias = tuple[int, Basis]


def apply(clock: SessionClock, batch: BatchHeaders) -> SessionClock:
    """What is known after this batch."""
    measure = measured(batch)
    offset_ns, basis = clock.offset_ns, clock.basis
    if measure is not None and (offset_ns is None or _rank(measure) < (offset_ns, basis == "newest")):
        offset_ns, basis = measure
    window_ns, latest_ns = _windowed(clock, batch.received_ns, None if measure is None else measure[0])
    said = batch.said
    return SessionClock(
        offset_ns,
        basis,
        latest_ns,
        window_ns,
        clock.synchronised if said.synchronised is None else said.synchronised and clock.synchronised is not False,
        clock.correction_ns if said.correction_ns is None else said.correction_ns,
    )


def measured(batch: BatchHeaders) -> Measure | None:
    """The least bound that one batch gives on what must be added to its times, and what that rests on."""
    sent_ns, newest_ns = batch.said.sent_ns, batch.newest_ns
    bounds: list[Measure] = []
    if sent_ns is not None and 0 <= sent_ns <= TIME_NS_MAX:
        bounds.append((batch.received_ns - sent_ns, "sent"))
    if newest_ns is not None and newest_ns - batch.received_ns > AHEAD_NS:
        bounds.append((batch.received_ns - newest_ns, "newest"))
    return min(bounds, key=_rank, default=None)


def _rank(measure: Measure) -> tuple[int, bool]:
    """The least first; of two that are equal, what was said before what was inferred."""
    return measure[0], measure[1] == "newest"


def _windowed(clock: SessionClock, received_ns: int, seen: int | None) -> tuple[int, int | None]:
    """The start of the last window of which anything came, and the least measure in it."""
    window_ns = received_ns - received_ns % WINDOW_NS
    if clock.window_ns is None or window_ns > clock.window_ns:
        return window_ns, seen
    if window_ns < clock.window_ns or seen is None:
        return clock.window_ns, clock.latest_ns
    return window_ns, seen if clock.latest_ns is None else min(seen, clock.latest_ns)
