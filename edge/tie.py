"""Monotonic time tied to UTC: what a stamp is made of.  Pure.

A tie is a line of knots (monotonic ns, offset ns), straight between them and level beyond both ends; UTC is the moment
plus the offset there.  Corrections are slewed, so that later moments never get earlier stamps; what was stamped before
a correction began would be stamped so again.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Self

SLEW = 100  # one part in so many: half a second is made good within a minute, and no sampling interval shows it
LEAD_NS = 10**9  # a slew begins so much later: stamps that other threads make meanwhile are the same on both ties
KNOTS_MAX = 32

Knot = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tie:
    """At least one knot, by monotonic time; two of the same time are a jump there."""

    knots: tuple[Knot, ...]

    @classmethod
    def fixed(cls, offset_ns: int) -> Self:
        """The same offset at any time."""
        return cls(((0, offset_ns),))

    @property
    def target_ns(self) -> int:
        """The offset that it keeps, or is on its way to."""
        return self.knots[-1][1]

    def offset_ns(self, mono_ns: int) -> int:
        """The offset at this moment."""
        knots = self.knots
        at = bisect_right(knots, mono_ns, key=_time)
        if at == 0 or at == len(knots):
            return knots[at - (at > 0)][1]
        (start, low), (end, high) = knots[at - 1], knots[at]
        return low + (high - low) * (mono_ns - start) // (end - start)

    def slewed(self, now_ns: int, target_ns: int) -> Self:
        """On the way to another offset from shortly after `now_ns` on."""
        begin_ns = now_ns + LEAD_NS
        here = self.offset_ns(begin_ns)
        done = tuple(knot for knot in self.knots if knot[0] <= begin_ns)
        way = ((begin_ns, here), (begin_ns + abs(target_ns - here) * SLEW, target_ns))
        return type(self)((*done, *way)[-KNOTS_MAX:])

    def jumped(self, at_ns: int, by_ns: int) -> Self:
        """Ahead by so much from this moment on, also where a slew is under way."""
        here = self.offset_ns(at_ns)
        before = tuple(knot for knot in self.knots if knot[0] <= at_ns)
        after = tuple((t, offset + by_ns) for t, offset in self.knots if t > at_ns)
        return type(self)((*before, (at_ns, here), (at_ns, here + by_ns), *after)[-KNOTS_MAX:])


def _time(knot: Knot) -> int:
    return knot[0]
