"""Claim and rows are one transaction: kill -9 and a full disk never leave one without the other."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
import store_child

from telemetry import wire
from telemetry.ports import Written
from telemetry.rebuild import batches_of
from telemetry.stores import open_store

CHILD = str(Path(store_child.__file__))


async def child(data_dir: Path, flushes: int, *more: str, failpoints: str = "") -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        CHILD,
        str(data_dir),
        str(flushes),
        *more,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "SENSORLINE_FAILPOINTS": failpoints, "PYTHONPATH": str(Path.cwd())},
    )


async def consistent(data_dir: Path, written: range, perhaps: int = 1) -> int:
    """Every flush that was told as stored is there, at most `perhaps` more; claims and rows agree bit for bit.

    Writes all of them again, which stores only what was not there.  Returns the number of flushes found.
    """
    store = open_store("duckdb", {}, data_dir, retention_days=36_500)
    await store.start()
    claims = {c.id: c for device in ("d0", "d1") for c in await store.claims(device)}
    found, rest = divmod(len(claims), store_child.FLUSH)
    assert rest == 0, "a write is all or nothing"
    assert len(written) <= found <= len(written) + perhaps
    rebuilt = []
    for device in ("d0", "d1"):
        rebuilt += batches_of(device, [piece async for piece in store.export(device)])
    assert {b.id: wire.content_hash(wire.encode(b)) for b in rebuilt} == {i: c.content_hash for i, c in claims.items()}
    counts = await store.counts()
    assert (counts.readings, counts.batches) == (sum(b.readings for b in rebuilt), len(claims))
    again = [w for n in range(found + 1) for w in await store.write(store_child.flush(n))]
    assert again[: found * store_child.FLUSH] == [Written(duplicate=202)] * (found * store_child.FLUSH)
    assert again[found * store_child.FLUSH :] == [Written(stored=202)] * store_child.FLUSH
    await store.close()
    return found


def stored(output: bytes) -> range:
    return range(sum(line.startswith(b"stored") for line in output.splitlines()))


@pytest.mark.crash
@pytest.mark.parametrize(("failpoint", "flushes"), [("store.before_commit", 6), ("store.after_commit", 7)])
async def test_a_kill_around_the_commit_leaves_all_of_it_or_nothing(
    tmp_path: Path, failpoint: str, flushes: int
) -> None:
    process = await child(tmp_path, 20, failpoints=f"{failpoint}=7")
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == -signal.SIGKILL
    assert stored(output) == range(6)
    assert await consistent(tmp_path, stored(output)) == flushes


@pytest.mark.crash
async def test_a_kill_at_any_time_loses_nothing_that_was_told_as_stored(tmp_path: Path) -> None:
    process = await child(tmp_path, 100_000)
    assert process.stdout is not None
    lines = [await asyncio.wait_for(process.stdout.readline(), 60) for _ in range(40)]
    process.kill()
    lines += (await asyncio.wait_for(process.stdout.read(), 60)).splitlines()
    await process.wait()
    await consistent(tmp_path, stored(b"\n".join(lines)))


@pytest.mark.crash
async def test_a_full_disk_holds_the_write_and_nothing_is_lost_once_there_is_room(tmp_path: Path) -> None:
    process = await child(tmp_path, 60, str(900_000))
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    lines = output.decode().splitlines()
    assert process.returncode == 0, lines[-3:]
    assert any(line.startswith("held") for line in lines), "the limit was met"
    assert lines[-1] == f"counts {60 * store_child.FLUSH * 202} {60 * store_child.FLUSH} 2"
    await consistent(tmp_path, range(60), perhaps=0)
