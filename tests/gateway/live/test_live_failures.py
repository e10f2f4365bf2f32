"""What goes wrong behind the streams: nobody is left at a follower that ended, nothing spins, nothing is held."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.live import catch_up
from gateway.live.events import PULSE, READINGS
from gateway.live.feed import seen_of
from gateway.live.follower import LANES, Follower
from gateway.live.hub import FAILED, Hub
from gateway.live.outbox import Outbox
from gateway.live.reader import Reader
from gateway.live.rest import REST_S, REST_S_MAX, STEADY_S, Rest
from gateway.live.ring import Ring
from gateway.live.seen import SeenBatch
from gateway.live.stream import Place, Stream, Wanted
from telemetry import metrics
from telemetry.clock import ManualClock, SystemClock
from telemetry.errors import LogUnavailable, NotReady
from telemetry.ports import BATCHES, Record
from telemetry.settings import Limits
from tests.gateway.gateway_world import World, batch, eventually, gateway
from tests.gateway.live.faulty_log import FaultyLog
from tests.gateway.live.live_entries import batch_entry, series, shown
from tests.gateway.live.live_world import Listening, listening

WANTED = Wanted(frozenset({READINGS}), frozenset({"pi"}))
QUERY: dict[str, Any] = {"kinds": "readings", "device": "pi"}


def record(seq: int) -> Record:
    """A batch as a gateway writes it."""
    entry = batch_entry("pi", seq)
    return Record(entry.key, entry.value, entry.headers, entry.batch)


def failures(where: str) -> float:
    return metrics.REGISTRY.get_sample_value("sensorline_live_failures_total", {"where": where}) or 0.0


@pytest.fixture
async def log() -> AsyncIterator[FaultyLog]:
    """One that was not told to fail yet."""
    log = FaultyLog()
    yield log
    log.answers.set()
    await log.close()


def hub_of(log: FaultyLog, clock: Any = None, **limits: Any) -> Hub:
    return Hub(log, clock or SystemClock(), lambda *_: False, Limits(**limits))


async def ended(reader: Reader) -> None:
    async with asyncio.timeout(5):
        while await reader.next(1.0) is not None:
            pass


async def heard(reader: Reader, text: bytes) -> bytes:
    """What came, up to a piece with this text."""
    found = b""
    async with asyncio.timeout(5):
        while text not in found:
            frames = await reader.next(1.0)
            assert frames is not None, found
            found += frames
    return found


# --- a follower that ends


async def reopened(world: World, key: str, **query: Any) -> tuple[int, list[dict[str, Any]]]:
    """Come back until one is let in: how often one was refused, and the readings of two batches then."""
    for refused in range(100):
        async with listening(world.app, key, **QUERY, **query) as again:
            if again.status == 200:
                return refused, [event.data for event in await again.events(2, "readings")]
            assert (again.status, "retry-after" in again.headers) == (503, True)
        await asyncio.sleep(0.05)
    raise AssertionError("never let in")


async def opened(world: World, key: str, heard: Listening, token: str) -> str:
    """An open stream that heard of batch 0; its last id."""
    await heard.event("hello")
    await world.post("/v1/batches", batch("pi", 0), token)
    event = await heard.event("readings")
    assert event.data["seq"] == 0
    return event.id


async def test_who_opens_while_readers_of_a_failed_follower_are_still_there_hears_all(
    log: FaultyLog, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(log=log, limits={"requests_per_s": 1e6}) as world:
        key, token = await world.services.enrolment.add_operator("w", "viewer"), await world.device("pi")
        before = failures("following")
        async with listening(world.app, key, **QUERY) as stuck, listening(world.app, key, **QUERY) as quick:
            await stuck.event("hello")
            last = await opened(world, key, quick, token)
            stuck.reads.clear()
            await world.post("/v1/batches", batch("pi", 1), token)  # it waits to be sent: this reader stays
            await quick.event("readings")
            log.error = ZeroDivisionError("a fault of ours")
            await world.post("/v1/batches", batch("pi", 2), token)
            await eventually(quick.ended.is_set)
            log.error = None
            assert world.services.live.readers == 1
            assert failures("following") == before + 1
            assert "a fault of ours" in caplog.text
            _, events = await reopened(world, key, after=last)
            assert [event["seq"] for event in events] == [1, 2]
        await eventually(lambda: (world.services.live.readers, world.services.live.is_following) == (0, False))


async def test_who_comes_back_at_once_each_time_makes_no_loop_of_it(log: FaultyLog) -> None:
    clock = ManualClock()
    hub = hub_of(log, clock)
    rests = []
    await log.append(BATCHES, [record(0)])
    for n in range(5):
        reader = await hub.open(WANTED, "w", shown)
        log.error = RuntimeError("at once, each time")
        await log.append(BATCHES, [record(n)])
        await ended(reader)
        hub.leave(reader)
        log.error, followed = None, log.followed
        for _ in range(10):
            with pytest.raises(LogUnavailable) as refused:
                await hub.open(WANTED, "w", shown)
        assert log.followed == followed
        rests.append(refused.value.retry_after_s)
        await clock.advance(rests[-1] or 0)
    assert rests == [0.5, 1.0, 2.0, 4.0, 5.0]
    reader = await hub.open(WANTED, "w", shown)
    await heard(reader, b"event: hello")
    await hub.close()


def test_a_rest_grows_and_begins_small_again_after_one_that_held_out() -> None:
    rest = Rest()
    assert rest.left_s(0.0) == 0
    for _ in range(2000):
        rest.begin(10.0)
    assert (rest.left_s(10.0), rest.left_s(14.0), rest.left_s(99.0)) == (REST_S_MAX, 1.0, 0.0)
    rest.begin(20.0, held_out_s=STEADY_S)
    assert rest.left_s(20.0) == REST_S


async def test_all_who_wait_for_the_log_are_told_when_it_does_not_come(log: FaultyLog) -> None:
    hub = hub_of(log)
    log.answers.clear()
    opening = [asyncio.create_task(hub.open(WANTED, "w", shown)) for _ in range(10)]
    await eventually(lambda: log.asked == 1)
    log.error = LogUnavailable("away")
    log.answers.set()
    ends = await asyncio.gather(*opening, return_exceptions=True)
    assert [type(end) for end in ends] == [LogUnavailable] * 10
    assert log.asked == 1  # each would have waited for a deadline of its own
    assert hub.readers == 0
    await hub.close()


async def test_a_hub_that_is_closed_while_it_begins_leaves_nothing_behind(log: FaultyLog) -> None:
    hub = hub_of(log)
    log.answers.clear()
    opening = [asyncio.create_task(hub.open(WANTED, "w", shown)) for _ in range(3)]
    await eventually(lambda: log.asked == 1)
    await hub.close()
    log.answers.set()
    ends = await asyncio.gather(*opening, return_exceptions=True)
    assert [type(end) for end in ends] == [NotReady] * 3
    assert (hub.readers, hub.is_following, log.asked) == (0, False, 1)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("live-")]


async def test_opens_that_are_given_up_count_no_more(log: FaultyLog) -> None:
    hub = hub_of(log, live_readers_per_principal_max=3)
    log.answers.clear()
    opening = [asyncio.create_task(hub.open(WANTED, "w", shown)) for _ in range(3)]
    await eventually(lambda: log.asked == 1)
    for task in opening:
        task.cancel()
    await asyncio.wait(opening)
    log.answers.set()
    for reader in [await hub.open(WANTED, "w", shown) for _ in range(3)]:
        hub.leave(reader)
    assert hub.is_following is False
    await hub.close()


# --- one that comes back


async def test_a_record_that_cannot_be_caught_up_with_is_left_behind(
    log: FaultyLog, monkeypatch: pytest.MonkeyPatch
) -> None:

    def poisoned(entry: Any, is_deleted: Any) -> Any:
        if entry.offset == 1:
            raise RuntimeError("this record trips us")
        return seen_of(entry, is_deleted)

    monkeypatch.setattr(catch_up, "seen_of", poisoned)
    before, hub = failures("catching_up"), hub_of(log)
    await log.append(BATCHES, [record(n) for n in range(3)])
    reader = await hub.open(WANTED, "w", shown, "b0.0_a0.0")
    found = await heard(reader, b"event: reset")
    assert FAILED.encode() in found
    assert failures("catching_up") == before + 1
    await log.append(BATCHES, [record(3)])
    assert b"event: reset" not in await heard(reader, b'"seq":3')
    await hub.close()


@pytest.mark.parametrize("after", ["b0.9.8_a0.0", "b0.9.9_a0.0"])
async def test_an_id_beyond_the_end_begins_anew_also_when_its_window_began_before(log: FaultyLog, after: str) -> None:
    hub = hub_of(log)
    await log.append(BATCHES, [record(n) for n in range(3)])
    reader = await hub.open(WANTED, "w", shown, after)
    assert b"the id is of another log" in await heard(reader, b"event: reset")
    await hub.close()


async def test_who_never_gets_on_gives_its_lane_to_others(log: FaultyLog, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = hub_of(log)
    await log.append(BATCHES, [record(0)])
    log.is_deaf = True
    with monkeypatch.context() as patched:
        patched.setattr(catch_up, "LANE_S", 0.05)
        readers = [await hub.open(WANTED, f"w{n}", shown, "b0.0_a0.0") for n in range(2 * LANES)]
        for reader in readers:
            await ended(reader)
            hub.leave(reader)
    await eventually(lambda: log.open_readers == 0)
    log.is_deaf = False
    await heard(await hub.open(WANTED, "w", shown, "b0.0_a0.0"), b'"seq":0')
    await hub.close()


async def test_a_crowd_that_comes_back_reads_the_log_a_few_at_a_time(log: FaultyLog) -> None:
    """Each with an open window: after a restart that is every page, and on a broker each reading is a connection."""
    hub = hub_of(log)
    await log.append(BATCHES, [record(n) for n in range(3)])
    log.is_deaf, most = True, 0
    wanted = Wanted(frozenset({PULSE}))
    readers = [await hub.open(wanted, f"w{n}", shown, "b0.3.3_a0.0") for n in range(3 * LANES)]
    await eventually(lambda: log.open_readers >= LANES)
    for _ in range(100):
        await asyncio.sleep(0)
        most = max(most, log.open_readers)
    assert most == LANES
    log.is_deaf = False
    for reader in readers:
        await heard(reader, b'"batches":2')
    await hub.close()


# --- through the ring


def ring_of(n: int, ring_bytes_max: int = 2**30) -> Follower:
    """A follower that has seen n records."""
    follower = Follower(FaultyLog(), SystemClock(), lambda *_: False, ring_bytes_max)
    follower.place = Place({0: 0}, {0: 0})
    follower.ring = Ring(follower.place, ring_bytes_max)
    for seq in range(n):
        follower._hand_on(batch_entry("pi", seq))
    return follower


def returning(follower: Follower, outbox_bytes_max: int) -> Reader:
    """One that goes on from the beginning."""
    stream = Stream(WANTED, Place({0: 0}, {0: 0}), Outbox(outbox_bytes_max), shown)
    stream.greet(0)
    return Reader(stream, follower.clock)


async def test_a_reader_that_went_while_it_was_slow_ends_its_catching_up(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = ring_of(50)
    reader = returning(follower, 2_000)
    catching_up = asyncio.create_task(catch_up.CatchUp(follower, reader, 100).run(reader.stream.mark()))
    await eventually(lambda: not reader.stream.outbox.has_room)
    asked, room = 0, reader.room

    async def counted() -> None:
        nonlocal asked
        asked += 1
        if asked > 1_000:
            raise AssertionError("it spins: nothing else would run any more")
        await room()

    monkeypatch.setattr(reader, "room", counted)
    reader.end()
    async with asyncio.timeout(5):
        await catching_up
    assert reader not in follower.readers


async def test_catching_up_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = ring_of(400)
    reader = returning(follower, 2**30)
    told_in_a_piece, most = 0, 0
    tell = catch_up.CatchUp._tell

    def counted(self: catch_up.CatchUp, entry: Any) -> None:
        nonlocal told_in_a_piece, most
        told_in_a_piece += 1
        most = max(most, told_in_a_piece)
        tell(self, entry)

    async def others() -> None:
        nonlocal told_in_a_piece
        while True:
            told_in_a_piece = 0
            await asyncio.sleep(0)

    monkeypatch.setattr(catch_up.CatchUp, "_tell", counted)
    running = asyncio.create_task(others())
    await asyncio.sleep(0)
    await catch_up.CatchUp(follower, reader, 1000).run(reader.stream.mark())
    running.cancel()
    assert reader in follower.readers
    assert len(reader.stream.outbox) == 401
    assert most <= catch_up.STEP_RECORDS


class Headers(dict[str, str]):
    """Can be watched."""


async def test_a_reader_that_stands_still_holds_nothing_that_the_ring_let_go() -> None:
    follower = ring_of(0, 20_000)
    watched = []
    for seq in range(10):
        entry = batch_entry("pi", seq)
        headers = Headers(entry.headers)
        watched.append(weakref.ref(headers))
        follower._hand_on(replace(entry, headers=headers))
    del entry, headers
    reader = returning(follower, 2_000)
    catching_up = asyncio.create_task(catch_up.CatchUp(follower, reader, 100).run(reader.stream.mark()))
    await eventually(lambda: not reader.stream.outbox.has_room)
    await asyncio.sleep(0)
    for seq in range(10, 60):
        follower._hand_on(batch_entry("pi", seq))
    gc.collect()
    assert [ref for ref in watched if ref() is not None] == []
    catching_up.cancel()
    await asyncio.wait([catching_up])


def test_a_record_that_was_told_in_part_stays_so_in_every_id_until_it_comes() -> None:
    parts = [series("acceleration"), series("gyroscope"), series("light", illuminance=[1.0, 2.0])]
    stream = Stream(WANTED, Place({0: 0, 1: 0}, {0: 0}), Outbox(2**20), shown)
    mark = stream.mark()
    stream.resume(replace(mark, within=(0, 2)), 0.0)
    assert stream.mark().within == (0, 2)
    assert stream.is_settled  # so a sign of life has the id
    other = batch_entry("pi", 7, partition=1, offset=0)
    stream.place.batches[1] = 1
    stream.batch(SeenBatch(other), 0.0)
    assert b"id: b0.0-1.1!0.2_a0.0\n" in stream.outbox.take(10**6)
    stream.place.batches[0] = 1
    stream.batch(SeenBatch(batch_entry("pi", 0, parts, partition=0, offset=0)), 0.0)
    frames = stream.outbox.take(10**6)
    assert frames.count(b"event: readings") == 1
    assert b'"sensor":"light"' in frames
    assert b"id: b0.1-1.1_a0.0\n" in frames
