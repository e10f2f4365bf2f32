"""Coalescing: a device's first batch in a window is told at once, the others as one when the window closes.  Pure.

So a device makes at most two pulses a window, however often it sends.  A window opens with the first batch of any
device.  What was told of it follows from the records in it alone: the first of each device.  That makes it resumable.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from gateway.live.events import PULSE, Event, ms


class Beat(Protocol):
    """What a pulse takes of a batch."""

    device: str
    received_ns: int
    count: int
    newest_ns: int | None

    @property
    def location(self) -> dict[str, Any] | None:
        """Its latest position."""
        ...

    @property
    def battery(self) -> dict[str, Any] | None:
        """Its latest word on the battery."""
        ...


@dataclass(slots=True)
class Pulse:
    """A device's batches since it was last told of."""

    device: str
    received_ns: int = 0
    newest_ns: int | None = None
    batches: int = 0
    readings: int = 0
    location: dict[str, Any] | None = None
    battery: dict[str, Any] | None = None

    def add(self, seen: Beat) -> "Pulse":
        """One batch more."""
        self.batches += 1
        self.readings += seen.count
        self.received_ns = max(self.received_ns, seen.received_ns)
        if seen.newest_ns is not None:
            self.newest_ns = seen.newest_ns if self.newest_ns is None else max(self.newest_ns, seen.newest_ns)
        self.location = _later(self.location, seen.location)
        self.battery = _later(self.battery, seen.battery)
        return self

    def event(self) -> Event:
        """As it is told."""
        document: dict[str, Any] = {
            "device": self.device,
            "received": ms(self.received_ns),
            "newest": None if self.newest_ns is None else ms(self.newest_ns),
            "batches": self.batches,
            "readings": self.readings,
        }
        if self.location is not None:
            document["location"] = self.location
        if self.battery is not None:
            document["battery"] = self.battery
        return Event.of(PULSE, document)


class Pulses:
    """The open window: who was told of, and what waits for its end."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._waiting: dict[str, Pulse] = {}

    def take(self, seen: Beat) -> Pulse | None:
        """A batch came: the pulse to tell now, or None when it waits for the window's end."""
        if seen.device not in self._told:
            self._told.add(seen.device)
            return Pulse(seen.device).add(seen)
        self._waiting.setdefault(seen.device, Pulse(seen.device)).add(seen)
        return None

    def close(self, after: str = "") -> list[Pulse]:
        """The window ends: what waited, by device, without those up to `after`."""
        waiting = [self._waiting[device] for device in sorted(self._waiting) if device > after]
        self._told.clear()
        self._waiting.clear()
        return waiting


def _later(kept: dict[str, Any] | None, found: dict[str, Any] | None) -> dict[str, Any] | None:
    if kept is None or found is None:
        return found or kept
    return found if found["t"] >= kept["t"] else kept
