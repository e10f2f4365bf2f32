"""Power loss under the SQLite log: everything acknowledged is there, in order, and nothing is there by halves."""

import asyncio
import hashlib
import itertools
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from telemetry.errors import LogFull, LogUnavailable, SensorlineError
from telemetry.logs.sqlite import FILE, Config, SqliteLog
from telemetry.ports import BATCHES, DEVICES, Entry, Record
from tests.faults.powerloss_vfs import Disk, PowerLossVFS

SEEDS = range(60)
APPENDERS = 4
TOPICS = (BATCHES, DEVICES)
LATER_NS = 2**62
numbers = itertools.count()


@dataclass
class Machine:
    """A disk, the log on it, and what was sent and acknowledged before the power went."""

    folder: Path
    disk: Disk = field(default_factory=Disk)
    sent: dict[str, list[bytes]] = field(default_factory=dict)  # by key, in order
    acknowledged: dict[int, Record] = field(default_factory=dict)  # by offset
    device_version: int = 0  # the last that was acknowledged
    committing: int = 0  # the last offset that a commit was asked for, and the last that was acknowledged
    committed: int = 0
    pruning: bool = False

    def __post_init__(self) -> None:
        self.vfs = PowerLossVFS(f"powerloss-{next(numbers)}", self.disk)

    def log(self, **options: Any) -> SqliteLog:
        config = Config.model_validate({"vfs": self.vfs.name, **options})
        return SqliteLog(config, self.folder / "before", topics=TOPICS)

    async def restart(self, rng: random.Random) -> SqliteLog:
        """The log that a new start opens, on what the disk kept, through SQLite's own file layer."""
        after = self.folder / f"after-{next(numbers)}"
        self.disk.restore(after, rng)
        log = SqliteLog(Config(), after, topics=TOPICS)
        await log.start()
        return log


def record(key: str, n: int, rng: random.Random) -> Record:
    """A value that says whether it is whole."""
    body = b"%d " % n + rng.randbytes(rng.choice((10, 300, 3_000, 20_000)))
    return Record(key, body, {"hash": hashlib.sha256(body).hexdigest(), "n": str(n)})


async def append_for_ever(machine: Machine, log: SqliteLog, key: str, rng: random.Random) -> None:
    sent = machine.sent.setdefault(key, [])
    while True:
        records = [record(key, len(sent) + i, rng) for i in range(rng.randint(1, 3))]
        sent += [r.value or b"" for r in records]
        for position, each in zip(await log.append(BATCHES, records), records, strict=True):
            machine.acknowledged[position.offset] = each


async def consume_for_ever(machine: Machine, log: SqliteLog) -> None:
    reader = await log.reader(BATCHES, "index")
    while log.broken is None:  # reading goes on where writing has ended
        entries = await reader.poll(records_max=20, bytes_max=2**20, wait_s=0.1)
        if entries:
            machine.committing = entries[-1].offset + 1
            await reader.commit({0: machine.committing})
            machine.committed = machine.committing


async def change_for_ever(machine: Machine, log: SqliteLog, rng: random.Random, *, prune: bool) -> None:
    """A compacted topic, and pruning, beside it."""
    for version in itertools.count(1):
        await log.append(DEVICES, [Record("device", b"%d " % version + bytes(rng.randint(0, 5_000)))])
        machine.device_version = version
        if prune and version % 7 == 0:
            machine.pruning = True
            await log.prune(BATCHES, before_ns=LATER_NS)


async def run_until_the_power_fails(machine: Machine, seed: int, synchronous: str) -> None:
    rng = random.Random(seed)
    log = machine.log(
        synchronous=synchronous, checkpoint_pages=rng.choice((4, 30, 2_000)), recent_bytes_max=rng.choice((0, 2**20))
    )
    machine.disk.cut_at = rng.randint(1, 60) if seed % 6 == 0 else rng.randint(60, 600)
    try:
        await log.start()
        work = [append_for_ever(machine, log, f"d{k}", random.Random(f"{seed}/{k}")) for k in range(APPENDERS)]
        work += [consume_for_ever(machine, log), change_for_ever(machine, log, rng, prune=seed % 3 == 2)]
        ends = await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), 30)
    except SensorlineError:  # while it was making its file
        assert not machine.acknowledged
    else:
        assert all(end is None or isinstance(end, LogUnavailable) for end in ends), ends
        assert log.broken
    assert machine.disk.off
    await log.close()


async def everything(log: SqliteLog) -> list[Entry]:
    reader = await log.follow(BATCHES)
    entries: list[Entry] = []
    while more := await reader.poll(records_max=500, bytes_max=2**24, wait_s=0.0):
        entries += more
    return entries


def check_intact(log: SqliteLog) -> None:
    db = sqlite3.connect(log._data_dir / FILE)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


def check_whole_and_in_order(machine: Machine, entries: list[Entry]) -> None:
    """What is there was sent, complete, each key's in order and without a gap after what pruning may have taken."""
    for entry in entries:
        assert hashlib.sha256(entry.value or b"").hexdigest() == entry.headers["hash"]
    for key, sent in machine.sent.items():
        numbers = [int(e.headers["n"]) for e in entries if e.key == key]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
        assert [e.value for e in entries if e.key == key] == [sent[n] for n in numbers]


def lost(machine: Machine, entries: list[Entry], committed: int) -> list[int]:
    """Acknowledged offsets that are not there, with their own content; a pruned one may be gone."""
    there = {e.offset: (e.key, e.value) for e in entries}
    kept_from = machine.committing if machine.pruning else 0
    gone = [o for o, r in machine.acknowledged.items() if there.get(o) != (r.key, r.value) and o >= kept_from]
    return gone + ([-1] if committed < machine.committed else [])


async def power_loss(folder: Path, seed: int, synchronous: str) -> tuple[int, list[int]]:
    """How many records were acknowledged, and which of them are lost."""
    machine = Machine(folder)
    await run_until_the_power_fails(machine, seed, synchronous)
    log = await machine.restart(random.Random(seed + 1))
    entries = await everything(log)
    missing = lost(machine, entries, (await log.committed(BATCHES, "index")).get(0, 0))
    check_whole_and_in_order(machine, entries)
    devices = await (await log.follow(DEVICES)).poll(records_max=10, bytes_max=2**20, wait_s=0.0)
    version = int((devices[0].value or b"0").split()[0]) if devices else 0
    if synchronous == "FULL":
        assert len(devices) <= 1
        assert version >= machine.device_version
    (position,) = await log.append(BATCHES, [Record("after", b"v")])
    assert position.offset >= max([-1, *machine.acknowledged]) + 1 or missing
    await log.close()
    check_intact(log)
    machine.vfs.unregister()
    return len(machine.acknowledged), missing


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    _, missing = await power_loss(tmp_path, seed, "FULL")
    assert missing == []


async def test_this_test_can_fail(tmp_path: Path) -> None:
    """With synchronous=NORMAL, SQLite acknowledges before it syncs: the same run loses what was acknowledged."""
    runs = [await power_loss(tmp_path / str(seed), seed, "NORMAL") for seed in range(20)]
    assert sum(acknowledged for acknowledged, _ in runs) > 100
    assert sum(1 for _, missing in runs if missing) >= 5


# --- a disk that fails, and one that is full ------------------------------------------------------------------


async def appended(log: SqliteLog, n: int, rng: random.Random) -> list[Record]:
    records = [record("d", i, rng) for i in range(n)]
    for each in records:
        await log.append(BATCHES, [each])
    return records


async def test_a_failed_sync_breaks_the_log_for_ever(tmp_path: Path) -> None:
    rng = random.Random(1)
    machine = Machine(tmp_path)
    log = machine.log()
    told: list[str] = []
    log.on_broken(told.append)
    await log.start()
    records = await appended(log, 5, rng)
    machine.disk.fail_sync = True
    with pytest.raises(LogUnavailable, match="broke"):
        await log.append(BATCHES, [record("d", 5, rng)])
    machine.disk.fail_sync = False
    for _ in range(3):
        with pytest.raises(LogUnavailable, match="broken"):
            await log.append(BATCHES, [record("d", 5, rng)])
    with pytest.raises(LogUnavailable, match="broken"):
        await (await log.reader(BATCHES, "index")).commit({0: 1})
    assert log.broken
    assert told == [log.broken]
    assert [e.value for e in await everything(log)] == [r.value for r in records]
    await log.close()
    again = await machine.restart(rng)
    assert [e.value for e in await everything(again)][:5] == [r.value for r in records]
    await again.close()
    check_intact(again)


async def test_a_failed_sync_in_a_checkpoint_breaks_the_log_too(tmp_path: Path) -> None:
    rng = random.Random(2)
    machine = Machine(tmp_path)
    log = machine.log(checkpoint_pages=1)
    broken = asyncio.Event()
    log.on_broken(lambda _why: broken.set())
    await log.start()
    sync = machine.disk.sync

    def fail_for_the_file(name: str) -> None:
        machine.disk.fail_sync = name.endswith(FILE)
        sync(name)

    machine.disk.sync = fail_for_the_file  # type: ignore[method-assign]
    records = await appended(log, 1, rng)
    await asyncio.wait_for(broken.wait(), 10)
    with pytest.raises(LogUnavailable):
        await log.append(BATCHES, [record("d", 1, rng)])
    await log.close()
    again = await machine.restart(rng)
    assert [e.value for e in await everything(again)] == [r.value for r in records]
    await again.close()


async def fill(log: SqliteLog, rng: random.Random) -> list[Record]:
    """Append until it is full; what was acknowledged."""
    kept: list[Record] = []
    with pytest.raises(LogFull):
        for n in range(5_000):
            each = Record("d", rng.randbytes(20_000), {"n": str(n)})
            await log.append(BATCHES, [each])
            kept.append(each)
    return kept


def no_space(machine: Machine) -> Callable[[], None]:
    machine.disk.bytes_left = 3 * 2**20

    def space_again() -> None:
        machine.disk.bytes_left = None

    return space_again


async def test_a_full_disk_refuses_and_takes_again_when_there_is_space(tmp_path: Path) -> None:
    rng = random.Random(3)
    machine = Machine(tmp_path)
    log = machine.log(checkpoint_pages=50)
    await log.start()
    space_again = no_space(machine)
    kept = await fill(log, rng)
    assert len(kept) > 10
    for _ in range(3):
        with pytest.raises(LogFull):
            await log.append(BATCHES, [Record("d", rng.randbytes(20_000))])
    assert log.broken is None
    assert [e.value for e in await everything(log)] == [r.value for r in kept]
    space_again()
    (position,) = await log.append(BATCHES, [Record("d", b"fits")])
    assert position.offset == len(kept)
    await log.close()
    again = await machine.restart(rng)
    assert [e.value for e in await everything(again)] == [*(r.value for r in kept), b"fits"]
    await again.close()
    check_intact(again)


async def test_a_log_at_its_size_limit_refuses_until_it_is_pruned(tmp_path: Path) -> None:
    rng = random.Random(4)
    log = SqliteLog(Config(size_bytes_max=2 * 2**20), tmp_path, topics=TOPICS)
    await log.start()
    kept = await fill(log, rng)
    assert 50 < len(kept) < 110
    reader = await log.reader(BATCHES, "index")
    await reader.commit({0: len(kept)})
    assert await log.prune(BATCHES, before_ns=LATER_NS) == len(kept)
    (position,) = await log.append(BATCHES, [Record("d", rng.randbytes(20_000))])
    assert position.offset == len(kept)
    await log.close()
    check_intact(log)
