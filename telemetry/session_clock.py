"""What the ledger knows of the clock that stamped a session: marked where it is wrong, never refused."""

from dataclasses import dataclass
from typing import Literal

AHEAD_NS = 2 * 10**9  # dated later than it came, by more than gateways' own clocks differ
BEHIND_NS = 10 * 10**9  # more than the quickest batch of a session is under way

Basis = Literal["sent", "newest"]


@dataclass(frozen=True, slots=True)
class SessionClock:
    """All None where nobody said anything and nothing is impossible.

    `offset_ns` is what must be added to the session's times, at most: the least of receive time minus, by `basis`,

        sent      when the sender says it sent the batch: the clock's error and the quickest batch's way
        newest    the newest reading's time, where that lies in the future: the clock is ahead by as much, or more.
                  A batch that comes late and says nothing tells nothing of its clock: that is lateness

    `latest_ns` is the same of the batches received in the ten minutes that begin at `window_ns`, the last of which
    anything came: another value there means a clock that drifts or has stepped.  `synchronised` is False if any batch
    was stamped by a clock that had not been set.  `correction_ns` is the sender's own last word on what must be added.
    """

    offset_ns: int | None = None
    basis: Basis | None = None
    latest_ns: int | None = None
    window_ns: int | None = None
    synchronised: bool | None = None
    correction_ns: int | None = None

    @property
    def is_skewed(self) -> bool:
        """Whether the clock is wrong beyond what a slow way or gateways that differ could explain."""
        known = (offset for offset in (self.offset_ns, self.latest_ns) if offset is not None)
        return any(not -AHEAD_NS <= offset <= BEHIND_NS for offset in known)


UNKNOWN = SessionClock()
