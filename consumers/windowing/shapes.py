"""What windows there can be, how long they wait, and how they come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Literal

from telemetry.errors import Misconfigured

EPOCH_REVISIONS = 2**32
PANES_MAX = 4096  # of the widest window: what a stream may have to keep and to combine
OPEN_PANES_MAX = 256  # that may still change: their rows are kept

Kind = Literal["tumbling", "sliding", "session"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of window: every `step_ns` one of `width_ns`; of session windows the width is 0 and the step the gap."""

    kind: Kind
    width_ns: int
    step_ns: int


def tumbling(width_ns: int) -> Shape:
    """One after the other.  Raises `Misconfigured`."""
    return sliding(width_ns, width_ns, "tumbling")


def sliding(width_ns: int, step_ns: int, kind: Kind = "sliding") -> Shape:
    """Overlapping ones.  Raises `Misconfigured`."""
    if not 0 < step_ns <= width_ns:
        raise Misconfigured(f"a {kind} window needs a width and a step from 1 ns to the width")
    return Shape(kind, width_ns, step_ns)


def session(gap_ns: int) -> Shape:
    """Rows that are less than a gap apart.  Raises `Misconfigured`."""
    if gap_ns <= 0:
        raise Misconfigured("a session window needs a gap")
    return Shape("session", 0, gap_ns)


@dataclass(frozen=True, slots=True)
class Patience:
    """How far behind the newest time the watermark is, and how far behind that a row may come."""

    delay_ns: int
    lateness_ns: int

    @property
    def horizon_ns(self) -> int:
        """How far behind the newest time a row still counts."""
        return self.delay_ns + self.lateness_ns


def pane_ns(shapes: Sequence[Shape]) -> int:
    """The width of the panes of which all of these can be made; 0 where there are only session windows."""
    return gcd(*(n for shape in shapes if shape.kind != "session" for n in (shape.width_ns, shape.step_ns)))


def checked(shapes: Sequence[Shape], patience: Patience) -> tuple[Shape, ...]:
    """These for one stream, each once.  Raises `Misconfigured` where they would need too many panes, or cannot be told
    apart."""
    distinct = tuple(dict.fromkeys(shapes))
    for kind in ("sliding", "session"):
        widths = [shape.width_ns for shape in distinct if shape.kind == kind]
        if len(widths) != len(set(widths)):
            raise Misconfigured(f"a sensor's {kind} windows must differ in width")
    pane = pane_ns(distinct)
    widest_ns = max((shape.width_ns for shape in distinct), default=0)
    _bounded("width", widest_ns, pane, PANES_MAX)
    _bounded("lateness", patience.horizon_ns, pane, OPEN_PANES_MAX)
    for shape in distinct:
        if shape.kind == "session":
            _bounded("lateness", patience.horizon_ns, shape.step_ns, OPEN_PANES_MAX)
    return distinct


def _bounded(what: str, span_ns: int, piece_ns: int, most: int) -> None:
    if piece_ns and span_ns > most * piece_ns:
        raise Misconfigured(
            f"windows: a {what} of {span_ns / 1e9:g} s in pieces of {piece_ns / 1e9:g} s (a gap, or the greatest common"
            f" divisor of widths and steps) are more than {most}"
        )
