"""A dead letter: a record that can never be stored as it is, kept whole beside its reason, so that it can be replayed.

In the topic `deadletters`, key, value and headers are the original's; headers that begin with `dl-` say what
happened to it.  A replay appends the original to its own topic again, then a marker (`dl-replayed` = the letter's
id) here, under the same key and so behind the letter in its partition.  Consumers write letters, the gateway lists
and replays them.
"""

from dataclasses import dataclass
from typing import Self

from telemetry.errors import Invalid, Malformed
from telemetry.outcome import Reason
from telemetry.ports import ANOMALIES, BATCHES, Entry, Position, Record, Topic

DETAIL_CHARS_MAX = 500
PREFIX = "dl-"
REPLAYED = "dl-replayed"
REPLAYABLE: dict[str, Topic] = {topic.name: topic for topic in (BATCHES, ANOMALIES)}
"""Topics to which a letter may go back: never those that hold credentials."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What a dead letter says of its original, without the original's value."""

    at: Position  # of the letter itself
    reason: str
    detail: str
    topic: str  # of the original, with its position there
    partition: int
    offset: int
    key: str
    session: str | None
    seq: int | None
    at_ns: int  # when it was set aside, UTC nanoseconds

    @property
    def id(self) -> str:
        """`<partition>-<offset>` of the letter."""
        return id_of(self.at)

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Read back; raises `Malformed` when the record is no dead letter (a marker, or somebody else's)."""
        h = entry.headers
        try:
            return cls(
                Position(entry.partition, entry.offset),
                h["dl-reason"],
                h.get("dl-detail", ""),
                h["dl-topic"],
                int(h["dl-partition"]),
                int(h["dl-offset"]),
                entry.key,
                h.get("session"),
                _integer(h.get("seq")),
                int(h["dl-at"]),
            )
        except (KeyError, ValueError) as e:
            raise Malformed(f"record {entry.topic}/{entry.partition}@{entry.offset} is no dead letter: {e!r}") from e


def dead_letter(entry: Entry, reason: Reason, detail: str, at_ns: int) -> Record:
    """The letter for a record that cannot be stored, set aside at `at_ns`; `detail` is cut to 500 characters."""
    headers = {
        **_own_headers(entry),
        "dl-reason": str(reason),
        "dl-detail": detail[:DETAIL_CHARS_MAX].encode("utf-8", "replace").decode(),
        "dl-topic": entry.topic,
        "dl-partition": str(entry.partition),
        "dl-offset": str(entry.offset),
        "dl-at": str(at_ns),
    }
    return Record(entry.key, entry.value, headers)


def original(entry: Entry) -> Record:
    """The record as it was before it was set aside."""
    return Record(entry.key, entry.value, _own_headers(entry))


def marker(letter: Letter, at_ns: int) -> Record:
    """What is appended behind a letter once its original was appended again."""
    return Record(letter.key, b"", {REPLAYED: letter.id, "dl-at": str(at_ns)})


def replayed_id(entry: Entry) -> str | None:
    """The id of the letter that this marker marks, or None when the record is no marker."""
    return entry.headers.get(REPLAYED)


def id_of(at: Position) -> str:
    """`<partition>-<offset>`."""
    return f"{at.partition}-{at.offset}"


def position_of(letter_id: str) -> Position:
    """The position that an id names; raises `Invalid`."""
    partition, _, offset = letter_id.partition("-")
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in (partition, offset)):
        raise Invalid(f"{letter_id[:40]!r} is no dead letter's id: it is <partition>-<offset>", path="$.ids")
    return Position(int(partition), int(offset))


def _own_headers(entry: Entry) -> dict[str, str]:
    return {name: text for name, text in entry.headers.items() if not name.startswith(PREFIX)}


def _integer(text: str | None) -> int | None:
    """None also for what is no number: a poisoned record's headers can hold anything."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 20 else None
