"""A small world for alerts: a log in memory, a clock that is moved by hand, and a channel that fails as it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from consumers.alert import Alerter
from consumers.alerting import Alert
from consumers.runner import Runner
from telemetry.anomaly import Anomaly, Severity, anomaly_id, encode
from telemetry.clock import ManualClock, SystemClock
from telemetry.deadletters import Letter
from telemetry.errors import SensorlineError
from telemetry.labels import Labelling, Labels
from telemetry.logs.memory import Config as LogConfig
from telemetry.logs.memory import MemoryLog
from telemetry.ports import ANOMALIES, CHECKPOINTS, DEADLETTERS, LABELS, Record
from telemetry.settings import Alerts
from telemetry.table import Table
from tests.consumers.test_anomalies import anomaly as base_anomaly
from tests.gateway.gateway_world import stored

START_NS = 1_700_000_000_000_000_000


def anomaly(n: int = 0, version: int = 1, *, device: str = "d1", at_ns: int = START_NS, **changed: Any) -> Anomaly:
    """The n-th of a device, open."""
    made = msgspec.structs.replace(
        base_anomaly(version, device=device, start_ns=START_NS + n),
        is_open=True,
        words=f"{changed.get('kind', 'fall')} {n}",
        updated_ns=at_ns,
        received_ns=at_ns,
    )
    if "kind" in changed:
        changed["id"] = anomaly_id(device, "s1", "motion", changed["kind"], START_NS + n)
    return msgspec.structs.replace(made, **changed)


class Told:
    """A channel that keeps what it is given, and raises what stands next in `script`."""

    target = "a list"

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.script: list[SensorlineError | None] = []
        self.tries = 0
        self.always: SensorlineError | None = None

    async def send(self, alert: Alert) -> None:
        self.tries += 1
        error = self.script.pop(0) if self.script else self.always
        if error is not None:
            raise error
        self.alerts.append(alert)

    @property
    def said(self) -> list[list[str]]:
        return [[f"{i.event} {i.anomaly.words}" for i in a.items] for a in self.alerts]


@dataclass
class World:
    """One log; consumers come and go."""

    log: MemoryLog
    labelling: Labelling
    clock: ManualClock
    channels: dict[str, Told]
    settings: Alerts
    deleted: set[str] = field(default_factory=set)
    offset: int = 0
    consumer: Alerter | None = None

    async def refresh(self) -> None:
        """Nothing to read."""

    def start(self) -> Alerter:
        """A new process."""
        return Alerter(
            self.log,
            self.settings,
            self.channels,
            self.clock,
            labels=self.labelling.labels,
            is_deleted=lambda device, _ns: device in self.deleted,
            refresh=self.refresh,
        )

    async def restart(self) -> None:
        """The process is gone; another begins where the group committed."""
        self.consumer = self.start()
        await self.consumer.adopt(frozenset({0}))

    async def found(self, *anomalies: Anomaly) -> None:
        """Detection writes these, and the consumer is given them as its runner does."""
        await self.log.append(ANOMALIES, [Record(a.device, encode(a)) for a in anomalies])
        await self.read()

    async def read(self) -> None:
        """Everything from `offset` on."""
        consumer = await self._consumer()
        entries = (await stored(self.log, ANOMALIES))[self.offset :]
        if entries:
            await consumer.process(entries)
            self.offset = entries[-1].offset + 1

    async def crash(self) -> None:
        """Restart and read again from what was committed."""
        self.offset = self.committed
        await self.restart()
        await self.read()

    async def later(self, by_s: float) -> None:
        """Time passes; the runner asks as it does."""
        consumer = await self._consumer()
        await self.clock.advance(by_s)
        if consumer.is_save_due():
            await consumer.save()

    async def letters(self) -> list[Letter]:
        return [Letter.of(entry) for entry in await stored(self.log, DEADLETTERS)]

    async def memories(self) -> list[str]:
        return [entry.key for entry in await stored(self.log, CHECKPOINTS)]

    @property
    def committed(self) -> int:
        assert self.consumer is not None
        return self.consumer.committable().get(0, 0)

    @property
    def told(self) -> Told:
        return next(iter(self.channels.values()))

    async def _consumer(self) -> Alerter:
        if self.consumer is None:
            await self.restart()
        assert self.consumer is not None
        return self.consumer


@contextlib.asynccontextmanager
async def world(*names: str, **settings: Any) -> AsyncIterator[World]:
    """With these channels; `settings` are those of `Alerts`."""
    clock = ManualClock(START_NS)
    log = MemoryLog(LogConfig(), clock=SystemClock())
    await log.start()
    table = await Table.open(log, LABELS)
    channels = {name: Told() for name in names or ("people",)}
    defaults = {"device_burst": 3, "device_per_hour": 60.0, "burst": 100, "per_hour": 3600.0, "severity_min": "info"}
    try:
        labelling = Labelling(log, Labels(table), clock)
        yield World(log, labelling, clock, channels, Alerts(**(defaults | settings)))
    finally:
        await table.close()
        await log.close()


async def run(w: World, wanted: int) -> None:
    """Through the real runner, until so many alerts came."""
    from tests.consumers.world import SETTINGS

    runner = Runner(w.log, ANOMALIES, w.start(), SETTINGS, SystemClock())
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(10):
            while len(w.told.alerts) < wanted:
                await asyncio.sleep(0.01)
    finally:
        runner.stop()
        await running


__all__ = ["START_NS", "Severity", "Told", "World", "anomaly", "run", "world"]
