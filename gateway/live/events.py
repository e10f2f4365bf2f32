"""An event as it goes over the wire: WHATWG's server-sent events.  Pure."""

from dataclasses import dataclass
from typing import Any

import orjson

READINGS, PULSE, ANOMALY = "readings", "pulse", "anomaly"
KINDS = (READINGS, PULSE, ANOMALY)
NS_PER_MS = 1_000_000
OVERHEAD_BYTES = 250  # the objects, and the frame's own text


@dataclass(frozen=True, slots=True)
class Event:
    """Its name and its data, which is JSON in one line."""

    name: str
    data: bytes

    @classmethod
    def of(cls, name: str, document: dict[str, Any]) -> "Event":
        """With this data; what is no number is null."""
        return cls(name, orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


@dataclass(frozen=True, slots=True)
class Told:
    """An event for one reader, with the id to go on from behind it."""

    event: Event
    id: str

    @property
    def size_bytes(self) -> int:
        """What it holds in memory, about."""
        return len(self.event.data) + len(self.id) + OVERHEAD_BYTES

    def frame(self) -> bytes:
        """As it is sent."""
        event = self.event
        return b"event: %s\nid: %s\ndata: %s\n\n" % (event.name.encode(), self.id.encode(), event.data)


def beat(id_: str | None) -> bytes:
    """A comment; with the id, which a browser keeps though no event is raised."""
    return b": .\n\n" if id_ is None else b": .\nid: %s\n\n" % id_.encode()


def ms(t_ns: int) -> float:
    """Milliseconds since the epoch: a page's number holds them to a microsecond."""
    return t_ns / NS_PER_MS
