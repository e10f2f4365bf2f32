"""The table where the log fails it, in time that a test drives.  What it promises is in the logs' suite."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from telemetry.clock import ManualClock
from telemetry.errors import LogUnavailable, NotReady
from telemetry.logs.memory import Config, MemoryLog
from telemetry.ports import DEVICES, Record, Topic
from telemetry.table import Table


class Moody(MemoryLog):
    """A log that can stop answering: `error` is what `ends` raises."""

    error: Exception | None = None

    async def ends(self, topic: Topic) -> dict[int, int]:
        if self.error is not None:
            raise self.error
        return await super().ends(topic)


def moody(clock: ManualClock | None = None) -> Moody:
    return Moody(Config(), clock=clock, topics=(DEVICES,))


async def put(log: MemoryLog, *pairs: tuple[str, str | None]) -> None:
    records: Sequence[Record] = [Record(key, None if value is None else value.encode()) for key, value in pairs]
    await log.append(DEVICES, records)


async def pass_time(clock: ManualClock, wait_s: float) -> None:
    """In tenths of a second, letting everything that became due run to its next wait."""
    for _ in range(round(wait_s * 10)):
        await clock.advance(0.1)
        for _ in range(20):
            await asyncio.sleep(0)


def contents(table: Table) -> Mapping[str, bytes | None]:
    return {entry.key: entry.value for entry in table.scan()}


async def test_a_log_that_stops_answering_makes_it_older_and_older() -> None:
    clock = ManualClock()
    log = moody(clock)
    await put(log, ("a", "1"))
    table = await Table.open(log, DEVICES, clock=clock)
    assert table.age_s() == 0
    log.error = LogUnavailable("no answer")
    await pass_time(clock, 10)
    assert table.age_s() >= 9
    assert contents(table) == {"a": b"1"}
    with pytest.raises(LogUnavailable):
        await table.sync(1.0)
    log.error = None
    await put(log, ("a", "2"))
    await pass_time(clock, 2)
    assert table.age_s() <= 1
    assert contents(table) == {"a": b"2"}
    await table.close()


async def test_it_confirms_its_end_every_second_of_a_quiet_topic() -> None:
    clock = ManualClock()
    table = await Table.open(moody(clock), DEVICES, clock=clock)
    for _ in range(100):
        await pass_time(clock, 0.1)
        assert table.age_s() <= 1.0
    await table.close()


async def test_it_is_not_ready_when_it_cannot_load() -> None:
    log = moody()
    log.error = LogUnavailable("no answer")
    with pytest.raises(LogUnavailable):
        await Table.open(log, DEVICES, timeout_s=1.0)


async def test_an_unexpected_end_of_following_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    log = moody()
    table = await Table.open(log, DEVICES)
    log.error = ZeroDivisionError("a bug")
    async with asyncio.timeout(10):
        while table.age_s() < math.inf:
            await asyncio.sleep(0.05)
    log.error = None
    with pytest.raises(NotReady, match="a bug"):
        await table.sync(1.0)
    assert "not followed any more" in caplog.text
    await table.close()


async def test_sync_gives_up_in_time() -> None:
    log = moody()
    table = await Table.open(log, DEVICES)

    async def stuck(_topic: Topic) -> dict[int, int]:
        return {0: 10}

    log.ends = stuck  # type: ignore[method-assign]
    with pytest.raises(NotReady, match="not current"):
        await table.sync(0.2)
    await table.close()


async def test_its_file_is_made_anew_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "devices.db"
    path.write_bytes(b"of an earlier run")
    log = moody()
    await put(log, ("a", "1"), ("b", "2"), ("a", None))
    table = await Table.open(log, DEVICES, path)
    assert contents(table) == {"b": b"2"}
    assert path.read_bytes().startswith(b"SQLite format 3")
    await table.close()
    assert not path.exists()


async def test_a_page_is_bounded() -> None:
    log = moody()
    await put(log, *((f"{i:05}", "v") for i in range(1_500)))
    table = await Table.open(log, DEVICES)
    first = table.scan(limit=10**6)
    assert len(first) == 1_000
    assert [e.key for e in table.scan(after=first[-1].key)] == [f"{i:05}" for i in range(1_000, 1_500)]
    await table.close()
