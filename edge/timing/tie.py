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
KNOTS_MAX = 64  # a second apart or more: what a source stamps late lies among them

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
        """On the way to another offset from shortly after `now_ns` on; a slew that has not begun yet is let be."""
        if len(self.knots) > 1 and self.knots[-2][0] > now_ns:
            return self
        begin_ns = self._whole(now_ns + LEAD_NS + SLEW - 1)
        here = self.offset_ns(begin_ns)
        done = tuple(knot for knot in self.knots if knot[0] <= begin_ns)
        way = ((begin_ns, here), (begin_ns + abs(target_ns - here) * SLEW, target_ns))
        return type(self)((*done, *way)[-KNOTS_MAX:])

    def jumped(self, at_ns: int, by_ns: int) -> Self:
        """Ahead by so much from this moment on, also where a slew is under way."""
        at_ns = self._whole(at_ns)
        here = self.offset_ns(at_ns)
        before = tuple(knot for knot in self.knots if knot[0] <= at_ns)
        after = tuple((t, offset + by_ns) for t, offset in self.knots if t > at_ns)
        return type(self)((*before, (at_ns, here), (at_ns, here + by_ns), *after)[-KNOTS_MAX:])

    def _whole(self, mono_ns: int) -> int:
        """The last moment until this one where a slew stands at a whole nanosecond: cut there, it stays the same."""
        at = bisect_right(self.knots, mono_ns, key=_time)
        return mono_ns - (mono_ns - self.knots[at - 1][0]) % SLEW if 0 < at < len(self.knots) else mono_ns


def _time(knot: Knot) -> int:
    return knot[0]
