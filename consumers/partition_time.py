"""A partition's time, told by the receive times of its records alone: whose silence it measures, and when not.  Pure.

A hole in which nobody at all was heard (the gateway was away, or the night) says nothing of any one device, and
neither does a gateway's clock that steps: after either, everyone has a while to speak before time counts again.
"""

import msgspec

SETTLE_NS = 60 * 10**9
HOLE_NS = 5 * 10**9  # the least
HOLE_GAPS = 8  # a hole is this many of the partition's longest gaps between records of late
STEP_BACK_NS = 60 * 10**9  # gateways differ by less


class PartitionTime(msgspec.Struct):
    """`now_ns` never goes back but when a clock did."""

    now_ns: int = 0
    settled_ns: int = 0  # until then nobody is asked whether he is silent
    gap_ns: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether time counts."""
        return self.now_ns >= self.settled_ns

    def advance(self, received_ns: int) -> None:
        """A record came that a gateway had at this time."""
        gap_ns = received_ns - self.now_ns
        if self.now_ns == 0 or gap_ns < -STEP_BACK_NS:
            self._settle(received_ns)
            return
        if gap_ns <= 0:
            return
        if gap_ns > max(HOLE_NS, HOLE_GAPS * self.gap_ns):
            self._settle(received_ns)
            gap_ns = 2 * self.gap_ns + HOLE_NS // HOLE_GAPS  # so that a pace that did change is learnt
        self.gap_ns = max(gap_ns, self.gap_ns - self.gap_ns // 16)
        self.now_ns = received_ns

    def _settle(self, received_ns: int) -> None:
        self.now_ns = received_ns
        self.settled_ns = received_ns + SETTLE_NS
