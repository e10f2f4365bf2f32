"""The station: opens the configured log and store and wires gateway and consumers into one process.

`run_up` is the embedded engine (everything in one process; it also works on Kafka and Elasticsearch);
`run_gateway` and `run_consumer` are the parts as processes of their own.  Each runs until `stop` is set, then ends in
order: no new request, what was accepted is answered, consumers flush and commit, log and store are let go.
"""

import asyncio
import gc
import logging
import math
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers import health, retention
from consumers.processor import Processor
from consumers.runner import Runner
from gateway.app import create_app
from gateway.listeners.http import Server
from gateway.services import Services
from sensorline import https, roster
from telemetry import adapters
from telemetry.clock import Clock, SystemClock
from telemetry.errors import Misconfigured, SensorlineError
from telemetry.labels import Labels
from telemetry.logs import open_log
from telemetry.ports import DEVICES, LABELS, Log, Store
from telemetry.registry import Registry
from telemetry.settings import Settings
from telemetry.stores import open_store
from telemetry.table import Table

if TYPE_CHECKING:
    from gateway.listeners.mqtt import Listener as MqttListener
    from telemetry.mqtt_accounts import Accounts

logger = logging.getLogger(__name__)

GC_THRESHOLD = 50_000  # new containers, not bytes
WATCH_EVERY_S = 1.0
SYNC_WAIT_S = 10.0
STOP_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Ready:
    """What a person is told once it runs; `operator_key` and `password` (admin's) only at the very first start."""

    url: str
    operator_key: str | None
    key_file: Path
    pid: int
    password: str | None = None


OnReady = Callable[[Ready], None]


@dataclass(frozen=True, slots=True)
class Engine:
    """An opened log and store, with the registry of devices and people's labels."""

    settings: Settings
    clock: Clock
    log: Log
    store: Store
    registry: Registry
    labels: Labels

    async def refresh(self) -> None:
        """See every deletion that was acknowledged until now."""
        await self.registry.sync(SYNC_WAIT_S)

    async def lag(self) -> dict[str, int]:
        """Records not yet committed, by consumer."""
        names = roster.enabled(self.settings)
        topics = {roster.ROLES[name].topic for name in names}
        spans = {topic: (await self.log.ends(topic), await self.log.begins(topic)) for topic in topics}
        lags = {}
        for name in names:
            topic = roster.ROLES[name].topic
            ends, begins = spans[topic]
            committed = await self.log.committed(topic, name)
            lags[name] = sum(max(0, end - committed.get(p, begins.get(p, 0))) for p, end in ends.items())
        return lags

    def processor(self, name: str) -> Processor:
        """The consumer of that name; raises `Misconfigured`."""
        return roster.role(name).make(self)

    def services(self) -> Services:
        """What a gateway over this engine works with."""
        return Services.build(
            settings=self.settings,
            clock=self.clock,
            log=self.log,
            store=self.store,
            registry=self.registry,
            labels=self.labels,
            lag=self.lag,
            accounts=_broker_accounts(self.settings),
        )

    def retention(self) -> Coroutine[Any, Any, None]:
        """Prunes log and store, for ever."""
        readers: dict[str, list[str]] = {}
        for name in roster.enabled(self.settings):
            readers.setdefault(roster.ROLES[name].topic.name, []).append(name)
        return retention.run(self.log, self.store, self.settings.retention, self.clock, readers)

    def runner(self, name: str) -> Runner:
        """That consumer with its loop."""
        role, settings = roster.role(name), self.settings.consumers
        if role.flush_wait_s is not None:
            settings = settings.model_copy(update={"flush_wait_s": min(role.flush_wait_s, settings.flush_wait_s)})
        return Runner(self.log, role.topic, self.processor(name), settings, self.clock)

    def runners(self) -> list[Runner]:
        """Every consumer that is switched on and can run here."""
        names = roster.enabled(self.settings)
        roster.warn_of_missing(self.settings)
        return [self.runner(name) for name in names]


async def run_up(settings: Settings, *, on_ready: OnReady, stop: asyncio.Event) -> None:
    """Gateway, consumers and retention in this process."""
    async with opened(settings) as engine:
        runners = engine.runners()
        async with _gateway(engine) as ready:
            on_ready(ready)
            await _supervise(engine, runners, stop, engine.retention(), *https.upkeep(settings, engine.clock))


async def run_gateway(settings: Settings, *, on_ready: OnReady, stop: asyncio.Event) -> None:
    """The gateway alone."""
    async with opened(settings) as engine, _gateway(engine) as ready:
        on_ready(ready)
        await _supervise(engine, [], stop, *https.upkeep(settings, engine.clock))


async def run_consumer(name: str, settings: Settings, *, on_ready: OnReady, stop: asyncio.Event) -> None:
    """One consumer alone; the index consumer also keeps the retention."""
    async with opened(settings) as engine:
        runner = engine.runner(name)
        extra = [engine.retention()] if name == "index" else []
        consumers = settings.consumers
        async with health.serving([runner], consumers):
            url = f"http://{consumers.health_host}:{consumers.health_port}" if consumers.health_port else ""
            on_ready(Ready(url, None, settings.data_dir / "operator.key", os.getpid()))
            await _supervise(engine, [runner], stop, *extra)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Engine]:
    """The configured engine, started; let go in reverse order."""
    _collect_less_often()
    clock = SystemClock()
    data_dir = settings.data_dir
    await asyncio.to_thread(data_dir.mkdir, mode=0o700, parents=True, exist_ok=True)
    options = {"retention_hours": math.ceil(settings.retention.log_hours)} if settings.log == "kafka" else {}
    log = open_log(settings.log, options | settings.adapter(settings.log), data_dir)
    store = open_store(
        settings.store,
        settings.adapter(settings.store),
        data_dir,
        retention_days=settings.retention.store_days,
        detail=settings.store_detail,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(log.close)
        await log.start()
        stack.push_async_callback(store.close)
        await store.start()
        table = await Table.open(log, DEVICES, clock=clock)
        stack.push_async_callback(table.close)
        labels = await Table.open(log, LABELS, clock=clock)
        stack.push_async_callback(labels.close)
        yield Engine(settings, clock, log, store, Registry(table), Labels(labels))


def _collect_less_often() -> None:
    """What a message makes is freed by counting; the collector would only walk what was imported, again and again."""
    gc.set_threshold(GC_THRESHOLD, 20, 100)


@asynccontextmanager
async def _gateway(engine: Engine) -> AsyncIterator[Ready]:
    settings = engine.settings
    services = engine.services()
    key = await services.enrolment.ensure_operator(settings.data_dir)
    password = await services.enrolment.ensure_person(settings.data_dir)
    server = Server(settings.gateway, create_app(services))
    broker = _mqtt_listener(services)
    port = await server.start()
    if broker is not None:
        await broker.start()
    scheme = "https" if settings.gateway.certfile else "http"
    url = settings.gateway.public_url or f"{scheme}://{settings.gateway.host}:{port}"
    try:
        yield Ready(url, key, settings.data_dir / "operator.key", os.getpid(), password)
    finally:
        await services.live.close()  # streams do not end by themselves
        await asyncio.gather(server.stop(), *([broker.stop()] if broker is not None else []))


def _mqtt_listener(services: Services) -> "MqttListener | None":
    """The listener at the configured broker, if there is one; its library is an extra."""
    if not services.settings.gateway.mqtt.url:
        return None
    listener: MqttListener = adapters.load("gateway.listeners", "mqtt").Listener(services)
    return listener


def _broker_accounts(settings: Settings) -> "Accounts | None":
    """Who tells the configured broker of tokens; None where this gateway does not manage its accounts."""
    if not settings.gateway.mqtt.url or not settings.gateway.mqtt.admin_username:
        return None
    try:
        from gateway.mqtt_accounts import BrokerAccounts
    except ModuleNotFoundError as e:
        raise Misconfigured(f"gateway.mqtt needs {e.name!r}: pip install 'sensorline[mqtt]'") from e
    return BrokerAccounts(settings.gateway.mqtt)


async def _supervise(
    engine: Engine, runners: Sequence[Runner], stop: asyncio.Event, *extra: Coroutine[Any, Any, None]
) -> None:
    """Run until `stop`; a part that ends before that ends all, with its error."""
    running = [asyncio.create_task(_prepared(r, stop), name=r.name) for r in runners]
    endless = [asyncio.create_task(c) for c in (*extra, _watch(engine, runners))]
    stopped = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({*running, *endless, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for runner in runners:
            runner.stop()
        for task in (*endless, stopped):
            task.cancel()
        if running:
            _, late = await asyncio.wait(running, timeout=STOP_WAIT_S)
            for task in late:
                logger.error("%s did not end in %g s: its records will be read again", task.get_name(), STOP_WAIT_S)
                task.cancel()
        await asyncio.wait({*running, *endless, stopped})
    for task in (*running, *endless):
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _prepared(runner: Runner, stop: asyncio.Event) -> None:
    """Run it once it is prepared, unless `stop` comes first."""
    preparing = asyncio.create_task(roster.prepare(runner.name))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({preparing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if preparing.done():
            preparing.result()
            await runner.run()
    finally:
        for task in (preparing, stopped):
            task.cancel()
        await asyncio.wait({preparing, stopped})


async def _watch(engine: Engine, runners: Sequence[Runner]) -> None:
    """Alarms, and the end of the process when the log can no longer keep its promise."""
    while True:
        broken: str | None = getattr(engine.log, "broken", None)
        if broken:
            raise SensorlineError(
                f"the log is broken and acknowledges nothing more: {broken}; mend the disk, start again"
            )
        for runner in runners:
            retention.watch(runner.name, runner.behind_s, engine.settings.retention)
        await engine.clock.sleep(WATCH_EVERY_S)
