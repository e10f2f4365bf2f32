"""One reader: what it wants, how far it has been told, and what waits for it.  Pure: told the records and the time.

Records come in the log's order within a partition.  Every event's mark says all that was told up to it, so that
another gateway, or this one later, goes on from there: `known` are the records that the open window holds already.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.live.events import ANOMALY, PULSE, READINGS, Event, Told, ms
from gateway.live.marks import Mark
from gateway.live.outbox import Outbox
from gateway.live.pulses import Pulses
from gateway.live.seen import SeenAnomaly, SeenBatch, Shown, numbers

WINDOW_S = 1.0  # at most two pulses a device in it


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reader's filter; None: all."""

    kinds: frozenset[str]
    devices: frozenset[str] | None = None
    sensors: frozenset[str] | None = None
    points: int = 100

    def has(self, device: str) -> bool:
        """Whether this device's are wanted."""
        return self.devices is None or device in self.devices


@dataclass(slots=True)
class Place:
    """How far the log was seen: next offsets by partition; shared by all readers that are up to date."""

    batches: dict[int, int] = field(default_factory=dict)
    anomalies: dict[int, int] = field(default_factory=dict)

    def copy(self) -> "Place":
        """One of its own."""
        return Place(dict(self.batches), dict(self.anomalies))


class Stream:
    """The state of one reader.  `place` is moved on by who feeds it, before each record that it hands over."""

    def __init__(self, wanted: Wanted, place: Place, outbox: Outbox, shown: Shown) -> None:
        self.wanted = wanted
        self.place = place
        self.outbox = outbox
        self._shown = shown
        self._pulses = Pulses()
        self._window: dict[int, int] | None = None  # where the open one began
        self._closes_at_s = 0.0
        self._within: tuple[int, int, int] | None = None  # partition, offset, series told: a record told in part before
        self._told_up_to = ""

    # --- beginning

    def greet(self, now_ns: int, mark: Mark | None = None) -> None:
        """Say the time, and from where it goes on: here, or behind this mark."""
        self._put(Event.of("hello", {"now": ms(now_ns)}), mark or self.mark())

    def resume(self, mark: Mark, now_s: float) -> None:
        """Go on behind this mark; the records of its window must then come as `known`, before any other."""
        if mark.within is not None:
            partition, series = mark.within
            self._within = (partition, mark.batches[partition], series)
        self._told_up_to = mark.told or ""
        if mark.window or mark.told:
            self._window = mark.begin
            self._closes_at_s = now_s + WINDOW_S

    def reset(self, why: str) -> None:
        """It begins here instead of where it wanted."""
        self._pulses, self._window, self._within, self._told_up_to = Pulses(), None, None, ""
        self._put(Event.of("reset", {"why": why}), self.mark())

    def known(self, seen: SeenBatch) -> None:
        """A record of the open window, which was told or waits for the window's end."""
        if PULSE in self.wanted.kinds and self.wanted.has(seen.device):
            self._pulses.take(seen)

    def caught_up(self) -> None:
        """All that is `known` came: close the window if it was being closed."""
        if self._told_up_to:
            self._close()

    # --- going on

    def batch(self, seen: SeenBatch, now_s: float) -> None:
        """The next record of `batches`; `place` is behind it."""
        if not self.wanted.has(seen.device):
            return
        events = self._readings(seen, self._done(seen))
        if PULSE in self.wanted.kinds:
            if self._window is None:
                self._window = {**self.place.batches, seen.partition: seen.offset}
                self._closes_at_s = now_s + WINDOW_S
            pulse = self._pulses.take(seen)
            if pulse is not None:
                events.append((-1, pulse.event()))
        for told, event in events[:-1]:
            self._put(event, self._mark_within(seen, told))
        for _, event in events[-1:]:
            self._put(event, self.mark())

    def anomaly(self, seen: SeenAnomaly) -> None:
        """The next record of `anomalies`; `place` is behind it."""
        if ANOMALY in self.wanted.kinds and self.wanted.has(seen.device):
            self._put(seen.event(self._shown), self.mark())

    def turn(self, now_s: float) -> None:
        """Time went by: a window may be over."""
        if self._window is not None and now_s >= self._closes_at_s:
            self._close()

    @property
    def closes_at_s(self) -> float | None:
        """When `turn` has something to do."""
        return None if self._window is None else self._closes_at_s

    @property
    def is_settled(self) -> bool:
        """Whether `mark` holds for what was sent: nothing waits."""
        return self.outbox.is_empty and not self._told_up_to

    def mark(self, told: str | None = None) -> Mark:
        """How far it was told."""
        place = self.place
        window = _behind(self._window, place.batches)
        return Mark(dict(place.batches), dict(place.anomalies), window, self._still_within(), told)

    def _mark_within(self, seen: SeenBatch, told: int) -> Mark:
        batches = {**self.place.batches, seen.partition: seen.offset}
        window = _behind(self._window, batches)
        return Mark(batches, dict(self.place.anomalies), window, (seen.partition, told))

    def _still_within(self) -> tuple[int, int] | None:
        """The record that was told in part, while it is still to come."""
        if self._within is None:
            return None
        partition, offset, series = self._within
        return (partition, series) if self.place.batches[partition] == offset else None

    def _done(self, seen: SeenBatch) -> int:
        """How many of its series were told before."""
        if self._within is None or self._within[:2] != (seen.partition, seen.offset):
            return 0
        done, self._within = self._within[2], None
        return done

    def _readings(self, seen: SeenBatch, done: int) -> list[tuple[int, Event]]:
        """Its events, each with the number of series that are told with it."""
        wanted = self.wanted
        if READINGS not in wanted.kinds:
            return []
        return [
            (ordinal + 1, seen.readings(ordinal, wanted.points))
            for ordinal, series in enumerate(seen.series)
            if ordinal >= done
            and (wanted.sensors is None or series.sensor in wanted.sensors)
            and len(series)
            and numbers(series)
        ]

    def _close(self) -> None:
        """Tell what waited for the window's end."""
        pulses = self._pulses.close(self._told_up_to)
        self._told_up_to = ""
        for pulse in pulses[:-1]:
            self._put(pulse.event(), self.mark(told=pulse.device))
        self._window = None
        for pulse in pulses[-1:]:
            self._put(pulse.event(), self.mark())

    def _put(self, event: Event, mark: Mark) -> None:
        self.outbox.put(Told(event, str(mark)))


def _behind(window: Mapping[int, int] | None, batches: Mapping[int, int]) -> dict[int, int]:
    return {p: begin for p, begin in (window or {}).items() if begin < batches.get(p, begin)}
