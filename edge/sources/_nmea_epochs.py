"""NMEA 0183 sentences of one moment -> one position.  Pure.

A receiver says each moment ("epoch") in several sentences: RMC has the date, speed and course, GGA the height, GST the
error estimates, GSA how good the geometry is.  They share the time of day; GSA has none and belongs to those around it.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

from edge.sources._fixes import utc_ns

SENTENCES = ("RMC", "GGA", "GST", "GSA")
KNOT = 1852 / 3600  # m/s
NO_FIX, FIX_2D = 1, 2  # GSA, navigation mode


@dataclass
class Epoch:
    """What was said of one moment; `line` is where it began."""

    at: time
    line: int
    arrived_s: float
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def has_fix(self) -> bool:
        """No sentence denies it, and one says where."""
        rmc, gga, gsa = (self.said.get(name) for name in ("RMC", "GGA", "GSA"))
        denied = (
            (rmc is not None and rmc.status != "A")
            or (gga is not None and gga.quality in (0, ""))
            or (gsa is not None and gsa.navMode == NO_FIX)
        )
        return not denied and any(_number(s, "lat") is not None and _number(s, "lon") is not None for s in (rmc, gga))

    def time_ns(self) -> int | None:
        """UTC, or None when no sentence had the date."""
        day = getattr(self.said.get("RMC"), "date", None)
        return utc_ns(datetime.combine(day, self.at, UTC)) if isinstance(day, date) else None

    def values(self, metres_per_hdop: float) -> dict[str, float | None]:
        """By the catalogue's names.  GST's deviations are the accuracy; else HDOP times a typical range error."""
        rmc, gga, gst, gsa = (self.said.get(name) for name in SENTENCES)
        is_flat = gsa is not None and gsa.navMode == FIX_2D
        msl = None if is_flat else _number(gga, "alt")
        separation = _number(gga, "sep")
        knots = _number(rmc, "spd")
        return {
            "latitude": _first(_number(gga, "lat"), _number(rmc, "lat")),
            "longitude": _first(_number(gga, "lon"), _number(rmc, "lon")),
            "altitude": None if msl is None or separation is None else msl + separation,
            "altitude_msl": msl,
            "speed": None if knots is None else knots * KNOT,
            "bearing": _number(rmc, "cog"),
            "horizontal_accuracy": _horizontal(gst, gga, gsa, metres_per_hdop),
            "vertical_accuracy": None if is_flat else _number(gst, "stdAlt"),
        }


class Epochs:
    """Sentences in, whole epochs out."""

    def __init__(self) -> None:
        self._open: Epoch | None = None
        self._ended: time | None = None

    def take(self, sentence: Any, line: int, arrived_s: float) -> Epoch | None:
        """One of `SENTENCES`, parsed; returns the epoch that it ended by being of another one."""
        at = getattr(sentence, "time", None)
        if not isinstance(at, time):
            if self._open is not None and sentence.msgID == "GSA":
                self._open.said.setdefault("GSA", sentence)
            return None
        if at == self._ended:
            return None  # a straggler of an epoch that was handed over
        ended = self.end() if self._open is not None and at != self._open.at else None
        if self._open is None:
            self._open = Epoch(at, line, arrived_s)
        self._open.said.setdefault(sentence.msgID, sentence)
        return ended

    def end(self) -> Epoch | None:
        """The epoch so far, when nothing more comes."""
        ended, self._open = self._open, None
        self._ended = ended.at if ended else self._ended
        return ended


def _horizontal(gst: Any, gga: Any, gsa: Any, metres_per_hdop: float) -> float | None:
    north, east = _number(gst, "stdLat"), _number(gst, "stdLong")
    if north is not None and east is not None:
        return math.hypot(north, east)
    hdop = _first(_number(gga, "HDOP"), _number(gsa, "HDOP"))
    return None if hdop is None or not metres_per_hdop else hdop * metres_per_hdop


def _number(sentence: Any, name: str) -> float | None:
    value = getattr(sentence, name, None)
    return float(value) if isinstance(value, int | float) else None  # an empty field is ""


def _first(*values: float | None) -> float | None:
    return next((v for v in values if v is not None), None)
