"""The source `sql` against real SQLite databases: each row once, whole runs of equal keys, late rows within the lag."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from edge.sources import SourceFailed, sql
from edge.sources._abandon import abandonable
from edge.sources._sql_pages import EQUAL_ROWS_MAX, Key, cursor_key, cursor_text
from telemetry.clock import ManualClock
from telemetry.errors import Misconfigured
from telemetry.outcome import Reason
from tests.edge.sources.harness import Driven, Kept, context

MAP = {"sensor": "temperature", "time": "at", "fields": {"celsius": "value"}}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute('CREATE TABLE "my rows" (id INTEGER, at, value, note TEXT)')
        yield connection


def add(db: sqlite3.Connection, ids: Any, value: Any = 20.5) -> None:
    db.executemany('INSERT INTO "my rows" VALUES (?, ?, ?, ?)', [(i, 100 + i, value, "x") for i in ids])


def opened(folder: Path, clock: Any = None, cursor: str | None = None, **options: Any) -> Any:
    table = {} if "query" in options else {"table": "my rows"}
    given = {"url": f"sqlite:///{folder}/a.db", "key": "id", "map": MAP, "page_rows": 10, **table, **options}
    return sql.open(sql.Config.model_validate(given), replace(context(clock), cursor=cursor))


def ids(kept: Kept) -> list[int]:
    return [t // 10**9 - 100 for t in kept.times("temperature").tolist()]


async def polled(folder: Path, cursor: str | None = None, **options: Any) -> Kept:
    clock = ManualClock()
    driven = Driven(opened(folder, clock, cursor, **options), clock)
    await driven.run_for(0.01)
    await driven.stop()
    return driven.kept


async def test_rows_come_page_by_page_and_once(tmp_path: Path, db: sqlite3.Connection) -> None:
    add(db, range(35))
    clock = ManualClock()
    driven = Driven(opened(tmp_path, clock), clock)
    await driven.run_for(1)
    assert ids(driven.kept) == list(range(35))
    assert 4 <= driven.kept.puts <= 5
    add(db, [35, 36])
    await driven.run_for(10)
    await driven.stop()
    assert ids(driven.kept) == list(range(37))
    for cursor, put in zip(driven.kept.cursors, driven.kept.by_put, strict=True):
        rest = await polled(tmp_path, cursor)
        last = int(put[-1].t[-1]) // 10**9 - 100
        assert ids(rest) == list(range(last + 1, 37))


async def test_bad_rows_are_set_aside_and_passed(tmp_path: Path, db: sqlite3.Connection) -> None:
    add(db, range(3))
    add(db, [3], "hot")
    add(db, [4], None)
    db.execute('INSERT INTO "my rows" VALUES (5, NULL, 20.5, NULL)')
    kept = await polled(tmp_path)
    assert ids(kept) == [0, 1, 2]
    assert [(b.reason, b.text) for b in kept.bad] == [
        (Reason.BAD_VALUES, "3,103,hot"),
        (Reason.BAD_VALUES, "4,104,"),
        (Reason.BAD_TIME, "5,,20.5"),
    ]
    assert (await polled(tmp_path, kept.cursors[-1])).puts == 0


@pytest.mark.parametrize("run", [9, 10, 11, 25])
async def test_equal_keys_are_read_together(tmp_path: Path, db: sqlite3.Connection, run: int) -> None:
    """Wherever the pages are cut, no row of a run is missed or doubled."""
    rows = [(k, 100 + n) for n, k in enumerate([0] * 3 + [1] * run + [2] * 4 + list(range(3, 20)))]
    db.executemany('INSERT INTO "my rows" VALUES (?, ?, 1, NULL)', rows)
    kept = await polled(tmp_path)
    assert sorted(ids(kept)) == list(range(len(rows)))
    for cursor in kept.cursors:
        key = cursor_key(cursor)
        rest = await polled(tmp_path, cursor)
        assert sorted(ids(rest)) == [at - 100 for k, at in rows if k > key]  # type: ignore[operator]


async def test_a_key_that_tells_nothing_apart_is_refused(tmp_path: Path, db: sqlite3.Connection) -> None:
    db.execute("BEGIN")
    db.executemany('INSERT INTO "my rows" VALUES (1, ?, 1, NULL)', [(k,) for k in range(EQUAL_ROWS_MAX + 1)])
    db.execute("COMMIT")
    with pytest.raises(SourceFailed, match="tell rows apart"):
        await opened(tmp_path).run(Kept())


async def test_a_lag_waits_for_rows_that_come_late(tmp_path: Path, db: sqlite3.Connection) -> None:
    clock = ManualClock()
    driven = Driven(opened(tmp_path, clock, lag_s=25), clock)
    add(db, [1, 3])
    await driven.run_for(1)
    assert ids(driven.kept) == []
    add(db, [2])  # a transaction that took its key before 3 and ended after it
    await driven.run_for(20)
    assert ids(driven.kept) == []
    add(db, [4])
    await driven.run_for(10)
    assert ids(driven.kept) == [1, 2, 3]
    await driven.run_for(30)
    await driven.stop()
    assert ids(driven.kept) == [1, 2, 3, 4]


@pytest.mark.parametrize("values", [["2024-01-01", "2024-01-02", "2024-02-01"], [0.5, 1.25, 1e300], [1, 2, 2**62]])
async def test_keys_of_other_types(tmp_path: Path, db: sqlite3.Connection, values: list[Any]) -> None:
    db.executemany('INSERT INTO "my rows" VALUES (?, ?, 1, NULL)', [(v, 100 + k) for k, v in enumerate(values)])
    kept = await polled(tmp_path, page_rows=2)
    assert ids(kept) == [0, 1, 2]
    assert ids(await polled(tmp_path, kept.cursors[0])) == [1, 2]


async def test_a_typed_time_as_key_and_time(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/a.db")
    table = sa.Table("events", sa.MetaData(), sa.Column("at", sa.DateTime), sa.Column("v", sa.Numeric(10, 3)))
    table.metadata.create_all(engine)
    with engine.begin() as connection:
        moments = [datetime(2024, 1, 1, 12, 0, k, 250_000) for k in range(5)]
        connection.execute(table.insert(), [{"at": m, "v": Decimal("20.125")} for m in moments])
    engine.dispose()
    options = {
        "table": "events",
        "key": "at",
        "map": {"sensor": "temperature", "time": "at", "time_unit": "iso", "fields": {"celsius": "v"}},
    }
    kept = await polled(tmp_path, **options)
    expected = [int(m.replace(tzinfo=UTC).timestamp()) * 10**9 + 250_000_000 for m in moments]
    assert kept.times("temperature").tolist() == expected
    assert (kept.column("temperature", "celsius") == np.float32(20.125)).all()
    assert (await polled(tmp_path, kept.cursors[0], **options)).puts == 0


async def test_a_query_is_a_table(tmp_path: Path, db: sqlite3.Connection) -> None:
    add(db, range(5))
    query = """SELECT id * 2 AS id, at, value FROM "my rows" WHERE note <> ':none' AND id < 3;"""
    kept = await polled(tmp_path, query=query)
    assert ids(kept) == [0, 1, 2]
    assert cursor_key(kept.cursors[-1]) == 4


@pytest.mark.parametrize(
    "key", [5, -(2**70), 0.1, "a'b", Decimal("1.50"), datetime(2024, 1, 1, tzinfo=UTC), date(2024, 1, 1)]
)
def test_a_key_survives_the_cursor(key: Key) -> None:
    assert cursor_key(cursor_text(key)) == key
    assert type(cursor_key(cursor_text(key))) is type(key)


def test_a_key_without_order_or_a_foreign_cursor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="bytes"):
        cursor_text(b"x")  # type: ignore[arg-type]
    for junk in ("", "{}", "[]", '{"type":"int","key":"x"}', '{"type":"decimal","key":"x"}'):
        with pytest.raises(Misconfigured, match="cursor"):
            opened(tmp_path, cursor=junk)


async def test_the_password_is_never_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "pw").write_text("sesame")
    urls = ("sqlite://u:sesame@h/x", "nosuch://u:sesame@h/x", "sesame", "postgresql://u:sesame@127.0.0.1:1/x")
    urls += (f"sqlite:///{tmp_path}/none/a.db",)
    for url in urls:
        config = {"url": url.replace("sesame", "${file:pw}"), "table": "t", "key": "id", "map": MAP}
        source = sql.open(sql.Config.model_validate(config), context(folder=tmp_path))
        with pytest.raises((Misconfigured, SourceFailed)) as e:
            await source.check()
        assert "sesame" not in str(e.value) + caplog.text, url
    assert "sesame" not in repr(
        sql.Config.model_validate({"url": "x://u:sesame@h/x", "table": "t", "key": "k", "map": MAP})
    )


async def test_check_says_what_is_there(tmp_path: Path, db: sqlite3.Connection) -> None:
    assert await opened(tmp_path).check() == "connected; no rows yet"
    add(db, range(3))
    add(db, [3], "hot")
    said = await opened(tmp_path).check()
    assert said == "3 columns; of the first 4 rows 3 of temperature, 1 bad, the first bad one: value is not a number"
    assert "no row that was not read" in await opened(tmp_path, cursor=cursor_text(9)).check()
    with pytest.raises(SourceFailed, match="no such column"):
        await opened(tmp_path, key="nr").check()
    with pytest.raises(ValueError, match="either"):
        opened(tmp_path, query="SELECT 1", table="a")


async def test_a_database_that_hangs_has_a_deadline() -> None:
    never = threading.Event()
    with pytest.raises(SourceFailed, match="within"):
        await abandonable(never.wait, 0.05, "the database")
    waiting = asyncio.create_task(abandonable(never.wait, 60, "the database"))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    never.set()
