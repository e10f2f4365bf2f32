"""The loop: commit after the flush, whatever fails; a poison record falls out alone."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.runner import Runner
from telemetry import metrics
from telemetry.outcome import Reason
from telemetry.ports import BATCHES, DEADLETTERS, Entry, Record
from telemetry.settings import Consumers
from tests.consumers.world import CLOCK, NOW_NS, SETTINGS, Failure, World, batch, record

SCRIPTS = st.lists(st.sampled_from([None, *Failure]), max_size=6)


@pytest.fixture(autouse=True)
def _short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """`stop` is noticed between polls: keep them short, so that hundreds of runs stay quick."""
    monkeypatch.setattr("consumers.runner.POLL_WAIT_S_MAX", 0.01)


async def letters(world: World) -> list[Entry]:
    reader = await world.log.follow(DEADLETTERS)
    return await reader.poll(records_max=100, bytes_max=10**7, wait_s=0.01)


@settings(max_examples=40, deadline=None)
@given(script=SCRIPTS, flush=st.integers(1, 40))
def test_every_reading_is_stored_once_whatever_the_store_does(script: list[Failure | None], flush: int) -> None:
    async def run() -> None:
        world = await World().start()
        await world.append(*(batch("a", "s", seq) for seq in range(12)), batch("a", "s", 3), batch("b", "s", 0))
        world.store.script = list(script)
        await world.consume(world.index(), Consumers(**SETTINGS.model_dump() | {"flush_readings_max": flush}))
        assert (await world.store.counts()).readings == 13 * 4
        assert [c.id.seq for c in await world.store.claims("a")] == list(range(12))
        assert await letters(world) == []

    asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(script=SCRIPTS)
def test_the_ledger_counts_each_batch_once_whatever_the_store_does(script: list[Failure | None]) -> None:
    async def run() -> None:
        world = await World().start()
        for session in "pqr":  # more sessions than the cache holds
            await world.append(*(batch("a", session, seq) for seq in (0, 1, 3, 2, 2, 5)))
        world.store.script = list(script)
        await world.consume(world.ledger(), Consumers(**SETTINGS.model_dump() | {"flush_readings_max": 9}))
        for session in await world.store.completeness("a"):
            assert session.received_batches == 5
            assert session.received_readings == 20
            assert session.duplicate_batches == 1
            assert session.missing_batches == 1
            assert session.reordered_batches == 1

    asyncio.run(run())


async def test_a_failing_store_holds_the_partition_and_says_so() -> None:
    world = await World().start()
    await world.append(batch())
    world.store.script = [Failure.REFUSE] * 3
    before = metrics.flush_failures.labels("index")._value.get()
    runner = await world.consume(world.index())
    assert metrics.flush_failures.labels("index")._value.get() == before + 3
    assert runner.failing == ""
    assert world.store.writes == 4


async def test_stopping_while_the_store_is_away_commits_nothing() -> None:
    world = await World().start()
    await world.append(batch())
    world.store.script = [Failure.REFUSE] * 10_000
    runner = Runner(world.log, BATCHES, world.index(), SETTINGS, CLOCK)
    task = asyncio.create_task(runner.run())
    async with asyncio.timeout(10):
        while not runner.failing:
            await asyncio.sleep(0.002)
    runner.stop()
    await asyncio.wait_for(task, 5)
    assert await world.log.committed(BATCHES, "index") == {}


async def test_stopping_flushes_what_is_held() -> None:
    world = await World().start()
    await world.append(batch())
    runner = Runner(world.log, BATCHES, world.index(), Consumers(flush_wait_s=30), CLOCK)
    task = asyncio.create_task(runner.run())
    async with asyncio.timeout(10):
        while not runner._held.entries:
            await asyncio.sleep(0.002)
    runner.stop()
    await asyncio.wait_for(task, 35)
    assert await world.log.committed(BATCHES, "index") == {0: 1}


@pytest.mark.parametrize(
    "poison",
    [
        Record("d", b"\xff\x00 not json", {"session": "s", "seq": "1", "hash": "h", "readings": "1", "received": "1"}),
        Record("d", None, {}),
        Record("d", b"{}", {"seq": "no number"}),
        Record("d", record(batch(seq=7)).value, {**record(batch(seq=8)).headers}),
    ],
    ids=["bytes", "empty", "headers", "value of another batch"],
)
async def test_a_poison_record_is_dead_lettered_alone(poison: Record) -> None:
    world = await World().start()
    await world.log.append(BATCHES, [record(batch(seq=0)), poison, record(batch(seq=1))])
    await world.consume(world.index())
    assert (await world.store.counts()).batches == 2
    (letter,) = await letters(world)
    assert letter.headers["dl-reason"] == Reason.UNDECODABLE
    assert letter.headers["dl-offset"] == "1"
    assert letter.value == poison.value


async def test_other_content_under_the_same_id_is_a_conflict_and_the_first_stays() -> None:
    world = await World().start()
    await world.append(batch(value=1.0), batch(value=2.0))
    await world.consume(world.index())
    (letter,) = await letters(world)
    assert letter.headers["dl-reason"] == Reason.CONFLICT
    (claim,) = await world.store.claims("d")
    assert claim.content_hash == record(batch(value=1.0)).headers["hash"]


async def test_a_deleted_devices_batches_are_skipped_until_its_deletion() -> None:
    world = await World().start()
    world.deleted = {"d": NOW_NS}
    await world.append(batch("d"), batch("e"))
    await world.consume(world.index())
    assert [d.device for d in await world.store.devices()] == ["e"]


async def test_a_deletion_during_the_write_wins() -> None:
    world = await World().start()
    index = world.index()
    calls = 0

    async def refresh() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # between the write and the sweep
            world.deleted["d"] = NOW_NS

    index._refresh = refresh
    await world.append(batch("d"), batch("e"))
    await world.consume(index)
    assert [d.device for d in await world.store.devices()] == ["e"]


async def test_a_lag_over_the_limit_raises_the_alarm_and_catching_up_lowers_it() -> None:
    world = await World().start()
    await world.append(*(batch(seq=seq) for seq in range(5)))
    world.store.script = [Failure.REFUSE] * 10_000
    alarm = metrics.lag_alarm.labels("index")._value
    runner = Runner(
        world.log,
        BATCHES,
        world.index(),
        Consumers(flush_wait_s=0.01, backoff_s=0.01, backoff_max_s=0.02, lag_alarm_records=2),
        CLOCK,
    )
    task = asyncio.create_task(runner.run())
    async with asyncio.timeout(10):
        while alarm.get() != 1:
            await asyncio.sleep(0.01)
    world.store.script = []
    async with asyncio.timeout(10):
        while alarm.get() != 0:
            await asyncio.sleep(0.01)
    runner.stop()
    await asyncio.wait_for(task, 5)
