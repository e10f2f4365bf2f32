"""What the registry gives: devices, their tokens, operators; and what it needs of the table that it reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from telemetry import credentials
from telemetry.ports import Entry, Sender


class View(Protocol):
    """What is needed of `telemetry.table.Table`."""

    @property
    def version(self) -> int:
        """Rises with every change applied."""
        ...

    def get(self, key: str) -> Entry | None:
        """The last record of a key."""
        ...

    def scan(self, prefix: str = "", *, after: str | None = None) -> Sequence[Entry]:
        """A page of the last records of the keys that begin so, by key; [] when there are none `after`."""
        ...

    def age_s(self) -> float:
        """Seconds since the view was last known to be current."""
        ...

    async def sync(self, timeout_s: float) -> None:
        """Read on to what is now the topic's end; raises `LogUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Holder:
    """A device's valid token, as ingest needs it."""

    device: str
    digest: str
    enrolment: str
    registered_ns: int
    expires_ns: int | None
    source_id: str | None
    sender: Sender
    also_pinned: frozenset[str] = frozenset()  # source ids of the device's other tokens that may send as well

    @property
    def token_id(self) -> str:
        """The token's public name."""
        return credentials.public_id(self.digest)


@dataclass(frozen=True, slots=True)
class Operator:
    """A person's or a program's key; `role` is viewer, operator or admin."""

    name: str
    role: str
    created_ns: int
    digest: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is listed; times in UTC nanoseconds."""

    id: str
    created_ns: int
    expires_ns: int | None
    revoked_ns: int | None


@dataclass(frozen=True, slots=True)
class Device:
    """An enrolled device."""

    name: str
    enrolment: str
    registered_ns: int
    platform: str
    standardised: bool
