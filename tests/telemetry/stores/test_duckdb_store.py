"""What only the DuckDB adapter has: a file that grows with the catalogue, a deadline, errors of DuckDB's own."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from telemetry import reading
from telemetry.batch import Batch, Series
from telemetry.errors import Misconfigured, StoreUnavailable
from telemetry.outcome import Reason
from telemetry.ports import Counts, Item, Span, Written
from telemetry.reading import CATALOGUE, Field, Kind, Sensor
from telemetry.session_clock import UNKNOWN, SessionClock
from telemetry.stores import _duck_schema, _tables
from telemetry.stores import duckdb as adapter

T0 = 1_760_000_000_000_000_000
DAY = 86_400 * 10**9


def opened(data_dir: Path, **options: object) -> adapter.DuckdbStore:
    return adapter.DuckdbStore(adapter.Config(**options), data_dir / adapter.FILE, retention_days=3650)  # type: ignore[arg-type]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[adapter.DuckdbStore]:
    store = opened(tmp_path)
    await store.start()
    yield store
    await store.close()


def item(seq: int, *series: Series, device: str = "d1", session: str = "s") -> Item:
    return Item(Batch(device, session, seq, series), f"hash-{seq}", T0, 0, seq)


def xyz(n: int, t0: int = T0) -> Series:
    return Series.of("acceleration", t0 + np.arange(n) * 1000, {"x": np.arange(n)})


def learn(monkeypatch: pytest.MonkeyPatch, sensor: Sensor) -> None:
    """The catalogue with this sensor as it is declared here, wherever the store looks it up."""
    grown = MappingProxyType({**CATALOGUE, sensor.name: sensor})
    for module in (reading, _tables, _duck_schema):
        monkeypatch.setattr(module, "CATALOGUE", grown)
    monkeypatch.setattr("telemetry.batch.CATALOGUE", grown)


OLD_SESSIONS = """CREATE TABLE sessions (device VARCHAR NOT NULL, session VARCHAR NOT NULL, seqs VARCHAR NOT NULL,
    received_batches BIGINT NOT NULL, received_readings BIGINT NOT NULL, rejected_readings BIGINT NOT NULL,
    duplicate_batches BIGINT NOT NULL, reordered_batches BIGINT NOT NULL, late_batches BIGINT NOT NULL,
    dropped_readings BIGINT NOT NULL, first_received_ns BIGINT NOT NULL, last_received_ns BIGINT NOT NULL,
    partition BIGINT NOT NULL, next_offset BIGINT NOT NULL, forgotten_batches BIGINT NOT NULL)"""


async def test_a_file_of_before_sessions_had_a_clock_opens_and_learns(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / adapter.FILE)) as old:
        old.execute(OLD_SESSIONS)
        old.execute("INSERT INTO sessions VALUES ('d1', 's', '[[0,4],[7,9]]', 8, 9, 1, 2, 3, 4, 5, 100, 200, 0, 10, 6)")
    for _ in range(2):
        store = opened(tmp_path)
        await store.start()
        kept = (await store.get_sessions([("d1", "s")]))["d1", "s"]
        assert (kept.seqs, kept.forgotten_batches, kept.clock) == (((0, 4), (7, 9)), 6, UNKNOWN)
        await store.close()
    store = opened(tmp_path)
    await store.start()
    learned = replace(kept, next_offset=11, clock=SessionClock(-7, "sent", -5, T0, False, 3))
    await store.put_sessions([learned])
    assert await store.completeness() == [learned]
    await store.close()


def test_no_field_of_the_catalogue_has_the_name_of_another_column() -> None:
    taken = {*_duck_schema.KEY, "extra", "sensor", "session", "device", "bucket", "count"}
    assert not taken & {f.name for s in CATALOGUE.values() for f in s.fields}


async def test_a_new_field_of_the_catalogue_is_added_to_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    await store.start()
    await store.write([item(0, xyz(2))])
    await store.close()
    learn(monkeypatch, Sensor("acceleration", (*CATALOGUE["acceleration"].fields, Field("jerk"))))
    await store.start()
    await store.write([item(1, Series.of("acceleration", [T0 + DAY], {"jerk": [2.5]}))])
    table = await store.readings(Span("d1", "acceleration", 0, 2**62), limit=9)
    await store.close()
    assert table["jerk"].to_pylist() == [None, None, 2.5]
    assert table["x"].to_pylist() == [0, 1, None]


async def test_a_field_of_another_kind_than_the_files_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    await store.start()
    await store.close()
    learn(monkeypatch, Sensor("light", (Field("illuminance", Kind.FLOAT64),)))
    with pytest.raises(Misconfigured, match=r"light\.illuminance"):
        await store.start()
    with pytest.raises(StoreUnavailable):
        await store.counts()


async def test_readings_of_a_sensor_that_the_catalogue_learned_later_are_found_with_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    await store.start()
    await store.write([item(0, Series.of("uwb", [T0], {}, ['{"m":1}']), Series.of("other", [T0], {}, ["{}"]))])
    await store.close()
    learn(monkeypatch, Sensor("uwb", (Field("distance", unit="m"),)))
    await store.start()
    await store.write([item(1, Series.of("uwb", [T0 + 1], {"distance": [3.0]}))])
    table = await store.readings(Span("d1", "uwb", 0, 2**62), limit=9)
    other = await store.readings(Span("d1", "other", 0, 2**62), limit=9)
    await store.close()
    assert (table["distance"].to_pylist(), table["extra"].to_pylist()) == ([None, 3.0], ['{"m":1}', None])
    assert other.num_rows == 1


async def test_what_cannot_be_stored_is_refused_alone(store: adapter.DuckdbStore) -> None:
    torn = Series.of("annotation", [T0], {"text": ["half a pair: \ud83d"]})
    written = await store.write([item(0, xyz(2)), item(1, torn), item(2, xyz(3))])
    assert written[0] == Written(stored=2)
    assert (written[1].dead_lettered, written[1].reason) == (1, Reason.STORE_REFUSED)
    assert "surrogates" in written[1].detail
    assert written[2] == Written(stored=3)
    assert await store.counts() == Counts(readings=5, batches=2, devices=1)


async def test_a_question_over_its_deadline_is_broken_off_and_the_next_is_answered(
    store: adapter.DuckdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = "SELECT count(*) FROM range(10_000_000) a, range(10_000_000) b WHERE a.range * b.range % 7 = 3"
    with monkeypatch.context() as patched:
        patched.setattr(store, "_config", adapter.Config(query_deadline_s=0.2))
        with pytest.raises(StoreUnavailable, match=r"0\.2 s"):
            await asyncio.wait_for(store._ask(lambda c: c.execute(endless).fetchone()), 20)
    assert await store.devices() == []


async def test_the_loop_runs_on_while_a_question_is_answered(store: adapter.DuckdbStore) -> None:
    heavy = "SELECT count(*) FROM range(3_000_000) a, range(20) b WHERE a.range * b.range % 7 = 3"
    asked = asyncio.create_task(store._ask(lambda c: c.execute(heavy).fetchone()))
    turns = 0
    while not asked.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert turns >= 3
    assert await store.write([item(0, xyz(1))]) == [Written(stored=1)]


async def test_every_error_of_duckdb_becomes_unavailable(store: adapter.DuckdbStore) -> None:
    def fail(error: type[Exception]) -> object:
        raise error("as DuckDB raises it")

    kinds = [k for k in vars(duckdb).values() if isinstance(k, type) and issubclass(k, duckdb.Error)]
    assert len(kinds) > 20
    for kind in kinds:
        with pytest.raises(StoreUnavailable, match=kind.__name__):
            await store._change(lambda k=kind: fail(k), 5)  # type: ignore[misc]
        assert await store.write([item(0, xyz(1))]) in ([Written(stored=1)], [Written(duplicate=1)])
    assert await store.counts() == Counts(1, 1, 1)


async def test_a_failed_write_leaves_no_trace_and_counts_nothing(
    store: adapter.DuckdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(cursor: object, table: str, incoming: pa.Table) -> None:
        raise duckdb.IOException("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("telemetry.stores._duck_write.insert", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            await store.write([item(0, xyz(4))])
    assert (await store.counts(), await store.claims("d1")) == (Counts(0, 0, 0), [])
    assert await store.write([item(0, xyz(4))]) == [Written(stored=4)]


async def test_a_second_process_is_told_that_the_file_is_taken(store: adapter.DuckdbStore, tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from telemetry.stores import open_store\n"
        f"asyncio.run(open_store('duckdb', {{}}, Path({str(tmp_path)!r}), retention_days=1).start())"
    )
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 1
    assert "StoreUnavailable" in ran.stderr
    assert "lock" in ran.stderr


async def test_folding_the_day_counts_changes_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "DAY_ROWS_FOLD", 5)
    store = opened(tmp_path)
    await store.start()
    for seq in range(20):
        days = [xyz(2, T0 + k * DAY) for k in range(3)]
        await store.write([item(seq, *days), item(seq, xyz(1), device="d2")])
    assert store._totals.day_rows <= 13, "it was folded"
    assert await store.counts() == Counts(readings=140, batches=40, devices=2)
    d1, d2 = await store.devices()
    assert (d1.readings, d1.first_ns, d1.last_ns) == (120, T0, T0 + 2 * DAY + 1000)
    assert d2.readings == 20
    await store.close()


async def test_a_stream_that_was_pruned_away_starts_anew_under_another_number(store: adapter.DuckdbStore) -> None:
    await store.write([item(0, xyz(3, T0 - 9 * DAY))])
    assert await store.prune(before_ns=T0 + DAY) == 3
    assert await store.counts() == Counts(0, 0, 0)
    assert await store.write([item(0, xyz(3))]) == [Written(stored=3)]
    streams = await store._ask(lambda c: c.execute("SELECT stream FROM streams").fetchall())
    assert streams == [(2,)]


async def test_pruning_while_a_reader_is_in_the_middle(store: adapter.DuckdbStore) -> None:
    await store.write([item(seq, xyz(3, T0 - 9 * DAY), session=f"s{seq % 2}") for seq in range(6)])
    assert store._connection is not None
    with store._connection.cursor() as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM claims").fetchone() == (6,)
        assert await store.prune(before_ns=T0 + DAY) == 18
        again = await store.write([item(seq, xyz(3), session=f"s{seq % 2}") for seq in range(6)])
        reader.execute("COMMIT")
    assert again == [Written(stored=3)] * 6
