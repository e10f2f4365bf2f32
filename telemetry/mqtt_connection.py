"""What an MQTT connection is opened with, how it fails, and what it hands over; knows no library."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from telemetry.errors import Retryable
from telemetry.mqtt import Address

V311, V5 = 4, 5  # as the protocol's own level byte (MQTT 5, 3.1.2.2)
FAILURE = 0x80  # reason codes from here on are errors (MQTT 5, 2.4)
UNSUPPORTED_VERSION = 0x84
NOT_AUTHORISED = 0x87
LOGIN_REASONS = frozenset({0x86, NOT_AUTHORISED, 0x8A})  # bad user name or password, not authorised, banned


class LinkLost(Retryable):
    """There is no connection, or it has ended; the message says why."""

    code = "link_lost"


class Unanswered(LinkLost):
    """The broker ended the connection without a word; one that does not know the protocol's version may do so."""

    code = "unanswered"


class Refused(LinkLost):
    """The broker said no; `reason` is MQTT 5's reason code, also where 3.1.1 was spoken."""

    code = "refused"

    def __init__(self, message: str, reason: int) -> None:
        super().__init__(message)
        self.reason = reason


class LoginRefused(Refused):
    """The account is not known, its password is another, or it is disabled."""

    code = "login_refused"


@dataclass(frozen=True, slots=True)
class Login:
    """An account of the broker."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Options:
    """How to connect.  `wait_s` bounds each exchange with the broker; `receive_max` needs MQTT 5."""

    address: Address
    client_id: str
    login: Login | None = None
    cafile: Path | None = None
    version: int = V5
    keepalive_s: int = 30
    wait_s: float = 10.0
    receive_max: int | None = None
    packet_bytes_max: int | None = None
    manual_ack: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message; give its place back with `Link.done`."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    said: Mapping[str, str]  # the user properties, the first of each name
    is_retained: bool = False  # not sent now: the last one the broker has kept of its topic


class Room:
    """How many messages may be in hand at once, by QoS.  Shared by the library's thread and the event loop's."""

    def __init__(self, places: Mapping[int, int]) -> None:
        self._left = dict(places)
        self._lock = threading.Lock()

    def take(self, qos: int) -> bool:
        """Take a place, if there is one."""
        with self._lock:
            has_one = self._left.get(qos, 0) > 0
            if has_one:
                self._left[qos] -= 1
            return has_one

    def give(self, qos: int) -> None:
        """Give it back."""
        with self._lock:
            self._left[qos] += 1
