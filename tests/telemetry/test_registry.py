"""The registry over a real table: what two gateways that race, crash or lag may and may not do."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telemetry import credentials
from telemetry.clock import SystemClock
from telemetry.enrolment import KEY_FILE, Enrolment, operator_key
from telemetry.errors import Conflict, Invalid, LogUnavailable, NotFound
from telemetry.logs.memory import Config, MemoryLog
from telemetry.ports import DEVICES, Record
from telemetry.registry import Registry
from telemetry.table import Table

HOUR_NS = 3_600 * 10**9


class Side:
    """One gateway's view and pen."""

    def __init__(self, log: MemoryLog, table: Table) -> None:
        self.log = log
        self.registry = Registry(table)
        self.pen = Enrolment(log, self.registry, SystemClock(), wait_s=5)

    def holder(self, token: str, *, later_ns: int = 0) -> Any:
        return self.registry.holder(token, SystemClock().now_ns() + later_ns)

    async def sees(self) -> None:
        await self.registry.sync(5)


@contextlib.asynccontextmanager
async def sides(n: int = 1) -> AsyncIterator[list[Side]]:
    log = MemoryLog(Config())
    await log.start()
    async with contextlib.AsyncExitStack() as stack:
        tables = [await Table.open(log, DEVICES) for _ in range(n)]
        for table in tables:
            stack.push_async_callback(table.close)
        yield [Side(log, table) for table in tables]
    await log.close()


async def test_a_token_is_its_device_s_and_is_not_kept() -> None:
    async with sides() as (side,):
        issued = await side.pen.enrol("pi", platform="ios", standardised=True)
        assert len(issued.token) == len("sl_") + 43
        holder = side.holder(issued.token)
        assert (holder.device, holder.token_id, holder.sender.platform) == ("pi", issued.token_id, "ios")
        assert side.holder(issued.token + "x") is None
        assert side.holder("") is None
        reader = await side.log.follow(DEVICES)
        entries = await reader.poll(records_max=100, bytes_max=10**6, wait_s=1)
        assert issued.token not in str(entries)


async def test_two_gateways_enrol_the_same_name_and_one_wins() -> None:
    async with sides(2) as (a, b):
        results = await asyncio.gather(a.pen.enrol("pi"), b.pen.enrol("pi"), return_exceptions=True)
        issued = [r for r in results if not isinstance(r, BaseException)]
        assert len(issued) == 1
        assert sum(isinstance(r, Conflict) for r in results) == 1
        for side in (a, b):
            await side.sees()
            assert side.holder(issued[0].token).device == "pi"
            device = side.registry.device("pi")
            assert device is not None
            assert [t.id for t in side.registry.tokens(device)] == [issued[0].token_id]


async def test_two_gateways_pin_two_phones_and_one_wins() -> None:
    async with sides(2) as (a, b):
        token = (await a.pen.enrol("phone")).token
        await b.sees()
        pinned = await asyncio.gather(a.pen.pin(a.holder(token), "one"), b.pen.pin(b.holder(token), "two"))
        assert pinned[0] == pinned[1]
        for side in (a, b):
            await side.sees()
            assert side.holder(token).source_id == pinned[0]


async def test_a_pin_s_winner_does_not_change_when_the_loser_tries_again() -> None:
    async with sides(2) as (a, b):
        token = (await a.pen.enrol("phone")).token
        assert await a.pen.pin(a.holder(token), "one") == "one"
        for _ in range(3):
            await b.sees()
            assert await b.pen.pin(b.holder(token), "two") == "one"
        with pytest.raises(Invalid):
            await a.pen.pin(a.holder((await a.pen.rotate("phone", overlap_s=1)).token), "x" * 1000)


async def test_revocation_reaches_another_gateway_within_five_seconds() -> None:
    async with sides(2) as (a, b):
        token = (await a.pen.enrol("pi")).token
        await b.sees()
        assert b.holder(token) is not None  # and is cached
        await a.pen.revoke("pi")
        assert a.holder(token) is None
        async with asyncio.timeout(5):
            while b.holder(token) is not None:
                await asyncio.sleep(0.01)


async def test_a_rotation_that_races_a_revocation_does_not_undo_it() -> None:
    async with sides(2) as (a, b):
        token = (await a.pen.enrol("pi")).token
        await b.sees()
        await asyncio.gather(a.pen.revoke("pi"), b.pen.rotate("pi", overlap_s=3600))
        for side in (a, b):
            await side.sees()
            assert side.holder(token) is None


async def test_rotation_overlaps() -> None:
    async with sides() as (side,):
        old = (await side.pen.enrol("pi")).token
        new = (await side.pen.rotate("pi", overlap_s=3600)).token
        assert side.holder(old) is not None
        assert side.holder(old, later_ns=2 * HOUR_NS) is None
        assert side.holder(new, later_ns=2 * HOUR_NS) is not None
        newest = (await side.pen.rotate("pi", overlap_s=0)).token
        assert side.holder(old) is None
        assert side.holder(new) is None
        assert side.holder(newest) is not None


async def test_changes_show_at_once_in_what_is_cached() -> None:
    async with sides() as (side,):
        token = (await side.pen.enrol("phone")).token
        assert side.holder(token).sender.platform == ""
        await side.pen.update("phone", platform="ios")
        assert side.holder(token).sender.platform == "ios"
        await side.pen.update("phone", standardised=True)
        assert (side.holder(token).sender.platform, side.holder(token).sender.standardised) == ("ios", True)
        with pytest.raises(Invalid):
            await side.pen.update("phone", platform="windows")


async def test_deletion_ends_tokens_and_what_was_received_and_the_name_can_be_used_again() -> None:
    async with sides() as (side,):
        first = await side.pen.enrol("pi", platform="ios")
        holder = side.holder(first.token)
        await side.pen.pin(holder, "phone")
        before_ns = SystemClock().now_ns()
        deleted_ns = await side.pen.delete("pi")
        assert await side.pen.delete("pi") == deleted_ns
        assert side.holder(first.token) is None
        assert side.registry.devices() == []
        assert side.registry.is_deleted("pi", before_ns)
        assert side.registry.is_deleted("pi", deleted_ns + HOUR_NS)  # a gateway that had not heard of it yet
        again = await side.pen.enrol("pi")
        assert side.holder(first.token) is None
        device = side.registry.device("pi")
        assert device is not None
        assert (device.platform, [t.id for t in side.registry.tokens(device)]) == ("", [again.token_id])
        assert side.registry.is_deleted("pi", deleted_ns)
        assert not side.registry.is_deleted("pi", device.registered_ns)
        assert not side.registry.is_deleted("never-enrolled", 0)
        with pytest.raises(NotFound):
            await side.pen.delete("never-enrolled")


async def test_a_change_that_races_a_deletion_does_not_undo_it() -> None:
    async with sides(2) as (a, b):
        token = (await a.pen.enrol("pi")).token
        await b.sees()
        await asyncio.gather(a.pen.delete("pi"), b.pen.update("pi", platform="ios"), return_exceptions=True)
        for side in (a, b):
            await side.sees()
            assert side.registry.device("pi") is None
            assert side.holder(token) is None
        device = (await b.pen.enrol("pi")).device
        found = b.registry.device(device)
        assert found is not None
        assert found.platform == ""


async def test_more_devices_than_a_page_are_listed() -> None:
    async with sides() as (side,):
        value = b'{"registered_ns":1,"platform":"","standardised":false}'
        await side.log.append(DEVICES, [Record(f"enrol/d{n:04d}/0", value) for n in range(2_500)])
        await side.sees()
        assert [d.name for d in side.registry.devices()] == [f"d{n:04d}" for n in range(2_500)]


async def test_a_change_the_log_does_not_take_in_time_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sides() as (side,):

        async def hangs(*_: Any) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(side.log, "append", hangs)
        pen = Enrolment(side.log, side.registry, SystemClock(), wait_s=0.05)
        with pytest.raises(LogUnavailable):
            await pen.enrol("pi")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "x" * 65, "a b", "é"])
async def test_names_reach_keys_through_an_allow_list(name: str) -> None:
    async with sides() as (side,):
        with pytest.raises(Invalid):
            await side.pen.enrol(name)
        with pytest.raises(Invalid):
            await side.pen.add_operator(name, "viewer")


# --- the first operator


async def test_the_first_start_makes_one_key(tmp_path: Path) -> None:
    async with sides(2) as (a, b):
        key = await a.pen.ensure_operator(tmp_path)
        assert key is not None
        assert operator_key(tmp_path) == key
        operator = a.registry.operator(key)
        assert operator is not None
        assert operator.role == "admin"
        assert await a.pen.ensure_operator(tmp_path) is None
        assert await b.pen.ensure_operator(tmp_path / "elsewhere") is None
        assert operator_key(tmp_path / "elsewhere") is None


async def test_two_gateways_start_first_and_one_key_holds(tmp_path: Path) -> None:
    async with sides(2) as (a, b):
        dirs = [tmp_path / "a", tmp_path / "b"]
        keys = await asyncio.gather(a.pen.ensure_operator(dirs[0]), b.pen.ensure_operator(dirs[1]))
        assert sum(k is not None for k in keys) == 1
        for side in (a, b):
            await side.sees()
            assert len(side.registry.operators()) == 1
        assert [operator_key(d) for d in dirs] == list(keys)


async def test_two_gateways_that_share_a_folder_agree_on_one_key(tmp_path: Path) -> None:
    async with sides(2) as (a, b):
        keys = await asyncio.gather(a.pen.ensure_operator(tmp_path), b.pen.ensure_operator(tmp_path))
        kept = operator_key(tmp_path)
        assert kept is not None
        assert set(keys) - {None} == {kept}
        await b.sees()
        assert b.registry.operator(kept) is not None
        assert await asyncio.to_thread(os.listdir, tmp_path) == [KEY_FILE]  # no half-made file stays


async def test_a_crash_between_file_and_registry_is_mended_by_the_next_start(tmp_path: Path) -> None:
    key = credentials.new_credential(credentials.OPERATOR_PREFIX).secret
    (tmp_path / KEY_FILE).write_text(key + "\n")
    async with sides() as (side,):
        assert await side.pen.ensure_operator(tmp_path) == key
        assert side.registry.operator(key) is not None


async def test_operators_names_are_unique_and_the_last_admin_stays() -> None:
    async with sides(2) as (a, b):
        results = await asyncio.gather(
            a.pen.add_operator("x", "admin"), b.pen.add_operator("x", "admin"), return_exceptions=True
        )
        keys = [r for r in results if isinstance(r, str)]
        assert len(keys) == 1
        with pytest.raises(Conflict):
            await a.pen.remove_operator("x")
        await a.pen.add_operator("y", "admin")
        await a.pen.remove_operator("x")
        assert a.registry.operator(keys[0]) is None
        with pytest.raises(NotFound):
            await a.pen.remove_operator("x")
        with pytest.raises(Invalid):
            await a.pen.add_operator("z", "root")
