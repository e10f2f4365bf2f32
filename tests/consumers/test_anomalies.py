"""What is found comes into the store once, whatever is repeated or poisoned, and none of a deleted device."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from consumers.anomalies import Anomalies
from consumers.runner import Runner
from telemetry.anomaly import Anomaly, Asked, Evidence, Samples, Severity, anomaly_id, encode
from telemetry.clock import SystemClock
from telemetry.deadletters import Letter
from telemetry.errors import StoreUnavailable
from telemetry.logs.memory import Config as LogConfig
from telemetry.logs.memory import MemoryLog
from telemetry.ports import ANOMALIES, DEADLETTERS, Record
from telemetry.stores.memory import MemoryStore
from tests.consumers.world import CLOCK, NOW_NS, SETTINGS
from tests.gateway.gateway_world import eventually, stored


def anomaly(version: int = 1, *, device: str = "d1", start_ns: int = NOW_NS, score: float = 1.5) -> Anomaly:
    return Anomaly(
        id=anomaly_id(device, "s1", "motion", "fall", start_ns),
        version=version,
        device=device,
        session="s1",
        stream="motion",
        kind="fall",
        severity=Severity.CRITICAL,
        start_ns=start_ns,
        end_ns=start_ns + 10**9,
        is_open=version == 1,
        score=score,
        peak_ns=start_ns,
        words="fall",
        evidence=(Evidence("impact", "m/s2", 42.5, 0.0, 12.0, "impact 3.5x its usual"),),
        detector="motion",
        model=1,
        is_live=True,
        received_ns=NOW_NS + 5,
        updated_ns=NOW_NS + version,
        partition=0,
        offset=version,
        samples=Samples((start_ns,), {"ax": (1.25,)}),
    )


@dataclass
class World:
    """A log, a store, and a registry that says who was deleted."""

    log: MemoryLog = field(default_factory=lambda: MemoryLog(LogConfig(), clock=SystemClock()))
    store: MemoryStore = field(default_factory=lambda: MemoryStore(retention_days=36_500))
    deleted: dict[str, int] = field(default_factory=dict)
    deletes_at_refresh: list[dict[str, int]] = field(default_factory=list)

    def consumer(self) -> Anomalies:
        return Anomalies(self.log, self.store, CLOCK, self.is_deleted, self.refresh)

    def is_deleted(self, device: str, received_ns: int) -> bool:
        return received_ns < self.deleted.get(device, -1)

    async def refresh(self) -> None:
        if self.deletes_at_refresh:
            self.deleted |= self.deletes_at_refresh.pop(0)

    async def found(self, *anomalies: Anomaly) -> None:
        await self.log.append(ANOMALIES, [Record(a.device, encode(a)) for a in anomalies])

    async def process(self) -> None:
        await self.consumer().process(await stored(self.log, ANOMALIES))

    async def letters(self) -> list[Letter]:
        return [Letter.of(entry) for entry in await stored(self.log, DEADLETTERS)]


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    w = World()
    await w.log.start()
    await w.store.start()
    try:
        yield w
    finally:
        await w.store.close()
        await w.log.close()


async def test_the_topic_comes_into_the_store_by_the_runner() -> None:
    async with world() as w:
        await w.found(anomaly(1), anomaly(1, device="d2"), anomaly(2))
        runner = Runner(w.log, ANOMALIES, w.consumer(), SETTINGS, CLOCK)

        async def listed() -> list[tuple[str, int]]:
            return sorted((a.device, a.version) for a in await w.store.anomalies(Asked()))

        running = asyncio.create_task(runner.run())
        try:
            await eventually(lambda: len(w.store._findings.anomalies(Asked())) == 2)
        finally:
            runner.stop()
            await running
        assert await listed() == [("d1", 2), ("d2", 1)]
        assert await w.store.anomaly(anomaly().id) == anomaly(2)
        assert await w.log.committed(ANOMALIES, "anomalies") == {0: 3}


async def test_reading_it_again_or_in_other_cuts_changes_nothing() -> None:
    async with world() as w:
        await w.found(anomaly(1), anomaly(3, score=3.0), anomaly(2, score=2.0))
        entries = await stored(w.log, ANOMALIES)
        for part in (entries[:2], entries, [entries[2]], entries[::-1], entries[:1]):
            await w.consumer().process(part)
            assert await w.store.anomaly(anomaly().id) == anomaly(3, score=3.0)
        assert await w.store.anomaly(anomaly().id) == anomaly(3, score=3.0)
        assert await w.letters() == []


NEGATIVE = encode(anomaly()).replace(f'"start_ns":{NOW_NS}'.encode(), b'"start_ns":-1')


@pytest.mark.parametrize(
    "poison",
    [b"", b"\xff", b"[]", b'{"id":"x"}', encode(anomaly())[:-9], NEGATIVE, encode(anomaly(device="other"))],
    ids=["empty", "binary", "list", "not whole", "cut off", "before 1970", "of another device"],
)
async def test_what_is_no_anomaly_falls_out_alone(poison: bytes) -> None:
    async with world() as w:
        await w.found(anomaly())
        await w.log.append(ANOMALIES, [Record("d1", poison)])
        await w.found(anomaly(device="d2"))
        await w.process()
        (letter,) = await w.letters()
        assert (letter.reason, letter.topic, letter.offset, letter.key) == ("undecodable", "anomalies", 1, "d1")
        assert len(await w.store.anomalies(Asked())) == 2


async def test_a_deleted_device_has_none_and_one_that_came_again_has_its_new_ones() -> None:
    async with world() as w:
        w.deleted["d1"] = NOW_NS + 100
        later = msgspec.structs.replace(anomaly(start_ns=NOW_NS + 1), received_ns=NOW_NS + 200)
        await w.found(anomaly(), later, anomaly(device="d2"))
        await w.process()
        assert sorted(a.id for a in await w.store.anomalies(Asked())) == sorted([later.id, anomaly(device="d2").id])


async def test_a_deletion_during_the_write_wins() -> None:
    async with world() as w:
        w.deletes_at_refresh = [{}, {"d1": NOW_NS + 100}]
        await w.found(anomaly(), anomaly(device="d2"))
        await w.process()
        assert [a.device for a in await w.store.anomalies(Asked())] == ["d2"]


class TrippingStore(MemoryStore):
    """Trips over one device's anomalies with an error that nobody foresaw."""

    async def put_anomalies(self, anomalies: Sequence[Anomaly]) -> None:
        if any(a.device == "bad" for a in anomalies):
            raise OverflowError("a number that no column takes")
        await super().put_anomalies(anomalies)


async def test_one_that_the_store_trips_over_is_kept_as_a_dead_letter() -> None:
    async with world() as w:
        w.store = TrippingStore(retention_days=1)
        await w.store.start()
        await w.found(anomaly(), anomaly(device="bad"), anomaly(device="d2"))
        await w.process()
        (letter,) = await w.letters()
        assert (letter.reason, letter.key) == ("store_refused", "bad")
        assert "OverflowError: a number that no column takes" in letter.detail
        assert sorted(a.device for a in await w.store.anomalies(Asked())) == ["d1", "d2"]


async def test_a_store_that_is_away_holds_and_nothing_is_dead_lettered() -> None:
    async with world() as w:
        await w.found(anomaly())
        await w.store.close()
        with pytest.raises(StoreUnavailable):
            await w.process()
        assert await w.letters() == []
