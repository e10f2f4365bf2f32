"""Dead letters listed and replayed: what the topic says, read from its beginning with bounded memory."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from gateway.scan import scan
from telemetry.clock import Clock
from telemetry.deadletters import REPLAYABLE, Letter, marker, original, position_of, replayed_id
from telemetry.errors import Malformed
from telemetry.ports import DEADLETTERS, Entry, Log, Position, Record
from telemetry.records import BatchHeaders
from telemetry.registry import Registry

REPLAY_MAX = 100_000
CHUNK_RECORDS = 200
CHUNK_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Listed:
    """A letter, and whether its original went back."""

    letter: Letter
    replayed: bool


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many originals went back; skipped: unknown, replayed before, not replayable, or of a deleted device.

    `left` counts those beyond what one call takes: call again.
    """

    replayed: int
    skipped: int
    left: int


async def newest(log: Log, limit: int) -> list[Listed]:
    """The last `limit` letters, newest first.  Raises `LogUnavailable`."""
    kept: OrderedDict[str, Listed] = OrderedDict()
    async with aclosing(scan(log, DEADLETTERS)) as entries:
        async for entry in entries:
            if (letter := letter_of(entry)) is not None:
                kept[letter.id] = Listed(letter, replayed=False)
                if len(kept) > limit:
                    kept.popitem(last=False)
            elif (marked := replayed_id(entry)) is not None and marked in kept:
                kept[marked] = replace(kept[marked], replayed=True)
    return sorted(kept.values(), key=lambda listed: (listed.letter.at_ns, listed.letter.at), reverse=True)


async def pending(log: Log) -> set[Position]:
    """Where the letters lie that were not replayed; a marker always lies behind its letter, in the same partition."""
    found: set[Position] = set()
    async with aclosing(scan(log, DEADLETTERS)) as entries:
        async for entry in entries:
            if (marked := replayed_id(entry)) is not None:
                found.discard(position_of(marked))
            elif letter_of(entry) is not None:
                found.add(Position(entry.partition, entry.offset))
    return found


async def replay(log: Log, registry: Registry, clock: Clock, ids: Sequence[str] | None) -> Replayed:
    """Append the originals of these letters (None: all that were not replayed) to their topics again, then mark them.

    At least once: a crash between the two replays the letter again, and the store knows the batch.  Raises `Invalid`
    for what is no id, and `LogUnavailable`: then call again.
    """
    waiting = await pending(log)
    asked = waiting if ids is None else {position_of(i) for i in ids}
    wanted = sorted(asked & waiting)
    skipped, left = len(asked) - len(wanted), max(0, len(wanted) - REPLAY_MAX)
    replayed = 0
    async for chunk in _chunks(log, frozenset(wanted[:REPLAY_MAX])):
        good = [(entry, letter) for entry, letter in chunk if _may_go_back(registry, entry, letter)]
        skipped += len(chunk) - len(good)
        await _send_back(log, clock, good)
        replayed += len(good)
    return Replayed(replayed, skipped, left)


def letter_of(entry: Entry) -> Letter | None:
    """The letter, or None for a marker and for what is no letter at all (nobody of ours wrote it)."""
    try:
        return Letter.of(entry)
    except Malformed:
        return None


async def _chunks(log: Log, wanted: frozenset[Position]) -> AsyncIterator[list[tuple[Entry, Letter]]]:
    """The wanted letters, in order, some MiB at a time."""
    chunk: list[tuple[Entry, Letter]] = []
    size_bytes = 0
    async with aclosing(scan(log, DEADLETTERS)) as entries:
        async for entry in entries:
            letter = letter_of(entry)
            if letter is None or letter.at not in wanted:
                continue
            chunk.append((entry, letter))
            size_bytes += len(entry.value or b"")
            if len(chunk) >= CHUNK_RECORDS or size_bytes >= CHUNK_BYTES:
                yield chunk
                chunk, size_bytes = [], 0
    if chunk:
        yield chunk


async def _send_back(log: Log, clock: Clock, letters: Iterable[tuple[Entry, Letter]]) -> None:
    by_topic: dict[str, list[Record]] = {}
    markers = []
    for entry, letter in letters:
        by_topic.setdefault(letter.topic, []).append(original(entry))
        markers.append(marker(letter, clock.now_ns()))
    for name, records in by_topic.items():
        await log.append(REPLAYABLE[name], records)
    if markers:
        await log.append(DEADLETTERS, markers)


def _may_go_back(registry: Registry, entry: Entry, letter: Letter) -> bool:
    if letter.topic not in REPLAYABLE:
        return False
    return not registry.is_deleted(letter.key, _received_ns(entry))


def _received_ns(entry: Entry) -> int:
    """When the original was received; 0, which is before any deletion, when its headers do not say."""
    try:
        return BatchHeaders.of(entry).received_ns
    except Malformed:
        return 0
