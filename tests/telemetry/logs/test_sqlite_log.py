"""What only the SQLite log promises: one process, one fsync for many, bounds, and files it refuses."""

import asyncio
import multiprocessing
import sqlite3
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from telemetry.errors import LogUnavailable, Misconfigured
from telemetry.logs._recent import ENTRY_OVERHEAD_BYTES, Recent
from telemetry.logs.sqlite import FILE, Config, SqliteLog
from telemetry.logs.sqlite import open as open_sqlite
from telemetry.ports import BATCHES, DEVICES, Entry, Record
from tests.faults.powerloss_vfs import Disk, PowerLossVFS

TOPICS = (BATCHES, DEVICES)


async def opened(folder: Path, **options: object) -> SqliteLog:
    log = SqliteLog(Config.model_validate(options), folder, topics=TOPICS)
    await log.start()
    return log


def hold(folder: Path, pipe: Connection) -> None:
    """Another process: open the log, say so, and keep it until told."""

    async def run() -> None:
        log = await opened(folder)
        pipe.send("open")
        await asyncio.to_thread(pipe.recv)
        await log.close()

    asyncio.run(run())


async def test_a_second_process_is_told_who_has_the_log(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    other = context.Process(target=hold, args=(tmp_path, theirs))
    other.start()
    try:
        assert await asyncio.to_thread(ours.poll, 30)
        assert ours.recv() == "open"
        with pytest.raises(Misconfigured, match=f"in use by process {other.pid}"):
            await opened(tmp_path)
        other.kill()  # a crash leaves no lock behind
        other.join()
        await (await opened(tmp_path)).close()
    finally:
        other.kill()
        other.join()


async def test_two_logs_in_one_process_are_refused_as_well(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    with pytest.raises(Misconfigured, match="in use"):
        await opened(tmp_path)
    await log.close()


async def test_appends_that_wait_together_share_a_sync(tmp_path: Path) -> None:
    disk = Disk()
    vfs = PowerLossVFS("group-commit", disk)
    log = await opened(tmp_path, vfs=vfs.name)
    before = disk.syncs
    await asyncio.gather(*(log.append(BATCHES, [Record("d", b"v")]) for _ in range(400)))
    assert 1 <= disk.syncs - before < 40
    await log.close()
    vfs.unregister()


async def test_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    log = await opened(tmp_path, queue_bytes_max=100_000, queue_records_max=50)
    for records in ([Record("d", bytes(20_000))], [Record("d", b"")] * 10):
        ends = await asyncio.gather(*(log.append(BATCHES, records) for _ in range(60)), return_exceptions=True)
        refused = [end for end in ends if isinstance(end, LogUnavailable)]
        assert refused
        assert all("queue is full" in end.message and end.retry_after_s for end in refused)
        assert any(isinstance(end, list) for end in ends)
    assert await log.append(BATCHES, [Record("d", bytes(200_000))])  # larger than the queue, into an empty one
    await log.close()


async def test_an_append_has_a_deadline(tmp_path: Path) -> None:
    disk = Disk()
    vfs = PowerLossVFS("slow-disk", disk)
    log = await opened(tmp_path, vfs=vfs.name, append_timeout_s=0.2)
    with disk.lock, pytest.raises(LogUnavailable, match="did not confirm"):  # the disk hangs
        await log.append(BATCHES, [Record("d", b"late")])
    await log.append(BATCHES, [Record("d", b"next")])
    entries = await (await log.follow(BATCHES)).poll(records_max=10, bytes_max=1000, wait_s=0.0)
    assert [e.value for e in entries] == [b"late", b"next"]  # it was not acknowledged, and may be there
    await log.close()
    vfs.unregister()


async def test_a_reader_beside_appends_sees_each_record_once(tmp_path: Path) -> None:
    """Without the memory of recent entries, every read meets the file while it is being written."""
    log = await opened(tmp_path, recent_bytes_max=0)
    n = 600
    done = asyncio.Event()

    async def append() -> None:
        for i in range(0, n, 3):
            await log.append(BATCHES, [Record("d", b"%d" % (i + k)) for k in range(3)])
        done.set()

    async def consume() -> list[bytes | None]:
        reader = await log.follow(BATCHES)
        seen: list[bytes | None] = []
        while not (done.is_set() and len(seen) >= n):
            seen += [e.value for e in await reader.poll(records_max=7, bytes_max=2**20, wait_s=5.0)]
        return seen

    _, *seen = await asyncio.wait_for(asyncio.gather(append(), consume(), consume()), 60)
    assert all(each == [b"%d" % i for i in range(n)] for each in seen)
    await log.close()


async def test_values_are_packed_when_that_pays(tmp_path: Path) -> None:
    log = await opened(tmp_path, recent_bytes_max=0)
    values = [b"x" * 50_000, b"short", bytes(range(256)) * 2, None]
    await log.append(BATCHES, [Record("d", value) for value in values])
    entries = await (await log.follow(BATCHES)).poll(records_max=10, bytes_max=2**20, wait_s=0.0)
    assert [e.value for e in entries] == values
    await log.close()
    with sqlite3.connect(tmp_path / FILE) as db:
        sizes = [n for (n,) in db.execute("SELECT length(value) FROM topic_batches ORDER BY offset")]
    db.close()
    assert sizes[0] < 200
    assert sizes[1] == 5
    assert sizes[3] is None


@pytest.mark.parametrize(
    ("content", "says"), [(b"this is no database, " * 300, "not an intact"), (b"", ""), (None, "")]
)
async def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    if says:
        with pytest.raises(Misconfigured, match=says):
            await opened(tmp_path)
        (tmp_path / FILE).unlink()
    await (await opened(tmp_path)).close()  # and the lock was let go


async def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Misconfigured, match="schema 99"):
        await opened(tmp_path)


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Misconfigured, match="file"):
        await open_sqlite(Config(), tmp_path / "file" / "data").start()


async def test_a_damaged_record_is_not_given_to_anybody(tmp_path: Path) -> None:
    log = await opened(tmp_path, recent_bytes_max=0)
    await log.append(BATCHES, [Record("d", b"x" * 50_000)])
    await log.close()
    with sqlite3.connect(tmp_path / FILE) as db:
        (packed,) = db.execute("SELECT value FROM topic_batches").fetchone()
        db.execute("UPDATE topic_batches SET value = ?", (packed[:-1] + bytes([packed[-1] ^ 1]),))
    db.close()
    log = await opened(tmp_path)
    with pytest.raises(LogUnavailable, match="cannot read"):
        await (await log.follow(BATCHES)).poll(records_max=1, bytes_max=2**20, wait_s=0.0)
    await log.close()


def entry(offset: int, size: int) -> Entry:
    return Entry("t", 0, offset, "", bytes(size), {}, 0)


def test_recent_entries_are_bounded_by_bytes() -> None:
    recent = Recent(10 * (1_000 + ENTRY_OVERHEAD_BYTES))
    recent.add([entry(i, 1_000) for i in range(25)])
    assert recent.read("t", 14, records_max=99, bytes_max=10**9) == []
    assert [e.offset for e in recent.read("t", 15, records_max=99, bytes_max=10**9)] == list(range(15, 25))
    assert [e.offset for e in recent.read("t", 15, records_max=3, bytes_max=10**9)] == [15, 16, 17]
    assert [e.offset for e in recent.read("t", 15, records_max=99, bytes_max=2_500)] == [15, 16]
    assert [e.offset for e in recent.read("t", 15, records_max=99, bytes_max=1)] == [15]
    recent.forget([("t", 16)])
    assert [e.offset for e in recent.read("t", 15, records_max=99, bytes_max=10**9)] == [15]
    recent.add([entry(25, 10**6)])
    assert recent.read("t", 25, records_max=1, bytes_max=10**9) == []
