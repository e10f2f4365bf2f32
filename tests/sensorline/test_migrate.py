"""A log replayed into another: every record once, in order, whatever interrupts it."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sensorline import migrate as module
from sensorline.migrate import migrate, target_settings
from sensorline.migrate_state import State
from telemetry import deadletters
from telemetry.errors import Conflict, Misconfigured, NotReady
from telemetry.logs import open_log
from telemetry.outcome import Reason
from telemetry.ports import (
    AUDIT,
    BATCHES,
    CHECKPOINTS,
    DEADLETTERS,
    DEVICES,
    LABELS,
    Entry,
    Log,
    Position,
    Record,
    Topic,
)
from telemetry.settings import Settings

CHUNK = 50
CONTENT: dict[Topic, list[Record]] = {
    BATCHES: [Record(f"d{n % 5}", b"v" * (n % 90), {"seq": str(n // 2)}) for n in range(330)],  # some are alike
    DEVICES: [Record(f"device/{n % 40}", None if n % 11 == 0 else str(n).encode()) for n in range(120)],
    LABELS: [Record("a", b"1"), Record("b", b"2")],
    AUDIT: [Record("who", b"did what") for _ in range(10)],
}
Kept = list[tuple[str, bytes | None, dict[str, str]]]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORDS_MAX", CHUNK)


@pytest.fixture
def source(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "target")


@asynccontextmanager
async def opened(settings: Settings) -> Any:
    log = open_log(settings.log, settings.adapter(settings.log), settings.data_dir)
    await log.start()
    try:
        yield log
    finally:
        await log.close()


async def fill(settings: Settings) -> None:
    async with opened(settings) as log:
        for topic, records in CONTENT.items():
            await log.append(topic, records)


async def entries(log: Log, topic: Topic) -> list[Entry]:
    reader = await log.follow(topic)
    found: list[Entry] = []
    while page := await reader.poll(records_max=500, bytes_max=1 << 24, wait_s=0):
        found += page
    await reader.close()
    return found


async def kept(settings: Settings, topic: Topic) -> Kept:
    async with opened(settings) as log:
        return [(e.key, e.value, dict(e.headers)) for e in await entries(log, topic)]


async def assert_the_same(source: Settings, target: Settings) -> None:
    for topic in CONTENT:
        assert await kept(target, topic) == await kept(source, topic), topic.name


async def test_every_record_is_there_in_order(source: Settings, target: Settings) -> None:
    await fill(source)
    moved = await migrate(source, target)
    assert moved.as_json()["batches"] == {"copied": 330, "earlier": 0, "left_out": 0}
    await assert_the_same(source, target)


async def test_a_second_run_takes_what_came_since(source: Settings, target: Settings) -> None:
    await fill(source)
    await migrate(source, target)
    async with opened(source) as log:
        await log.append(BATCHES, [Record("new", b"n")])
    moved = await migrate(source, target)
    assert moved.as_json()["batches"] == {"copied": 1, "earlier": 330, "left_out": 0}
    await assert_the_same(source, target)


class Crashed(BaseException):
    """As a kill would be: nothing handles it."""


def crashes() -> Iterator[tuple[str, int]]:
    """Before a chunk is taken, between that and remembering it, and right after."""
    for where in ("before append", "after append", "after save"):
        for nth in (1, 2, 7, 8, 9):
            yield where, nth


@pytest.mark.parametrize(("where", "nth"), list(crashes()))
async def test_a_crash_anywhere_leaves_each_record_once(
    source: Settings, target: Settings, monkeypatch: pytest.MonkeyPatch, where: str, nth: int
) -> None:
    await fill(source)
    left = nth

    def passing(place: str) -> None:
        nonlocal left
        left -= place == where
        if place == where and left == 0:
            raise Crashed

    with monkeypatch.context() as patched:
        copy, save = module._Migration._copy, State.save

        async def copied(self: Any, *arguments: Any) -> None:
            passing("before append")
            await copy(self, *arguments)
            passing("after append")

        def saved(self: State) -> None:
            save(self)
            passing("after save")

        patched.setattr(module._Migration, "_copy", copied)
        patched.setattr(State, "save", saved)
        with pytest.raises(Crashed):
            await migrate(source, target)
    await migrate(source, target)
    await assert_the_same(source, target)


async def test_a_chunk_that_was_taken_in_part_is_completed(source: Settings, target: Settings) -> None:
    """After an error of an append any prefix may be there."""
    await fill(source)
    async with opened(target) as log:
        await log.append(BATCHES, CONTENT[BATCHES][:20])
    state = State(source.data_dir, module.place(target))
    state.topic(BATCHES.name)
    await asyncio.to_thread(state.save)  # a run had begun, and ended before it could remember those 20
    moved = await migrate(source, target)
    assert moved.as_json()["batches"]["copied"] == 330
    await assert_the_same(source, target)


async def test_a_target_with_batches_of_its_own_is_left_alone(source: Settings, target: Settings) -> None:
    await fill(source)
    async with opened(target) as log:
        await log.append(BATCHES, [Record("own", b"1")])
    with pytest.raises(Conflict, match="batches of its own"):
        await migrate(source, target)
    assert await kept(target, BATCHES) == [("own", b"1", {})]


async def test_a_target_that_was_used_since_is_left_alone(source: Settings, target: Settings) -> None:
    await fill(source)
    await migrate(source, target)
    async with opened(target) as log:
        await log.append(BATCHES, [Record("own", b"1")] * (CHUNK + 1))
    with pytest.raises(Conflict, match="by others"):
        await migrate(source, target)


async def test_a_source_in_use_is_refused(source: Settings, target: Settings) -> None:
    async with opened(source):
        with pytest.raises(Misconfigured, match="in use"):
            await migrate(source, target)


async def test_a_source_that_is_still_written_to_is_noticed(
    source: Settings, target: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka has no lock: what came after the beginning shows at the end."""
    await fill(source)
    topic_of = module._Migration._topic

    async def and_more(self: Any, topic: Topic, *arguments: Any) -> Any:
        done = await topic_of(self, topic, *arguments)
        if topic is AUDIT:
            await self._source.append(BATCHES, [Record("late", b"1")])
        return done

    with monkeypatch.context() as patched:
        patched.setattr(module._Migration, "_topic", and_more)
        with pytest.raises(NotReady, match="stop its station"):
            await migrate(source, target)
    await migrate(source, target)
    await assert_the_same(source, target)


async def test_checkpoints_stay_behind(source: Settings, target: Settings) -> None:
    async with opened(source) as log:
        await log.append(CHECKPOINTS, [Record("detect", b"offset 17")])
    await migrate(source, target)
    assert await kept(target, CHECKPOINTS) == []


async def test_dead_letters_go_along_once(source: Settings, target: Settings) -> None:
    """Those whose original is still kept are made anew by the replay; markers follow their letters."""
    async with opened(source) as log:
        await log.append(BATCHES, [Record("d", b"old", {"seq": str(n)}) for n in range(4)])
        originals = await entries(log, BATCHES)
        # As if the log's retention had dropped the first two.
        pruned = [_moved(e, e.offset - 2) for e in originals]
        letters = [deadletters.dead_letter(e, Reason.STORE_REFUSED, "why", 1) for e in pruned if e.offset >= 0]
        gone = [deadletters.dead_letter(_moved(e, -1), Reason.CONFLICT, "why", 1) for e in originals[:2]]
        await log.append(DEADLETTERS, [letters[0], *gone, letters[1], Record("d", b"poison", {})])
        listed = await entries(log, DEADLETTERS)
        for k in (0, 2):
            await log.append(DEADLETTERS, [deadletters.marker(deadletters.Letter.of(listed[k]), 2)])
    moved = await migrate(source, target)
    assert moved.as_json()["deadletters"] == {"copied": 4, "earlier": 0, "left_out": 3}
    async with opened(target) as log:
        found = await entries(log, DEADLETTERS)
    assert [deadletters.replayed_id(e) for e in found] == [None, None, None, "0-1"]
    assert deadletters.Letter.of(found[1]).at == Position(0, 1)
    assert found[2].value == b"poison"


def _moved(entry: Entry, offset: int) -> Entry:
    return Entry(entry.topic, 0, offset, entry.key, entry.value, entry.headers, entry.appended_ns)


async def test_the_operators_key_goes_along(source: Settings, target: Settings) -> None:
    await fill(source)
    (source.data_dir / "operator.key").write_text("slk_first\n")
    await migrate(source, target)
    copied = target.data_dir / "operator.key"
    assert copied.read_text() == "slk_first\n"
    assert copied.stat().st_mode & 0o777 == 0o600
    (source.data_dir / "operator.key").write_text("slk_second\n")
    await migrate(source, target)
    assert copied.read_text() == "slk_first\n"


async def test_the_same_log_is_refused(source: Settings) -> None:
    with pytest.raises(Misconfigured, match="same log"):
        await migrate(source, target_settings(source, None, {"gateway.port": 1}))


async def test_memory_cannot_be_migrated(source: Settings) -> None:
    with pytest.raises(Misconfigured, match="memory"):
        await migrate(source, target_settings(source, None, {"log": "memory"}))


async def test_a_damaged_state_is_no_reason_to_copy_twice(source: Settings, target: Settings) -> None:
    await fill(source)
    await migrate(source, target)
    State(source.data_dir, module.place(target)).path.write_text("{")
    with pytest.raises(Misconfigured, match="delete it"):
        await migrate(source, target)
