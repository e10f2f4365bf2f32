"""Readings -> cuts: what the next batches hold, before they are given a seq.  Pure: time is an argument.

A cut falls when the pending readings reach the size or the count, or when the oldest has waited the period.  A cut
that comes out over a limit is halved until it fits, so that seq, which is given afterwards, never names two
things.  Memory is bounded by the limits and one `append`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np

from telemetry import wire
from telemetry.batch import DTYPE, READINGS_MAX, SEQ_MAX, Batch, Column, Series
from telemetry.reading import CATALOGUE, Field

SIZE_BYTES_MAX = 64 * 1024
PERIOD_S = 1.0

Cut: TypeAlias = tuple[Series, ...]

_ENVELOPE_BYTES = len(wire.encode(Batch("x" * 64, "x" * 64, SEQ_MAX, ())))


@dataclass(frozen=True, slots=True)
class CutLimits:
    """When to cut: `size_bytes_max` of canonical bytes (the longest identity included), readings, seconds."""

    size_bytes_max: int = SIZE_BYTES_MAX
    readings_max: int = READINGS_MAX
    period_s: float = PERIOD_S


class Batcher:
    """Collects series and says when a batch of them is due."""

    def __init__(self, limits: CutLimits | None = None) -> None:
        self.limits = limits or CutLimits()
        self._pending: dict[str, list[Series]] = {}
        self._readings = 0
        self._size_bytes = _ENVELOPE_BYTES
        self._oldest_s: float | None = None

    @property
    def due_s(self) -> float | None:
        """Monotonic time at which `poll` will cut, or None when nothing is pending."""
        return None if self._oldest_s is None else self._oldest_s + self.limits.period_s

    def append(self, series: Series, now_s: float) -> list[Cut]:
        """Take one sensor's next readings; returns the cuts that this made due, oldest first."""
        if not len(series):
            return []
        added = size_bytes((series,)) - _ENVELOPE_BYTES
        due: list[Cut] = []
        if self._readings and self._would_overflow(added, len(series)):
            due = self.flush()
        self._pending.setdefault(series.sensor, []).append(series)
        self._readings += len(series)
        self._size_bytes += added
        self._oldest_s = now_s if self._oldest_s is None else self._oldest_s
        return due + (self.flush() if self._would_overflow(0, 0) else self.poll(now_s))

    def poll(self, now_s: float) -> list[Cut]:
        """The cuts whose period has passed."""
        return self.flush() if self.due_s is not None and now_s >= self.due_s else []

    def flush(self) -> list[Cut]:
        """Everything pending, cut to the limits; [] when nothing is."""
        whole = tuple(join(parts) for parts in self._pending.values())
        self._pending, self._readings, self._size_bytes, self._oldest_s = {}, 0, _ENVELOPE_BYTES, None
        return split(whole, self.limits) if whole else []

    def _would_overflow(self, size: int, readings: int) -> bool:
        return (
            self._size_bytes + size > self.limits.size_bytes_max or self._readings + readings > self.limits.readings_max
        )


def size_bytes(cut: Cut) -> int:
    """Canonical bytes of a batch of these series under the longest identity there can be."""
    return len(wire.encode(Batch("x" * 64, "x" * 64, SEQ_MAX, cut)))


def split(cut: Cut, limits: CutLimits) -> list[Cut]:
    """The cut in as many parts as the limits ask for; a single reading is a part, however large."""
    readings = sum(map(len, cut))
    if readings <= 1 or (readings <= limits.readings_max and size_bytes(cut) <= limits.size_bytes_max):
        return [cut]
    if len(cut) > 1 and all(len(s) == 1 for s in cut):
        halves = [cut[: len(cut) // 2], cut[len(cut) // 2 :]]
    else:
        # by time rather than by sensor: each part still shows the device as a whole
        firsts = tuple(part(s, 0, (len(s) + 1) // 2) for s in cut)
        rests = tuple(part(s, (len(s) + 1) // 2, len(s)) for s in cut if len(s) > 1)
        halves = [firsts, rests]
    return [piece for half in halves for piece in split(half, limits)]


def part(series: Series, start: int, stop: int) -> Series:
    """Readings `start` (included) to `stop` (excluded) of a series, canonical again."""
    values = {name: column[start:stop] for name, column in series.values.items()}
    extra = series.extra[start:stop] if series.extra is not None else None
    return Series.of(series.sensor, series.t[start:stop], values, extra)


def join(parts: Sequence[Series]) -> Series:
    """One sensor's pieces as one series; a field that a piece lacks is absent from its readings."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    known = CATALOGUE.get(first.sensor)
    present = [f for f in (known.fields if known else ()) if any(f.name in p.values for p in parts)]
    values = {field.name: _joined(field, parts) for field in present}
    extra = [text for p in parts for text in (p.extra or (None,) * len(p))]
    return Series.of(first.sensor, np.concatenate([p.t for p in parts]), values, extra)


def _joined(field: Field, parts: Sequence[Series]) -> Column:
    if field.kind.is_number:
        absent = DTYPE[field.kind]("nan")
        return np.concatenate([np.asarray(p.values.get(field.name, np.full(len(p), absent))) for p in parts])
    merged = tuple(value for p in parts for value in p.values.get(field.name, (None,) * len(p)))
    return cast(Column, merged)
