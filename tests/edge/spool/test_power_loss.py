"""Power loss under the spool: what `commit` returned for is there, whole, and no id has two contents."""

import asyncio
import itertools
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge.spool import Spool
from edge.spooled import Lane, Spooled
from telemetry.batch import BatchId
from tests.edge.spool.world import EPOCH, KIB, cut, drain, dropped, let_go, numbers, opened
from tests.faults.powerloss_vfs import Disk, PowerLossVFS

SEEDS = range(30)
counter = itertools.count()


@dataclass
class Machine:
    """What was put, and what its spool called durable before the power went."""

    folder: Path
    disk: Disk = field(default_factory=Disk)
    committed: set[int] = field(default_factory=set)  # cuts
    handed_in: int = 0
    freed: set[BatchId] = field(default_factory=set)
    freed_cuts: set[int] = field(default_factory=set)
    offered: dict[BatchId, bytes] = field(default_factory=dict)
    cursor: str | None = None

    def __post_init__(self) -> None:
        self.vfs = PowerLossVFS(f"spool-powerloss-{next(counter)}", self.disk)

    async def spool(self, **options: Any) -> Spool:
        changes = {"commit_bytes_max": 64 * KIB, "size_bytes_max": 1024 * KIB, **options.pop("changes", {})}
        return await opened(self.folder / "before", changes, vfs=self.vfs.name, **options)

    async def restart(self, rng: Random) -> Spool:
        after = self.folder / f"after-{next(counter)}"
        self.disk.restore(after, rng)
        return await opened(after)

    def offer(self, batch: Spooled) -> None:
        assert self.offered.setdefault(batch.id, batch.body) == batch.body, "an id has two contents"


async def done(work: Any) -> bool:
    """False when it would wait for ever, as for a disk that is off."""
    task = asyncio.ensure_future(work)
    for _ in range(50):
        await asyncio.sleep(0)
        if task.done():
            task.result()
            return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


async def run_until_the_power_fails(machine: Machine, seed: int, synchronous: str) -> None:
    rng = Random(seed)
    spool = await machine.spool(synchronous=synchronous)
    machine.disk.cut_at = rng.randint(1, 40) if seed % 5 == 0 else rng.randint(40, 500)
    while not machine.disk.off:
        first = machine.handed_in
        machine.handed_in += rng.randint(1, 3)
        cuts = [cut(n, rng.choice((1, 20, 300))) for n in range(first, machine.handed_in)]
        if not await done(spool.put(cuts, epoch=EPOCH, cursors={"file": str(machine.handed_in)})):
            break
        if rng.random() < 0.6 and await done(spool.commit()):
            machine.committed |= set(range(machine.handed_in))
            machine.cursor = spool.cursor("file")
        while rng.random() < 0.5 and (head := await spool.head(Lane.LIVE)) is not None:
            machine.offer(head)
            machine.freed.add(head.id)
            machine.freed_cuts |= numbers(head).keys()
            await spool.free(head.id)
    assert machine.disk.off
    let_go(spool)


async def power_loss(folder: Path, seed: int, synchronous: str) -> tuple[int, set[int]]:
    """How many cuts were durable, and which of them are lost."""
    machine = Machine(folder)
    await run_until_the_power_fails(machine, seed, synchronous)
    after = await machine.restart(Random(seed + 1))
    reports = after.depth().reports
    cursor = after.cursor("file")
    rest = await drain(after)
    for batch in rest:
        machine.offer(batch)
        assert dropped(batch) is None
    there = {n for batch in rest for n in numbers(batch)}
    seqs = [b.id.seq for b in rest]
    missing = machine.committed - there - machine.freed_cuts
    if synchronous == "FULL":
        assert reports == ()
        assert int(cursor or 0) >= int(machine.cursor or 0)
        assert there <= set(range(int(cursor or 0))), "readings without their cursor"
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True
    await after.close()
    path = after._keeper._good.path
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    machine.vfs.unregister()
    return len(machine.committed), missing


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_durable_is_lost(tmp_path: Path, seed: int) -> None:
    _, missing = await power_loss(tmp_path, seed, "FULL")
    assert missing == set()


async def test_this_test_can_fail(tmp_path: Path) -> None:
    """With synchronous=NORMAL, SQLite says "committed" before it syncs: the same run loses what was durable."""
    runs = [await power_loss(tmp_path / str(seed), seed, "NORMAL") for seed in range(15)]
    assert sum(committed for committed, _ in runs) > 100
    assert sum(1 for _, missing in runs if missing) >= 4


class Forgetful(Disk):
    """After a failed sync the writes look done and never reach the disk, as on Linux."""

    def sync(self, name: str) -> None:
        try:
            super().sync(name)
        except Exception:
            if self.fail_sync and name in self.files:
                self.files[name].since.clear()
            raise


async def test_a_failed_sync_is_not_believed_and_mends(tmp_path: Path) -> None:
    machine = Machine(tmp_path, Forgetful())
    spool = await machine.spool()
    await spool.put([cut(0, 50)], epoch=EPOCH)
    await spool.commit()
    machine.disk.fail_sync = True
    await spool.put([cut(1, 50)], epoch=EPOCH, cursors={"file": "1"})
    assert not await done(spool.commit())
    assert spool.cursor("file") is None
    head = await spool.head(Lane.LIVE)
    assert head is not None
    assert numbers(head) == {0: 50}
    await spool.free(head.id)
    assert await spool.head(Lane.LIVE) is None, "what was not synced is not offered"
    assert any("IOError" in report for report in spool.depth().reports)
    for n in range(2, 60):
        if not await done(spool.put([cut(n, 300)], epoch=EPOCH)):
            break
    else:
        raise AssertionError("memory is not bounded")
    assert not await done(spool.commit())
    machine.disk.fail_sync = False
    await spool.commit()
    assert spool.cursor("file") == "1"
    assert spool.depth().dropped == {}
    machine.disk.cut()
    let_go(spool)
    after = await machine.restart(Random(1))
    assert [list(numbers(b)) for b in await drain(after)] == [[k] for k in range(1, n)]
    assert after.depth().reports == ()
    await after.close()
    machine.vfs.unregister()


@pytest.mark.parametrize("on_full", ["block", "drop_oldest", "drop_newest"])
async def test_a_full_disk_is_not_fatal(tmp_path: Path, on_full: str) -> None:
    """It takes nothing, not even a tombstone: memory stays bounded, and all is told when there is space again."""
    machine = Machine(tmp_path)
    spool = await machine.spool(changes={"on_full": on_full, "size_bytes_max": 2**24})
    await spool.put([cut(0, 50)], epoch=EPOCH)
    await spool.commit()
    machine.disk.bytes_left = 100 * KIB
    taken = 0
    for n in range(1, 150):
        if not await done(spool.put([cut(n, 100)], epoch=EPOCH)):
            break
        taken = n
        assert spool._pending.size_bytes < 2 * 64 * KIB
    depth = spool.depth()
    assert depth.is_full
    assert (taken < 149) == (on_full == "block")
    machine.disk.bytes_left = None
    await spool.commit()
    depth = spool.depth()
    out = await drain(spool)
    assert [b.id.seq for b in out] == list(range(len(out)))
    kept = {n: k for b in out for n, k in numbers(b).items()}
    stones = sum(gone.readings for b in out if (gone := dropped(b)))
    assert sum(kept.values()) + stones == 50 + 100 * taken
    assert depth.dropped == ({on_full: stones} if stones else {})
    assert bool(stones) == (on_full != "block")
    assert kept[0] == 50
    assert (taken in kept) == (on_full != "drop_newest")
    await spool.close()
    assert spool.depth().reports == ()
    machine.vfs.unregister()
