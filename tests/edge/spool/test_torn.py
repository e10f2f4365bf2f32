"""A file that is torn, garbage, of another version, or gone: set aside, reported, and never fatal."""

import asyncio
import itertools
import shutil
import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge.journal import NoJournal
from edge.spool import Spool
from edge.spooled import Lane, Spooled
from telemetry.batch import BatchId
from telemetry.clock import ManualClock
from tests.edge.spool.world import EPOCH, LATER, advance, cut, drain, numbers, opened

BATCHES = 120


async def filled(folder: Path) -> dict[BatchId, bytes]:
    """Three sessions, drafts and a refused batch; the contents by id."""
    contents: dict[BatchId, bytes] = {}
    counted = itertools.count()

    def names() -> str:
        return f"session-{next(counted)}"  # not random: the same seed damages the same

    for session in range(3):
        spool = await opened(folder, new_session=names)
        first = session * BATCHES // 3
        await spool.put(
            [cut(n, 40) for n in range(first, first + BATCHES // 3)], epoch=EPOCH, cursors={"file": str(first)}
        )
        await spool.commit()
        head = await spool.head(Lane.LIVE)
        assert head is not None
        if session == 2:
            await spool.set_aside(head.id, "422 invalid")
        await spool.close()
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    spool = await opened(copy)
    for batch in await drain(spool):
        contents[batch.id] = batch.body
    await spool.close()
    return contents


def torn_files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("spool.torn-*") if not p.name.endswith(("-wal", "-shm")))


async def works(spool: Spool) -> None:
    """It takes and gives."""
    await spool.put([cut(3_000)], epoch=EPOCH)
    await spool.commit()
    head = await spool.head(Lane.LIVE)
    assert head is not None
    assert numbers(head) == {3_000: 3}
    await spool.free(head.id)


def check(out: list[Spooled], contents: dict[BatchId, bytes]) -> None:
    """Whatever came out is as it was put, and in order."""
    for batch in out:
        assert contents[batch.id] == batch.body
    places = [list(contents).index(b.id) for b in out]
    assert places == sorted(places)


async def test_garbage_is_set_aside(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / "spool.db").write_bytes(Random(n).randbytes(50_000))
        spool = await opened(tmp_path)
        assert len(spool.depth().reports) == 1
        assert f"spool.torn-{n + 1}" in spool.depth().reports[0]
        await works(spool)
        await spool.close()
    assert torn_files(tmp_path) == ["spool.torn-3", "spool.torn-4", "spool.torn-5"]
    assert (tmp_path / "spool.torn-5").read_bytes() == Random(4).randbytes(50_000)


async def test_another_schema_is_set_aside_and_its_batches_are_carried(tmp_path: Path) -> None:
    contents = await filled(tmp_path / "a")
    db = sqlite3.connect(tmp_path / "a" / "spool.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    spool = await opened(tmp_path / "a")
    assert "schema 99" in spool.depth().reports[0]
    assert spool.cursor("file") == "80"
    assert spool.depth().aside == {"422 invalid": 40}
    out = await drain(spool)
    check(out, contents)
    assert len(out) == len(contents) == BATCHES - 1
    await works(spool)
    await spool.close()


@pytest.mark.parametrize("seed", range(25))
async def test_flipped_bytes_lose_what_they_hit_and_no_more(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    contents = await filled(tmp_path / "a")
    path = tmp_path / "a" / "spool.db"
    image = bytearray(path.read_bytes())
    hits = rng.choice((1, 3, 10))
    for _ in range(hits):
        image[rng.randrange(100 if seed % 5 else 0, len(image))] ^= 1 << rng.randrange(8)
    path.write_bytes(image)
    spool = await opened(tmp_path / "a")
    out = await drain(spool)
    check(out, contents)
    depth = spool.depth()
    if len(out) < len(contents):
        assert depth.reports
    await works(spool)
    await spool.commit()
    assert spool.depth().batches == 0
    await spool.close()


async def test_an_unreadable_page_costs_its_own_batches_only(tmp_path: Path) -> None:
    contents = await filled(tmp_path / "a")
    path = tmp_path / "a" / "spool.db"
    image = bytearray(path.read_bytes())
    pages = len(image) // 4096
    leaves = [p for p in range(7, pages) if image[p * 4096] == 13]  # a leaf of a table
    for p in leaves[2:30:9]:
        image[p * 4096 : p * 4096 + 200] = b"\xff" * 200
    path.write_bytes(image)
    spool = await opened(tmp_path / "a")
    out = await drain(spool)
    check(out, contents)
    assert 0.8 * len(contents) < len(out) < len(contents)
    assert "carried over" in spool.depth().reports[-1]
    assert spool.depth().dropped == {"torn": 40 * (len(contents) - len(out))}
    assert len(torn_files(tmp_path / "a")) == 1
    await works(spool)
    await spool.close()


async def test_a_damaged_row_is_set_aside_alone(tmp_path: Path) -> None:
    contents = await filled(tmp_path / "a")
    db = sqlite3.connect(tmp_path / "a" / "spool.db")
    ((place, body),) = db.execute("SELECT place, body FROM batches ORDER BY place LIMIT 1 OFFSET 5").fetchall()
    db.execute("UPDATE batches SET body = ? WHERE place = ?", (body[:20] + b"\x00" + body[21:], place))
    db.commit()
    db.close()
    spool = await opened(tmp_path / "a")
    out = await drain(spool)
    check(out, contents)
    assert len(out) == len(contents) - 1
    assert spool.depth().aside == {"422 invalid": 40, "damaged": 40}
    assert "damaged" in spool.depth().reports[0]
    await spool.close()


@pytest.mark.parametrize("change", ["readings = readings + 1", "put_ns = 'x'", "boot = x'ff'", "kind = 7", "place = 1"])
async def test_a_row_that_lies_is_not_offered(tmp_path: Path, change: str) -> None:
    contents = await filled(tmp_path / "a")
    db = sqlite3.connect(tmp_path / "a" / "spool.db")
    ((place,),) = db.execute("SELECT place FROM batches ORDER BY place LIMIT 1 OFFSET 5").fetchall()
    db.execute(f"UPDATE batches SET {change} WHERE place = ?", (place,))
    db.commit()
    db.close()
    spool = await opened(tmp_path / "a")
    out = await drain(spool)
    check(out, contents)
    assert len(out) == len(contents) - 1
    assert spool.depth().reports
    await works(spool)
    await spool.commit()
    assert (spool.depth().batches, spool.depth().readings) == (0, 0)
    await spool.close()


async def test_a_torn_tail_of_the_wal_is_cut(tmp_path: Path) -> None:
    spool = await opened(tmp_path / "a")
    for n in range(20):
        await spool.put([cut(n, 100)], epoch=EPOCH)
        await spool.commit()
    for n, size in enumerate(range(1_000, (tmp_path / "a" / "spool.db-wal").stat().st_size, 7_777)):
        folder = tmp_path / f"b{n}"
        folder.mkdir()
        shutil.copy(tmp_path / "a" / "spool.db", folder)
        (folder / "spool.db-wal").write_bytes((tmp_path / "a" / "spool.db-wal").read_bytes()[:size])
        again = await opened(folder)
        out = await drain(again)
        assert [list(numbers(b)) for b in out] == [[k] for k in range(len(out))]
        assert again.depth().reports == ()
        await again.close()
    assert len(out) > 10
    await spool.close()


async def test_pages_that_tear_while_it_runs(tmp_path: Path) -> None:
    contents = await filled(tmp_path / "a")
    spool = await opened(tmp_path / "a")
    await spool.put([cut(500, 40)], epoch=EPOCH)
    await spool.commit()
    old = spool.session
    await spool.put([cut(501, 40)], epoch=EPOCH)  # gathered, not committed
    with (tmp_path / "a" / "spool.db").open("r+b") as file:
        file.seek(7 * 4096)
        for _ in range(20):
            file.write(b"\xff" * 200)
            file.seek(3 * 4096 - 200, 1)
    spool._keeper._good.file.db.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
    out = await drain(spool)
    await spool.commit()
    out += await drain(spool)
    check([b for b in out if b.id in contents], contents)
    assert "carried over" in spool.depth().reports[-1]
    assert spool.session != old, "an id of the old session is never given again"
    fresh = {(b.id.session, *numbers(b)) for b in out if b.id not in contents}
    assert (spool.session, 501) in fresh
    assert {s for s, n in fresh if n == 500} <= {old}
    await works(spool)
    await spool.close()


@pytest.mark.parametrize("what", ["folder", "file", "wal", "replaced"])
async def test_deleted_while_it_runs(tmp_path: Path, what: str) -> None:
    """What the open file still holds is carried into a new one, and no id is used again."""
    folder = tmp_path / "a"
    spool = await opened(folder)
    await spool.put([cut(n, 40) for n in range(30)], epoch=EPOCH, cursors={"file": "30"})
    await spool.commit()
    old = spool.session
    match what:
        case "folder":
            shutil.rmtree(folder)
        case "file":
            (folder / "spool.db").unlink()
        case "wal":
            (folder / "spool.db-wal").unlink()
        case _:
            (folder / "other").write_bytes(b"not ours")
            (folder / "other").rename(folder / "spool.db")
    await spool.put([cut(30, 40)], epoch=EPOCH, cursors={"file": "31"})
    await spool.commit()
    assert spool.session != old
    assert "30 of 30 batches" in spool.depth().reports[-1]
    await spool.close()
    again = await opened(folder)
    assert again.cursor("file") == "31"
    assert again.depth().reports == ()
    out = await drain(again)
    assert [list(numbers(b)) for b in out] == [[n] for n in range(31)]
    assert [b.id.session for b in out] == [old] * 30 + [spool.session]
    assert out[-1].id.seq == 0
    await again.close()


async def test_old_drafts_stay_apart_when_the_start_could_not_keep_them(tmp_path: Path) -> None:
    folder, clock = tmp_path / "a", ManualClock()
    spool = await opened(folder)
    await spool.put([cut(0)], epoch=EPOCH, draft=True)
    await spool.commit()
    await spool.close()
    journal = Broken()
    spool = await opened(folder, journal=journal, clock=clock)
    assert spool.depth().reports
    await spool.put([cut(1)], epoch=EPOCH, draft=True)
    settling = asyncio.ensure_future(spool.settle(1_000, LATER))
    await advance(clock, 10)
    assert not settling.done()
    journal.works = True
    await advance(clock, 100)
    await asyncio.wait_for(settling, 5)
    await spool.commit()
    old, new = await drain(spool)
    assert (old.epoch.synchronised, numbers(old)) == (False, {0: 3})
    assert (new.epoch, numbers(new), new.id.session) == (LATER, {1: 3}, spool.session)
    assert old.id.session != spool.session
    await spool.close()


class Broken(NoJournal):
    """Its disk fails, and with it every transaction that has something to tell."""

    works = False

    def handed_over(self, batches: Any) -> None:
        if not self.works:
            raise OSError("the journal's disk fails")


async def test_a_folder_that_cannot_be_made_again_is_tried_until_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    spool = await opened(folder)
    await spool.put([cut(0)], epoch=EPOCH)
    await spool.commit()
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "a").write_text("in the way")
    await spool.put([cut(1)], epoch=EPOCH)
    await spool._committer.commit_some()
    assert spool.depth().batches == 2
    assert spool._committer.fault
    (tmp_path / "a").unlink()
    await spool.commit()
    assert [list(numbers(b)) for b in await drain(spool)] == [[0], [1]]
    await spool.close()


async def test_a_rescue_that_was_interrupted_starts_over(tmp_path: Path) -> None:
    contents = await filled(tmp_path / "a")
    half = tmp_path / "a" / "spool.new"
    half.write_bytes((tmp_path / "a" / "spool.db").read_bytes()[:9_000])
    spool = await opened(tmp_path / "a")
    assert len(await drain(spool)) == len(contents)
    assert not half.exists()
    await spool.close()
    (tmp_path / "a" / "spool.db").rename(half)  # complete, and the crash came before its last rename
    again = await opened(tmp_path / "a")
    assert again.cursor("file") == "80"
    assert again.depth().reports == ()
    await again.close()
