"""A store that lies is found out: each figure rises when, and only when, the store is tampered with so."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simulator.fleet import FleetConfig, run
from simulator.reconcile import Report
from simulator.verify import verify
from telemetry.errors import Forbidden, Unauthorised
from telemetry.stores._rows import Rows
from telemetry.stores.memory import MemoryStore
from tests.simulator.running_station import Running, station

WAIT_S = 0.6


async def filled(running: Running, tmp_path: Path) -> Report:
    """A clean fleet's report, before anybody tampers."""
    await run(FleetConfig(running.url, tmp_path / "ledger", devices=2, seconds=3, speed=0, key=running.key))
    report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=20)
    assert report.is_clean
    assert report.stored == report.sent == 2 * (3 * 601 + 1)
    return report


def some_rows(store: MemoryStore) -> list[Rows]:
    """The acceleration of one device, a batch an entry."""
    return store._rows["sim-0000"]["acceleration"]


def delete_a_batch(store: MemoryStore) -> None:
    for rows in store._rows["sim-0000"].values():
        rows[:] = [r for r in rows if r.seq != 1]


def delete_a_reading(store: MemoryStore) -> None:
    rows = some_rows(store)
    rows[0] = rows[0].where(np.arange(len(rows[0])) != 7)


def double_a_batch(store: MemoryStore) -> None:
    some_rows(store).append(some_rows(store)[0])


def double_a_reading(store: MemoryStore) -> None:
    rows = some_rows(store)
    rows.append(rows[0].where(np.arange(len(rows[0])) == 99))


def change_a_value(store: MemoryStore) -> None:
    some_rows(store)[1].series.values["z"][50] += np.float32(1e-5)


def change_a_time(store: MemoryStore) -> None:
    some_rows(store)[1].series.t[50] += 1


def invent_a_batch(store: MemoryStore) -> None:
    rows = some_rows(store)
    rows.append(dataclasses.replace(rows[0], seq=77))


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (delete_a_batch, {"lost_acked": 601, "unaccounted": 601}),
        (delete_a_reading, {"lost_acked": 1, "unaccounted": 1, "unchecked": 601}),
        (double_a_batch, {"dup_stored": 100}),
        (double_a_reading, {"dup_stored": 1}),
        (change_a_value, {"corrupt": 601}),
        (change_a_time, {"corrupt": 601}),
        (invent_a_batch, {"corrupt": 100}),
    ],
)
async def test_a_store_that_lies(
    tmp_path: Path, tamper: Callable[[MemoryStore], None], expected: dict[str, int]
) -> None:
    async with station(tmp_path / "data") as running:
        honest = await filled(running, tmp_path)
        assert isinstance(running.engine.store, MemoryStore)
        tamper(running.engine.store)
        report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=WAIT_S)
    figures = ("lost_acked", "dup_stored", "corrupt", "unaccounted", "unchecked")
    assert {f: getattr(report, f) for f in figures} == dict.fromkeys(figures, 0) | expected
    assert not report.is_clean
    assert report.sent == honest.sent
    assert report.wait_s >= WAIT_S


async def test_it_waits_for_what_is_still_on_its_way(tmp_path: Path) -> None:
    async with station(tmp_path / "data") as running:
        await filled(running, tmp_path)
        store = running.engine.store
        assert isinstance(store, MemoryStore)
        held_back = store._rows["sim-0001"].pop("gyroscope")

        def give_back(_clean: int, _sessions: int) -> None:
            store._rows["sim-0001"]["gyroscope"] = held_back

        report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=20, on_progress=give_back)
    assert report.is_clean
    assert report.wait_s < 15


async def test_a_deleted_device_is_a_loss_that_it_reports(tmp_path: Path) -> None:
    async with station(tmp_path / "data") as running:
        await filled(running, tmp_path)
        await running.engine.store.delete_device("sim-0000")
        report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=WAIT_S)
    assert report.lost_acked == report.unaccounted == 3 * 601 + 1


@pytest.mark.parametrize("engine", ["memory", "embedded"])
async def test_where_only_windows_are_kept_the_claims_are_compared(tmp_path: Path, engine: str) -> None:
    async with station(tmp_path / "data", engine=engine, detail="windows") as running:
        await run(FleetConfig(running.url, tmp_path / "ledger", devices=2, seconds=3, speed=0, key=running.key))
        report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=20)
        assert report.is_clean
        assert (report.summarised, report.stored, report.sent) == (2 * (3 * 601 + 1), 0, 2 * (3 * 601 + 1))
        assert (await running.engine.store.counts()).readings == 0


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (None, {"lost_acked": 601, "unaccounted": 601}),
        ({"content_hash": "0" * 64}, {"corrupt": 601}),
        ({"summarised": 600}, {"lost_acked": 1, "unaccounted": 1}),
        ({"summarised": 602}, {"corrupt": 602}),
    ],
)
async def test_a_claim_that_was_tampered_with_is_found_out(
    tmp_path: Path, changed: dict[str, object] | None, expected: dict[str, int]
) -> None:
    async with station(tmp_path / "data", detail="windows") as running:
        await run(FleetConfig(running.url, tmp_path / "ledger", devices=1, seconds=3, speed=0, key=running.key))
        assert (await verify(tmp_path / "ledger", running.url, running.key, wait_s=20)).is_clean
        store = running.engine.store
        assert isinstance(store, MemoryStore)
        id_ = next(id_ for id_, claim in store._claims.items() if claim.readings == 601)
        claim = store._claims.pop(id_)
        if changed is not None:
            store._claims[id_] = dataclasses.replace(claim, **changed)  # type: ignore[arg-type]
        report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=WAIT_S)
    figures = ("lost_acked", "dup_stored", "corrupt", "unaccounted")
    assert {f: getattr(report, f) for f in figures} == dict.fromkeys(figures, 0) | expected


async def test_a_wrong_key_a_device_token_and_nobody(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b'{"device":"d","session":"s","seq":0,"hash":"h","readings":1}\n')
    async with station(tmp_path / "data") as running:
        with pytest.raises(Unauthorised):
            await verify(tmp_path / "ledger", running.url, "wrong", wait_s=1)
        token = (await running.services.enrolment.enrol("d")).token
        with pytest.raises(Forbidden):
            await verify(tmp_path / "ledger", running.url, token, wait_s=1)


async def test_phones_with_owntracks_lose_and_double_nothing(tmp_path: Path) -> None:
    async with station(tmp_path / "data") as running:
        config = FleetConfig(
            running.url, tmp_path / "ledger", devices=2, seconds=61, speed=0, key=running.key, dialect="owntracks"
        )
        await run(config)
        report = await verify(tmp_path / "ledger", running.url, running.key, wait_s=20)
        assert report.is_clean
        assert report.stored == report.sent == 2 * (61 + 2)
        sessions = await running.engine.store.completeness()
        assert {s.is_numbered for s in sessions} == {False}
        assert [s.missing_batches for s in sessions] == [0] * len(sessions)
