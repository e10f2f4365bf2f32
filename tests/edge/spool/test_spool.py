"""The spool as its users see it."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from edge.batcher import CutLimits
from edge.spooled import Epoch, Lane
from telemetry import wire
from telemetry.batch import BatchId
from telemetry.clock import ManualClock, SystemClock
from telemetry.errors import Misconfigured, NotReady
from tests.edge.spool.world import (
    DEVICE,
    EPOCH,
    KIB,
    LATER,
    T0,
    advance,
    cut,
    drain,
    dropped,
    killed,
    numbers,
    opened,
)

SMALL = {"size_bytes_max": 160 * KIB, "commit_bytes_max": 32 * KIB}


@pytest.fixture(params=[True, False], ids=["inline", "thread"])
def inline(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_what_is_put_comes_out_in_order_with_the_same_bytes(tmp_path: Path, inline: bool) -> None:
    spool = await opened(tmp_path, inline=inline)
    await spool.put([cut(0), cut(1)], epoch=EPOCH)
    assert await spool.head(Lane.LIVE) is None, "nothing is offered before it is durable"
    assert spool.depth().batches == 2
    await spool.commit()
    first = await spool.head(Lane.LIVE)
    assert first is not None
    assert first.id == BatchId(DEVICE, spool.session, 0)
    assert first.epoch == EPOCH
    assert first.body == wire.encode(wire.decode(first.body))
    assert numbers(first) == {0: 3}
    assert await spool.head(Lane.LIVE) == first
    await spool.free(first.id)
    second = await spool.head(Lane.LIVE)
    assert second is not None
    assert second.id.seq == 1
    await spool.close()
    again = await opened(tmp_path, inline=inline)
    assert again.session != spool.session
    assert await again.head(Lane.LIVE) is None
    assert await again.head(Lane.BACKLOG) == second
    await again.free(second.id)
    assert await again.head(Lane.BACKLOG) is None
    assert again.depth().batches == 0
    await again.close()
    assert (await opened(tmp_path)).depth().oldest_put_ns is None


async def test_a_cursor_is_durable_with_its_readings_or_not_at_all(tmp_path: Path) -> None:
    spool = await opened(tmp_path / "0")
    await spool.put([cut(0)], epoch=EPOCH, cursors={"file": "10"})
    await spool.commit()
    await spool.put([cut(1)], epoch=EPOCH, cursors={"file": "20"})
    assert spool.cursor("file") == "10"
    again = await opened(killed(spool, tmp_path / "0", tmp_path / "1"))
    assert again.cursor("file") == "10"
    assert [numbers(b) for b in await drain(again)] == [{0: 3}]
    await again.put([], epoch=EPOCH, cursors={"file": "30"})
    await again.commit()
    assert again.cursor("file") == "30"
    await again.close()


async def test_rotate_makes_what_is_there_backlog(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    await spool.put([cut(0)], epoch=EPOCH)
    await spool.commit()
    live = await spool.head(Lane.LIVE)
    await spool.put([cut(1)], epoch=EPOCH)
    old = spool.session
    new = await spool.rotate(LATER)
    assert new == spool.session != old
    await spool.put([cut(2)], epoch=LATER)
    await spool.commit()
    assert await spool.head(Lane.BACKLOG) == live
    assert [(b.id.session, numbers(b), b.epoch) for b in await drain(spool)] == [
        (old, {0: 3}, EPOCH),
        (old, {1: 3}, EPOCH),
        (new, {2: 3}, LATER),
    ]
    await spool.commit()
    assert [s.name for s in spool._committer.state.sessions.values()] == [new]
    await spool.close()


async def test_drafts_get_their_seq_and_their_times_when_the_clock_is_set(tmp_path: Path) -> None:
    spool = await opened(tmp_path, {"commit_bytes_max": 64 * KIB}, limits=CutLimits(2_000))
    await spool.put([cut(0, 200)], epoch=EPOCH, draft=True, cursors={"file": "1"})
    await spool.commit()
    assert spool.cursor("file") == "1"
    await spool.put([cut(1)], epoch=EPOCH, draft=True)  # not committed yet
    assert await spool.head(Lane.LIVE) is None
    assert spool.depth().readings == 203
    await spool.settle(5_000, LATER)
    await spool.put([cut(2)], epoch=LATER)
    await spool.commit()
    out = await drain(spool)
    assert len(out) > 3, "split to the limits again"
    assert all(len(b.body) <= 2_000 for b in out)
    assert [b.id.seq for b in out] == list(range(len(out)))
    assert {b.epoch for b in out} == {LATER}
    assert sum(numbers(b).get(0, 0) for b in out) == 200
    assert [list(numbers(b)) for b in out][-2:] == [[1], [2]]
    times = [int(t) for b in out for t in wire.decode(b.body).series[0].t]
    assert times[:2] == [T0 + 5_000, T0 + 5_000 + 10**6]
    assert times[200] == T0 + 10**9 + 5_000
    assert times[203] == T0 + 2 * 10**9
    await spool.close()


async def test_drafts_of_an_earlier_run_become_a_session_of_their_own(tmp_path: Path) -> None:
    spool = await opened(tmp_path / "0")
    await spool.put([cut(0)], epoch=EPOCH, draft=True)
    await spool.commit()
    again = await opened(killed(spool, tmp_path / "0", tmp_path / "1"))
    (only,) = await drain(again)
    assert only.id.session not in (spool.session, again.session)
    assert only.epoch == Epoch(EPOCH.boot, EPOCH.offset_ns, synchronised=False)
    assert wire.decode(only.body).series[0].t[0] == T0
    await again.close()


async def test_a_quiet_spool_writes_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = await opened(tmp_path, clock=clock)
    running = asyncio.ensure_future(spool.run())
    await advance(clock, 3_600)
    assert spool.depth().commits == 0
    await spool.put([cut(0), cut(1)], epoch=EPOCH)
    await advance(clock, 4.9)
    assert spool.depth().commits == 0
    await advance(clock, 0.2)
    assert spool.depth().commits == 1
    head = await spool.head(Lane.LIVE)
    assert head is not None
    await spool.free(head.id)
    await advance(clock, 59)
    assert spool.depth().commits == 1, "a delete alone waits for company"
    await advance(clock, 2)
    assert spool.depth().commits == 2
    await advance(clock, 3_600)
    assert spool.depth().commits == 2
    running.cancel()
    await spool.close()


async def test_a_batch_a_second_costs_twelve_commits_a_minute(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = await opened(tmp_path, clock=clock)
    running = asyncio.ensure_future(spool.run())
    for n in range(300):
        await spool.put([cut(n)], epoch=EPOCH)
        while (head := await spool.head(Lane.LIVE)) is not None:
            await spool.free(head.id)
        await advance(clock, 1.0, 2)
    assert 55 <= spool.depth().commits <= 61
    running.cancel()
    await spool.close()


async def test_enough_bytes_are_committed_before_the_period(tmp_path: Path) -> None:
    spool = await opened(tmp_path, {"commit_period_s": 300.0, "commit_bytes_max": 64 * KIB}, clock=SystemClock())
    running = asyncio.ensure_future(spool.run())
    async with asyncio.timeout(10):
        for n in range(10):
            await spool.put([cut(n, 300)], epoch=EPOCH)
        await spool.wait(Lane.LIVE)
    running.cancel()
    await spool.close()


# --- full -----------------------------------------------------------------------------------------------------


async def test_block_waits_until_something_was_acknowledged(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = await opened(tmp_path, SMALL | {"on_full": "block"}, clock=clock)
    kept = 0

    async def put_for_ever() -> None:
        nonlocal kept
        for n in range(1_000):
            await spool.put([cut(n, 100)], epoch=EPOCH)
            kept = n + 1

    running = [asyncio.ensure_future(put_for_ever()), asyncio.ensure_future(spool.run())]
    await advance(clock, 60)
    stopped_at = kept
    assert 20 < stopped_at < 100
    assert spool.depth().is_full
    await advance(clock, 60)
    assert kept == stopped_at
    for _ in range(20):
        head = await spool.head(Lane.LIVE)
        assert head is not None
        await spool.free(head.id)
    await advance(clock, 60)
    assert kept > stopped_at + 10
    assert spool.depth().dropped == {}
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    while True:  # the put that was cancelled was not taken
        await spool._committer.commit_some()
        if not await spool.head(Lane.LIVE):
            break
        await drain(spool)
    await spool.close()


async def test_drop_oldest_keeps_the_head_and_the_newest(tmp_path: Path) -> None:
    spool = await opened(tmp_path, SMALL | {"on_full": "drop_oldest"})
    for n in range(150):
        await spool.put([cut(n, 100)], epoch=EPOCH)
        if n == 3:
            await spool.commit()
            head = await spool.head(Lane.LIVE)
    await spool.commit()
    depth = spool.depth()
    assert depth.size_bytes <= 160 * KIB
    assert depth.is_full
    out = await drain(spool)
    assert out[0] == head
    assert [b.id.seq for b in out] == list(range(150)), "each has its batch or its tombstone"
    stones = [gone for b in out if (gone := dropped(b))]
    assert {gone.reason for gone in stones} == {"drop_oldest"}
    assert depth.dropped == {"drop_oldest": sum(gone.readings for gone in stones)}
    assert [n for b in out for n in numbers(b)] == [0, *range(150 - (len(out) - len(stones) - 1), 150)]
    assert depth.readings == 100 * (150 - len(stones))
    await spool.close()


async def test_drop_newest_announces_a_run_of_drops_at_once(tmp_path: Path) -> None:
    spool = await opened(tmp_path, SMALL | {"on_full": "drop_newest"})
    for n in range(300):
        await spool.put([cut(n, 100)], epoch=EPOCH)
    await spool.commit()
    depth = spool.depth()
    assert depth.size_bytes <= 160 * KIB
    out = await drain(spool)
    await spool.put([cut(300)], epoch=EPOCH)
    await spool.commit()
    out += await drain(spool)
    kept = [n for b in out for n in numbers(b)]
    assert kept == [*range(len(kept) - 1), 300]
    (stone,) = [b for b in out if dropped(b)]
    assert stone.id.seq == len(kept) - 1
    gone = dropped(stone)
    assert gone is not None
    assert (gone.readings, gone.reason) == (100 * (301 - len(kept)), "drop_newest")
    assert depth.dropped == {"drop_newest": gone.readings}
    assert [b.id.seq for b in out] == list(range(len(out)))
    await spool.close()


async def test_an_offered_tombstone_does_not_grow(tmp_path: Path) -> None:
    spool = await opened(tmp_path, SMALL | {"on_full": "drop_newest"}, free_bytes=lambda _folder: 0)
    await spool.put([cut(0, 100)], epoch=EPOCH)
    await spool.commit()
    offered = await spool.head(Lane.LIVE)
    assert offered is not None
    assert dropped(offered)
    await spool.put([cut(1, 100)], epoch=EPOCH)
    await spool.put([cut(2, 100)], epoch=EPOCH)
    await spool.commit()
    assert await spool.head(Lane.LIVE) == offered
    assert [(g.readings if (g := dropped(b)) else None) for b in await drain(spool)] == [100, 200]
    await spool.close()


async def test_tombstones_do_not_eat_the_spool(tmp_path: Path) -> None:
    """Of the oldest, that are too many, only the count is kept."""
    spool = await opened(tmp_path, SMALL | {"on_full": "drop_oldest"})
    for n in range(600):
        await spool.put([cut(n, 60)], epoch=EPOCH)
    await spool.commit()
    depth = spool.depth()
    out = await drain(spool)
    stones = [gone.readings for b in out if (gone := dropped(b))]
    assert len(stones) <= 160
    assert depth.dropped["drop_oldest"] == sum(stones)
    assert depth.dropped["unannounced"] > 0
    assert sum(depth.dropped.values()) + depth.readings == 36_000
    assert len(out) - len(stones) > 30, "there is room for readings"
    await spool.close()


async def test_the_file_does_not_grow_past_its_limit(tmp_path: Path) -> None:
    limit = 1024 * KIB
    spool = await opened(tmp_path, {"size_bytes_max": limit, "commit_bytes_max": 64 * KIB})
    largest = 0
    for n in range(700):
        await spool.put([cut(n, 200)], epoch=EPOCH)
        largest = max(largest, sum(entry.stat().st_size for entry in os.scandir(tmp_path)))
    await spool.close()
    assert spool.depth().dropped
    assert (tmp_path / "spool.db").stat().st_size <= limit + 64 * KIB
    assert largest < limit * 1.6  # with the WAL


async def test_little_space_on_the_disk_is_full_and_recovers(tmp_path: Path) -> None:
    space = 2**40
    clock = ManualClock()
    spool = await opened(tmp_path, {"on_full": "block"}, clock=clock, free_bytes=lambda _folder: space)
    await spool.put([cut(0, 1_000)], epoch=EPOCH)
    await spool.commit()
    space = 1_000
    await spool.put([cut(1, 1_000)], epoch=EPOCH)
    committing = asyncio.ensure_future(spool.commit())
    await advance(clock, 10)
    assert not committing.done()
    assert spool.depth().is_full
    space = 2**40
    await advance(clock, 10)
    await asyncio.wait_for(committing, 5)
    assert not spool.depth().is_full
    assert [numbers(b) for b in await drain(spool)] == [{0: 1_000}, {1: 1_000}]
    await spool.close()


# --- refused for good ----------------------------------------------------------------------------------------


async def test_a_refused_batch_is_kept_with_its_reason_and_comes_back_as_it_was(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    await spool.put([cut(n) for n in range(3)], epoch=EPOCH)
    await spool.commit()
    first = await spool.head(Lane.LIVE)
    assert first is not None
    await spool.set_aside(first.id, "422 invalid values.x is wrong")
    second = await spool.head(Lane.LIVE)
    assert second is not None
    assert second.id.seq == 1
    (refused,) = await spool.aside()
    assert (refused.id, refused.readings, refused.reason) == (first.id, 3, "422 invalid values.x is wrong")
    assert spool.depth().aside == {"422 invalid": 3}
    assert spool.depth().aside_batches == 1
    assert await spool.retry_aside() == 1
    assert spool.depth().aside == {}
    assert await spool.head(Lane.LIVE) == first, "at its old place"
    assert [b.id.seq for b in await drain(spool)] == [0, 1, 2]
    await spool.close()


async def test_a_refused_batch_comes_back_when_its_session_is_long_over(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    await spool.put([cut(0)], epoch=EPOCH)
    await spool.commit()
    first = await spool.head(Lane.LIVE)
    assert first is not None
    await spool.set_aside(first.id, "409 conflict")
    await spool.close()
    spool = await opened(tmp_path)
    await spool.put([cut(1)], epoch=EPOCH)
    await spool.commit()
    assert await spool.retry_aside() == 1
    assert await spool.head(Lane.BACKLOG) == first
    assert [list(numbers(b)) for b in await drain(spool)] == [[0], [1]]
    await spool.close()


async def test_refused_batches_are_bounded(tmp_path: Path) -> None:
    spool = await opened(tmp_path, {"aside_bytes_max": 10_000})
    await spool.put([cut(n, 200) for n in range(10)], epoch=EPOCH)
    await spool.commit()
    while (head := await spool.head(Lane.LIVE)) is not None:
        await spool.set_aside(head.id, "422 invalid")
    await spool.commit()
    depth = spool.depth()
    kept = [r.id.seq for r in await spool.aside()]
    assert kept == list(range(9, 9 - len(kept), -1)), "the newest"
    assert 0 < len(kept) < 10
    assert depth.aside == {"422 invalid": 200 * len(kept)}
    assert depth.dropped == {"aside_full": 200 * (10 - len(kept))}
    await spool.close()


# --- manners -------------------------------------------------------------------------------------------------


class Witness:
    """A journal in memory."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def handed_over(self, batches: Any) -> None:
        self.told += [("handed_over", id_.seq, digest, readings) for id_, digest, readings in batches]

    def ended(self, id_: BatchId, end: str, reason: str = "") -> None:
        self.told.append((end, id_.seq, reason))


async def test_the_journal_hears_of_every_batch_and_its_end(tmp_path: Path) -> None:
    journal = Witness()
    spool = await opened(tmp_path, SMALL | {"on_full": "drop_oldest"}, journal=journal)
    await spool.put([cut(n) for n in range(2)], epoch=EPOCH)
    await spool.commit()
    first = await spool.head(Lane.LIVE)
    assert first is not None
    assert ("handed_over", 0, wire.content_hash(first.body), 3) in journal.told
    await spool.free(first.id)
    second = await spool.head(Lane.LIVE)
    assert second is not None
    await spool.set_aside(second.id, "400 malformed x")
    for n in range(2, 100):
        await spool.put([cut(n, 100)], epoch=EPOCH)
    await spool.commit()
    ends = {seq: (end, why) for end, seq, why, *rest in journal.told if not rest}
    assert ends[0] == ("acknowledged", "")
    assert ends[1] == ("set_aside", "400 malformed x")
    gone = {seq for seq, end in ends.items() if end == ("dropped", "drop_oldest")}
    assert spool.depth().dropped == {"drop_oldest": 100 * len(gone)}
    assert {seq for kind, seq, *_ in journal.told if kind == "handed_over"} >= gone
    await drain(spool)
    await spool.close()
    assert sum(kind == "acknowledged" for kind, *_ in journal.told) == 1 + 98 - len(gone)


async def test_cancelled_calls_leave_a_spool_that_works(tmp_path: Path) -> None:
    spool = await opened(tmp_path, {"commit_bytes_max": 64 * KIB}, inline=False, clock=SystemClock())
    for n in range(60):
        await spool.put([cut(n, 50)], epoch=EPOCH)
        task = asyncio.ensure_future(
            [spool.commit, spool.head, spool.wait][n % 3](*([] if n % 3 == 0 else [Lane.LIVE]))
        )
        await asyncio.sleep(0)
        if n % 2:
            await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    async with asyncio.timeout(10):
        await spool.commit()
        assert [list(numbers(b)) for b in await drain(spool)] == [[n] for n in range(60)]
        await spool.close()
        await spool.close()
    with pytest.raises(NotReady):
        await spool.put([cut(0)], epoch=EPOCH)


async def test_a_folder_that_cannot_be_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "spool.db").mkdir()
    with pytest.raises(Misconfigured):
        await opened(tmp_path)


async def test_a_put_larger_than_the_spool_goes_in_parts(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = await opened(tmp_path, SMALL | {"on_full": "block"}, clock=clock)
    cuts = [cut(n, 300) for n in range(40)]
    putting = asyncio.ensure_future(spool.put(cuts, epoch=EPOCH, cursors={"file": "1"}))
    out = []
    while not putting.done():
        await advance(clock, 1.0, 1)
        assert putting.done() or spool.cursor("file") is None
        out += await drain(spool)
    await spool.commit()
    out += await drain(spool)
    assert spool.cursor("file") == "1"
    assert [list(numbers(b)) for b in out] == [[n] for n in range(40)]
    await spool.close()


async def test_an_acknowledged_tombstone_takes_nothing_more(tmp_path: Path) -> None:
    """Its delete is not in the file yet when dropped drafts are to be announced."""
    spool = await opened(tmp_path, SMALL | {"on_full": "drop_newest"}, free_bytes=lambda _folder: space)
    space = 2**40
    await spool.put([cut(0, 100)], epoch=EPOCH)
    await spool.commit()
    space = 0
    await spool.put([cut(1, 100)], epoch=EPOCH)
    await spool.put([cut(2, 100)], epoch=EPOCH, draft=True)
    await spool.commit()
    assert [(numbers(b), dropped(b) is None) for b in await drain(spool)] == [({0: 100}, True), ({}, False)]
    await spool.settle(0, LATER)
    (stone,) = await drain(spool)
    gone = dropped(stone)
    assert gone is not None
    assert (stone.id.seq, gone.readings) == (2, 100)
    await spool.close()


async def test_what_was_acknowledged_just_before_a_crash_is_not_dropped(tmp_path: Path) -> None:
    """Its delete was not in the file yet, and the batch after it may have been on its way."""
    spool = await opened(tmp_path / "0", SMALL | {"on_full": "drop_oldest"})
    await spool.put([cut(n, 30) for n in range(40)], epoch=EPOCH)
    await spool.commit()
    sent = []
    for _ in range(20):
        head = await spool.head(Lane.LIVE)
        assert head is not None
        sent.append(head)
        await spool.free(head.id)
    again = await opened(killed(spool, tmp_path / "0", tmp_path / "1"), SMALL | {"on_full": "drop_oldest"})
    for n in range(100, 250):
        await again.put([cut(n, 100)], epoch=EPOCH)
    await again.commit()
    assert again.depth().dropped
    out = {b.id: b for b in await drain(again)}
    assert [out[b.id].body for b in sent] == [b.body for b in sent]
    await again.close()


async def test_the_cursor_of_a_put_that_waits_for_room_waits_with_it(tmp_path: Path) -> None:
    clock = ManualClock()
    space = 2**40
    spool = await opened(tmp_path, {"on_full": "block"}, clock=clock, free_bytes=lambda _folder: space)
    await spool.put([cut(0, 500)], epoch=EPOCH, cursors={"file": "1"})
    await spool.commit()
    space = 0
    await spool.put([cut(1, 1_000)], epoch=EPOCH, cursors={"file": "2"})
    head = await spool.head(Lane.LIVE)
    assert head is not None
    await spool.free(head.id)  # so that the transaction has something to do
    await spool._committer.commit_some()
    assert spool._pending.units
    assert not spool._pending.ended
    assert spool.cursor("file") == "1"
    space = 2**40
    await spool.commit()
    assert spool.cursor("file") == "2"
    await spool.close()
