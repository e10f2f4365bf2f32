"""The kept log replayed into the other engine's log, so that an installation can move without losing a reading.

Copies in the log's own order and remembers, after each chunk, how far it came.  Stopped or crashed, it goes on
there; a chunk of which it does not know whether the target took it is compared with what the target has.  So every
record is there once.  Three things are not copied as they are:

- checkpoints hold positions of the source's log: consumers make new ones from the replayed records;
- a dead letter whose original is still kept is made anew by the replay, if the new store refuses it too;
- markers of replayed dead letters name positions: they are rewritten.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sensorline import output
from sensorline.migrate_state import Progress, State, fingerprint
from telemetry import settings as settings_module
from telemetry.deadletters import REPLAYED, Letter, id_of, replayed_id
from telemetry.enrolment import KEY_FILE
from telemetry.errors import Conflict, LogUnavailable, Malformed, Misconfigured, NotReady
from telemetry.logs import open_log
from telemetry.ports import BATCHES, CHECKPOINTS, DEADLETTERS, TOPICS, Entry, Log, Position, Reader, Record, Topic
from telemetry.settings import Settings, flatten

RECORDS_MAX = 500
BYTES_MAX = 8 * 2**20
POLL_WAIT_S = 1.0
SILENCE_MAX_S = 60.0

COPIED = tuple(topic for topic in TOPICS if topic is not CHECKPOINTS)

Ends = Mapping[int, int]
Known = dict[bytes, list[Position]]


@dataclass(frozen=True, slots=True)
class Topical:
    """What became of one topic's records: copied by this run, by earlier ones, or left out (the module says why)."""

    topic: str
    copied: int
    earlier: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Moved:
    """The whole migration; topics without records are not in it."""

    topics: tuple[Topical, ...]

    def as_json(self) -> dict[str, dict[str, int]]:
        """By topic."""
        return {t.topic: {name: n for name, n in asdict(t).items() if name != "topic"} for t in self.topics}


def target_settings(source: Settings, config: Path | None, changes: Mapping[str, Any]) -> Settings:
    """The target's settings: from its own file, else the source's; with `changes` (dotted path -> value) on top."""
    base: Mapping[str, Any] = {} if config else flatten(source.model_dump(mode="json"))
    return settings_module.load(config, {**base, **changes}).settings


async def migrate(source: Settings, target: Settings) -> Moved:
    """Copy everything kept.

    Raises `Misconfigured` (in use, or the same log), `Conflict` (the target has batches of its own), `NotReady`
    (the source is still written to) or `LogUnavailable`.
    """
    if place(source) == place(target):
        raise Misconfigured("source and target are the same log: name the other with --to-config or --to-log")
    if "memory" in (source.log, target.log):
        raise Misconfigured("a log in memory ends with its process: it cannot be migrated")
    async with AsyncExitStack() as stack:
        there = await _open(source, stack)
        here = await _open(target, stack)
        state = State(source.data_dir, place(target))
        if not state.begun:
            await _begin(here, state)
        moved = await _Migration(there, here, state).run()
    await asyncio.to_thread(_copy_key, source.data_dir, target.data_dir)
    return moved


def place(settings: Settings) -> str:
    """What tells one log from another."""
    options = settings.adapter(settings.log)
    where = options.get("bootstrap", "") if settings.log == "kafka" else settings.data_dir.resolve()
    return f"{settings.log} {where} {options.get('prefix', '')}".strip()


async def _begin(target: Log, state: State) -> None:
    """Remember where the target stood before the first record: what is beyond that later came from here."""
    if _sum(await target.ends(BATCHES)):
        raise Conflict("the target's log has batches of its own: migrate into one that was never written to")
    for topic in COPIED:
        state.topic(topic.name).target_ends = await target.ends(topic)
    await asyncio.to_thread(state.save)


async def _open(settings: Settings, stack: AsyncExitStack) -> Log:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = open_log(settings.log, settings.adapter(settings.log), settings.data_dir)
    stack.push_async_callback(log.close)
    await log.start()
    return log


def _copy_key(source: Path, target: Path) -> None:
    """The operator's key goes along: the new station finds it in the devices topic and makes no other."""
    kept, wanted = source / KEY_FILE, target / KEY_FILE
    if kept.exists() and not wanted.exists():
        target.mkdir(parents=True, exist_ok=True)
        os.close(os.open(wanted, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        shutil.copyfile(kept, wanted)


class _Migration:
    def __init__(self, source: Log, target: Log, state: State) -> None:
        self._source = source
        self._target = target
        self._state = state
        self._kept_from: dict[str, dict[int, int]] = {}
        self._behind_us = 0  # offsets of the topics that are done, for the bar

    async def run(self) -> Moved:
        """Topic by topic; then make sure that nothing came meanwhile."""
        self._kept_from = {topic.name: await self._source.begins(topic) for topic in TOPICS}
        ends = {topic.name: await self._source.ends(topic) for topic in COPIED}
        total = sum(_sum(ends[topic.name]) - _sum(self._kept_from[topic.name]) for topic in COPIED)
        with output.progress("migrating", total=total) as move:
            moved = [await self._topic(topic, ends[topic.name], move) for topic in COPIED]
        for topic in COPIED:
            if await self._source.ends(topic) != ends[topic.name]:
                raise NotReady("the source is still being written to: stop its station, then run this again")
        return Moved(tuple(t for t in moved if t.copied or t.earlier or t.left_out))

    async def _topic(self, topic: Topic, ends: Ends, move: output.Progress) -> Topical:
        progress = self._state.topic(topic.name)
        earlier, left_before = progress.copied, progress.left_out
        begins = self._kept_from[topic.name]
        known = await self._taken_unsaved(topic, progress)
        start = {p: max(first, progress.next.get(p, first)) for p, first in begins.items()}
        reader = await self._source.follow(topic, start)
        try:
            async with aclosing(_until(reader, ends)) as chunks:
                async for entries in chunks:
                    await self._copy(topic, entries, progress, known)
                    progress.next = dict(await reader.position())
                    progress.target_ends = await self._target.ends(topic)
                    await asyncio.to_thread(self._state.save)
                    move(self._behind_us + _sum(progress.next) - _sum(begins))
        finally:
            await reader.close()
        self._behind_us += _sum(ends) - _sum(begins)
        return Topical(topic.name, progress.copied - earlier, earlier, progress.left_out - left_before)

    async def _taken_unsaved(self, topic: Topic, progress: Progress) -> Known:
        """What the target took since the state was last saved: of a chunk whose run ended just then."""
        known: Known = {}
        ends = await self._target.ends(topic)
        base = progress.target_ends or dict.fromkeys(ends, 0)
        if _sum(ends) - _sum(base) > RECORDS_MAX:
            raise Conflict(f"the target's {topic.name} has been written to by others since: it cannot be gone on with")
        if _sum(ends) == _sum(base):
            return known
        reader = await self._target.follow(topic, base)
        try:
            async with aclosing(_until(reader, ends)) as chunks:
                async for entries in chunks:
                    for entry in entries:
                        known.setdefault(fingerprint(entry), []).append(Position(entry.partition, entry.offset))
        finally:
            await reader.close()
        return known

    async def _copy(self, topic: Topic, entries: list[Entry], progress: Progress, known: Known) -> None:
        if topic is not DEADLETTERS:
            return await self._append(topic, entries, progress, known)
        for run in _runs(entries):
            await self._append(topic, run, progress, known)
        return None

    async def _append(self, topic: Topic, entries: list[Entry], progress: Progress, known: Known) -> None:
        pairs = [(entry, record) for entry in entries if (record := self._translated(topic, entry, progress))]
        there: dict[int, Position] = {}  # by index in pairs
        for k, (_, record) in enumerate(pairs if known else ()):
            positions = known.get(fingerprint(record))
            if positions:
                there[k] = positions.pop(0)
        missing = [k for k in range(len(pairs)) if k not in there]
        new = await self._target.append(topic, [pairs[k][1] for k in missing])
        there.update(zip(missing, new, strict=True))
        if topic is DEADLETTERS:
            for k, (entry, _) in enumerate(pairs):
                progress.letters[id_of(Position(entry.partition, entry.offset))] = id_of(there[k])
        progress.copied += len(pairs)
        progress.left_out += len(entries) - len(pairs)

    def _translated(self, topic: Topic, entry: Entry, progress: Progress) -> Record | None:
        """The record for the target, or None when it is to be left out."""
        headers = entry.headers
        if topic is DEADLETTERS:
            marked = replayed_id(entry)
            if marked is not None:
                if marked not in progress.letters:
                    return None
                headers = {**headers, REPLAYED: progress.letters[marked]}
            elif self._is_made_anew(entry):
                return None
        return Record(entry.key, entry.value, headers)

    def _is_made_anew(self, entry: Entry) -> bool:
        try:
            letter = Letter.of(entry)
        except Malformed:  # not written by us: kept as it is
            return False
        first = self._kept_from.get(letter.topic, {}).get(letter.partition)
        return first is not None and letter.offset >= first


def _runs(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Cut before each marker: it names where its letter is in the target, which must be known by then."""
    run: list[Entry] = []
    for entry in entries:
        if run and replayed_id(entry) is not None:
            yield run
            run = []
        run.append(entry)
    if run:
        yield run


async def _until(reader: Reader, ends: Ends) -> AsyncGenerator[list[Entry], None]:
    """What a reader gives up to these ends; raises `LogUnavailable` when it falls silent before."""
    loop = asyncio.get_running_loop()
    heard_s = loop.time()
    while True:
        here = await reader.position()
        if all(here.get(partition, 0) >= end for partition, end in ends.items()):
            return
        entries = await reader.poll(records_max=RECORDS_MAX, bytes_max=BYTES_MAX, wait_s=POLL_WAIT_S)
        if entries:
            heard_s = loop.time()
            yield entries
        elif loop.time() - heard_s > SILENCE_MAX_S:
            raise LogUnavailable(f"the log gave nothing for {SILENCE_MAX_S:.0f} s: run this again when it is well")


def _sum(ends: Ends) -> int:
    return sum(ends.values())
