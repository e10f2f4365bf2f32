"""What a station answers to the command line, as types; times are UTC nanoseconds."""

from typing import Any

import msgspec


class Token(msgspec.Struct, frozen=True):
    """A device's token without its secret; times are UTC nanoseconds."""

    id: str
    created_ns: int | None = None
    expires_ns: int | None = None
    revoked_ns: int | None = None


class Device(msgspec.Struct, frozen=True):
    """A device as registered and as seen in the store."""

    device: str
    registered: bool = True
    platform: str = ""
    standardised: bool = False
    readings: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    sensors: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()


class Issued(msgspec.Struct, frozen=True):
    """A token, shown this once."""

    device: str
    token: str
    token_id: str


class SettingsReported(msgspec.Struct, frozen=True):
    """What an edge said last of its settings, and since when."""

    in_force: int
    at_ns: int
    failed: int | None = None
    reason: str = ""


class DeviceSettings(msgspec.Struct, frozen=True):
    """Settings that an edge downloads: what is wanted, and what it reports."""

    device: str
    wanted: dict[str, Any]
    wanted_at_ns: int | None = None
    reported: SettingsReported | None = None


class Deleted(msgspec.Struct, frozen=True):
    """A device's rows are gone from the store; its bytes leave the log by that ISO date."""

    device: str
    rows: int
    log_clean_by: str


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that could not be stored, and why."""

    id: str
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    key: str
    at_ns: int
    replayed: bool
    session: str | None = None
    seq: int | None = None


class Evidence(msgspec.Struct, frozen=True):
    """A feature that carried an anomaly, with its usual range."""

    feature: str
    unit: str
    seen: float
    usual_low: float
    usual_high: float
    words: str


class Samples(msgspec.Struct, frozen=True):
    """Raw rows around an anomaly, in columns."""

    columns: dict[str, list[float | int | None]]
    truncated: bool = False


class Label(msgspec.Struct, frozen=True):
    """What an operator said of an anomaly."""

    acknowledged: bool
    verdict: str | None
    note: str
    by: str
    at_ns: int


class Anomaly(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found; `samples` only where one was asked for by its id."""

    id: str
    version: int
    device: str
    session: str
    stream: str
    kind: str
    severity: str
    start_ns: int
    end_ns: int
    open: bool
    score: float
    peak_ns: int
    words: str
    evidence: tuple[Evidence, ...]
    detector: str
    model: int
    live: bool
    received_ns: int
    updated_ns: int
    label: Label | None = None
    samples: Samples | None = None


class Anomalies(msgspec.Struct, frozen=True):
    """A page; `next` asks for the one behind it."""

    anomalies: list[Anomaly]
    next: str | None = None


class Windows(msgspec.Struct, frozen=True):
    """Windows in columns."""

    columns: dict[str, list[Any]]
    rows: int
    truncated: bool


class Replayed(msgspec.Struct, frozen=True):
    """How many dead letters went back into their topic; `left` are beyond what one call takes."""

    replayed: int
    skipped: int
    left: int = 0


class Stats(msgspec.Struct, frozen=True):
    """What can be queried now, and how many records each consumer has yet to read."""

    readings: int
    batches: int
    devices: int
    lag: dict[str, int] = {}


class Code(msgspec.Struct, frozen=True):
    """An enrolment code, shown this once; good until `expires_ns` (UTC nanoseconds)."""

    device: str
    code: str
    expires_ns: int


class Enrolled(msgspec.Struct, frozen=True):
    """A device's token for a code, shown this once."""

    device: str
    token: str
    token_id: str


class Verifier(msgspec.Struct, frozen=True):
    """What a broker needs of a token; hash and salt in base64."""

    password: str
    salt: str
    iterations: int


class Account(msgspec.Struct, frozen=True):
    """A token as an MQTT broker's account."""

    username: str
    device: str
    enabled: bool
    verifier: Verifier | None = None


class Person(msgspec.Struct, frozen=True):
    """Who may log in; times are UTC nanoseconds."""

    name: str
    role: str
    created_ns: int
    changed_ns: int


class PersonPassword(msgspec.Struct, frozen=True):
    """A person's random password, shown this once."""

    name: str
    password: str
