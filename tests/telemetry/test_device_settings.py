"""Settings wanted of a device and what it reports, over a real table and log: races, floods, new enrolments."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from telemetry.clock import ManualClock
from telemetry.device_settings import REPORT_PERIOD_S, DeviceSettings
from telemetry.enrolment import Enrolment
from telemetry.errors import Conflict, LogUnavailable, NotFound
from telemetry.logs.memory import Config, MemoryLog
from telemetry.ports import DEVICES
from telemetry.registry import Holder, Registry
from telemetry.remote_settings import Changes
from telemetry.table import Table

FAST = Changes.model_validate({"sources": {"imu": {"rate_hz": 100}}})
SLOW = Changes.model_validate({"sources": {"imu": {"rate_hz": 1}}, "batch_period_s": 5.0})


class Side:
    """One gateway."""

    def __init__(self, log: MemoryLog, table: Table, clock: ManualClock) -> None:
        self.log, self.clock = log, clock
        self.registry = Registry(table)
        self.enrolment = Enrolment(log, self.registry, clock, wait_s=5)
        self.settings = DeviceSettings(log, self.registry, clock, wait_s=5)

    async def enrolled(self, device: str = "pi") -> Holder:
        token = (await self.enrolment.enrol(device)).token
        holder = self.registry.holder(token, self.clock.now_ns())
        assert holder is not None
        return holder

    async def heard(self, holder: Holder, text: str | None) -> Any:
        answer = await self.settings.heard(holder, text)
        await self.registry.sync(5)
        return answer

    async def records(self) -> int:
        return sum((await self.log.ends(DEVICES)).values())


@contextlib.asynccontextmanager
async def sides(n: int = 1) -> AsyncIterator[list[Side]]:
    log = MemoryLog(Config())
    await log.start()
    clock = ManualClock()
    async with contextlib.AsyncExitStack() as stack:
        tables = [await Table.open(log, DEVICES) for _ in range(n)]
        for table in tables:
            stack.push_async_callback(table.close)
        yield [Side(log, table, clock) for table in tables]
    await log.close()


async def test_a_version_is_handed_down_until_it_is_in_force_or_failed() -> None:
    async with sides() as (side,):
        holder = await side.enrolled()
        assert await side.heard(holder, "0") is None
        assert (await side.settings.change("pi", FAST)).settings.version == 1
        assert await side.heard(holder, "0") == {"version": 1, "sources": {"imu": {"rate_hz": 100.0}}}
        assert await side.heard(holder, "1") is None
        assert (await side.settings.change("pi", SLOW)).settings.version == 2
        wanted = await side.heard(holder, "1")
        assert (wanted["version"], wanted["batch_period_s"]) == (2, 5.0)
        assert await side.heard(holder, "1 failed=2 no such rate") is None
        assert (await side.settings.change("pi", Changes())).settings.version == 3
        assert await side.heard(holder, "1 failed=2 no such rate") == {"version": 3}


async def test_only_the_last_version_is_kept() -> None:
    async with sides() as (side,):
        await side.enrolled()
        for _ in range(5):
            await side.settings.change("pi", FAST)
        assert [e.key.split("/")[2] for e in side.registry.entries("wants/")] == ["0000000005"]


async def test_two_gateways_change_at_once_and_one_wins_everywhere() -> None:
    async with sides(2) as (a, b):
        await a.enrolled()
        await b.registry.sync(5)
        results = await asyncio.gather(
            a.settings.change("pi", FAST), b.settings.change("pi", SLOW), return_exceptions=True
        )
        won = [r for r in results if not isinstance(r, BaseException)]
        assert len(won) + sum(isinstance(r, Conflict) for r in results) == 2
        assert won
        for side in (a, b):
            await side.registry.sync(5)
            wanted, _ = await side.settings.of("pi")
            assert wanted.settings == max(won, key=lambda w: w.settings.version).settings


async def test_of_two_claims_to_a_version_the_first_offset_holds() -> None:
    """The race as it ends in the log, whoever reads it: written here by hand, for chance seldom shows it."""
    import orjson

    from telemetry.ports import Record

    async with sides() as (side,):
        holder = await side.enrolled()
        for nonce, changes in (("zz", FAST), ("aa", SLOW)):
            value = {"enrolment": holder.enrolment, "version": 1, "changes": changes.given, "at_ns": 1}
            await side.log.append(DEVICES, [Record(f"wants/pi/0000000001/{nonce}", orjson.dumps(value))])
        await side.registry.sync(5)
        wanted, _ = await side.settings.of("pi")
        assert wanted.settings.given == FAST.given
        assert (await side.settings.change("pi", SLOW)).settings.version == 2
        assert len(list(side.registry.entries("wants/"))) == 1


async def test_a_report_is_kept_when_it_changes_and_no_flood_reaches_the_topic() -> None:
    async with sides() as (side,):
        holder = await side.enrolled()
        before = await side.records()
        for _ in range(20):
            await side.heard(holder, "0")
        assert await side.records() == before + 1
        for n in range(100):
            await side.heard(holder, f"{n}")
        assert await side.records() == before + 1
        await side.clock.advance(REPORT_PERIOD_S)
        await side.heard(holder, "5 failed=6 source imu: gone")
        assert await side.records() == before + 2
        _, reported = await side.settings.of("pi")
        assert reported is not None
        assert (reported.report.in_force, reported.report.failed) == (5, 6)
        assert reported.report.reason == "source imu: gone"
        assert reported.at_ns == side.clock.now_ns()


@pytest.mark.parametrize("text", [None, "", "seven", "7 failed=", "-1"])
async def test_who_reports_nothing_costs_and_gets_nothing(text: str | None) -> None:
    async with sides() as (side,):
        holder = await side.enrolled()
        await side.settings.change("pi", FAST)
        before = await side.records()
        assert await side.heard(holder, text) is None
        assert await side.records() == before


async def test_a_look_up_reads_no_record_while_the_registry_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sides() as (side,):
        holder = await side.enrolled()
        await side.settings.change("pi", FAST)
        await side.heard(holder, "1")
        reads = 0
        real = side.registry.entries

        def counted(prefix: str) -> Any:
            nonlocal reads
            reads += 1
            return real(prefix)

        monkeypatch.setattr(side.registry, "entries", counted)
        await side.heard(holder, "1")
        first = reads
        for _ in range(100):
            await side.heard(holder, "1")
        assert (first, reads) == (1, 1)
        await side.settings.change("pi", SLOW)
        assert (await side.heard(holder, "1"))["version"] == 2


async def test_a_new_enrolment_of_a_name_inherits_nothing() -> None:
    async with sides() as (side,):
        holder = await side.enrolled()
        await side.settings.change("pi", FAST)
        await side.heard(holder, "1")
        await side.enrolment.delete("pi")
        assert [e.key for prefix in ("wants/", "reported/") for e in side.registry.entries(prefix)] == []
        with pytest.raises(NotFound):
            await side.settings.of("pi")
        again = await side.enrolled()
        wanted, reported = await side.settings.of("pi")
        assert (wanted.settings.version, reported) == (0, None)
        assert await side.heard(again, "1") == {"version": 0}, "an edge goes back to its own file"


async def test_nobody_s_settings_cannot_be_changed() -> None:
    async with sides() as (side,):
        with pytest.raises(NotFound):
            await side.settings.change("pi", FAST)


async def test_a_log_that_takes_nothing_costs_no_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sides() as (side,):
        holder = await side.enrolled()
        await side.settings.change("pi", FAST)

        async def full(*_: Any) -> None:
            raise LogUnavailable("no")

        monkeypatch.setattr(side.log, "append", full)
        assert (await side.heard(holder, "0"))["version"] == 1
        with pytest.raises(LogUnavailable):
            await side.settings.change("pi", SLOW)


async def test_a_record_that_cannot_be_read_costs_no_receipt() -> None:
    import orjson

    from telemetry.ports import Record

    async with sides() as (side,):
        holder = await side.enrolled()
        value = {"enrolment": holder.enrolment, "version": 1, "changes": {"batch_period_s": -5}, "at_ns": 1}
        await side.log.append(DEVICES, [Record("wants/pi/0000000001/x", orjson.dumps(value))])
        await side.registry.sync(5)
        assert await side.heard(holder, "0") is None
        assert (await side.settings.change("pi", FAST)).settings.version == 2, "and the next version mends it"
