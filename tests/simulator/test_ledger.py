"""The ledger is on disk before the hand-over, shares its fsyncs, and survives its own death."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.ledger import End, Handed, Ledger, read
from telemetry.batch import BatchId
from telemetry.errors import Malformed


def ids(n: int) -> list[BatchId]:
    return [BatchId("d", "s", k) for k in range(n)]


async def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.jsonl"
    async with Ledger(path) as ledger:
        for id_ in ids(5):
            await ledger.hand_over(id_, f"hash{id_.seq}", 600 + id_.seq)
        ledger.end(ids(5)[0], End.ACKNOWLEDGED)
        ledger.end(ids(5)[1], End.SET_ASIDE, "422 seq")
        ledger.end(ids(5)[2], End.UNSENT)
    first, second, third, fourth, fifth = read(path).values()
    assert first == Handed(ids(1)[0], "hash0", 600, End.ACKNOWLEDGED)
    assert (second.end, second.reason) == (End.SET_ASIDE, "422 seq")
    assert (third.end, fourth.end, fifth.end) == (End.UNSENT, None, None)


async def test_a_batch_is_on_disk_before_it_may_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        synced.append(path.read_bytes())

    path = tmp_path / "ledger"
    async with Ledger(path) as ledger:
        monkeypatch.setattr(os, "fsync", fsync)
        await asyncio.gather(*(ledger.hand_over(id_, "h", 1) for id_ in ids(200)))
        assert synced[-1].count(b"\n") == 200
        assert len(synced) <= 20, "many hand-overs share one fsync"
    assert len(read(path)) == 200


async def test_a_failed_fsync_breaks_it_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        async with Ledger(tmp_path / "ledger") as ledger:
            with monkeypatch.context() as patched:
                patched.setattr(os, "fsync", fails)
                with pytest.raises(OSError, match="Input/output"):
                    await ledger.hand_over(ids(1)[0], "h", 1)
            with pytest.raises(OSError, match="Input/output"):
                await ledger.hand_over(ids(2)[1], "h", 1)


async def test_a_torn_last_line_is_ignored_and_then_cut(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with Ledger(path) as ledger:
        for id_ in ids(2):
            await ledger.hand_over(id_, "h", 1)
    whole = path.read_bytes()
    for torn in range(1, len(whole.splitlines()[1]) + 1):
        path.write_bytes(whole[:-torn])
        assert list(read(path)) == ids(1)
    async with Ledger(path) as ledger:
        await ledger.hand_over(ids(3)[2], "h", 1)
    assert list(read(path)) == [ids(1)[0], ids(3)[2]]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"7",
        b'{"device":"d","session":"s","seq":9,"end":"acknowledged"}',
        b'{"device":"d","session":"s","seq":0,"end":"eaten"}',
        b'{"device":"d","session":"s","seq":0,"hash":"h","readings":1}',
    ],
)
def test_a_wrong_line_inside_is_an_error(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b'{"device":"d","session":"s","seq":0,"hash":"h","readings":1}\n' + line + b"\n")
    with pytest.raises(Malformed, match="line 2"):
        read(path)


@pytest.mark.crash
def test_a_killed_writer_leaves_every_batch_that_it_had_handed_over(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from simulator.ledger import Ledger
from telemetry.batch import BatchId
async def main():
    async with Ledger(Path(sys.argv[1])) as ledger:
        for k in range(10**6):
            await ledger.hand_over(BatchId("d", "s", k), "h", 1)
            print(k, flush=True)
asyncio.run(main())
"""
    path = tmp_path / "ledger"
    writer = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(50):
        last = writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    rest = writer.stdout.read().splitlines()
    writer.wait(timeout=10)
    handed_over = int(rest[-1] if rest and rest[-1].isdigit() else last)
    assert len(read(path)) >= handed_over
