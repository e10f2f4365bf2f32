"""Everything in one process: a station in a fresh folder, a simulated fleet that sends to it, and then the proof."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import httpx

from sensorline import demo_findings, roster
from sensorline.api import find_key
from sensorline.demo_findings import Finding, Watch
from sensorline.station import Ready, run_up
from simulator import fleet
from simulator.reconcile import Report
from simulator.verify import verify
from telemetry.errors import SensorlineError, Unauthorised
from telemetry.settings import Settings

SAMPLE_EVERY_S = 1.0
LOOK_EVERY_S = 0.1
LISTED_MAX = 100
STATS_WAIT_S = 5.0
START_WAIT_S = 60.0
DRAIN_WAIT_S = 60.0
LEDGER_FILE = "handed-over.jsonl"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to run: `seconds` None means until stopped."""

    settings: Settings
    devices: int
    seconds: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at the running demo, once a second; counts are readings, `lag` is records by consumer."""

    at_s: float
    sent: int
    stored: int
    pending: int
    lag: dict[str, int]


@dataclass(frozen=True, slots=True)
class Proof:
    """What was shown in the end: the comparison, and of the disturbances that had begun how many were found."""

    report: Report
    injected: int
    found: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, flat."""
        return self.report.to_dict() | {"injected": self.injected, "found": len(self.found)}


class Shown(Protocol):
    """Who is told how it goes."""

    def waiting(self, what: str) -> None:
        """Something takes long before the station is up."""
        ...

    def ready(self, ready: Ready) -> None:
        """The station is up."""
        ...

    def sample(self, sample: Sample) -> None:
        """Once a second."""
        ...

    def finding(self, finding: Finding) -> None:
        """An anomaly, as soon as the station tells of it."""
        ...


async def run(plan: Plan, shown: Shown, *, stop: asyncio.Event) -> Proof:
    """Run until the time is over or `stop` is set, then drain and compare; raises what station and fleet raise."""
    if "detect" in roster.enabled(plan.settings):
        await _compiled(shown)
    async with _station(plan.settings) as (ready, running):
        shown.ready(ready)
        key = ready.operator_key or find_key(None, plan.settings.data_dir)
        if key is None:
            raise Unauthorised(f"{plan.settings.data_dir} is of an earlier station and has no operator's key in it")
        return await _or_its_end(_fleet_and_proof(plan, ready.url, key, shown, stop), running)


async def _compiled(shown: Shown) -> None:
    """A station does not wait for that; but who watches a demo for half a minute would see nothing found."""
    from consumers import compile as compiler

    if compiler.to_compile():
        shown.waiting("compiling the detectors: once on this machine, up to a minute ...")
        await compiler.compile_ahead()


async def _fleet_and_proof(plan: Plan, url: str, key: str, shown: Shown, stop: asyncio.Event) -> Proof:
    ledger = plan.settings.data_dir / LEDGER_FILE
    planned = demo_findings.planned(plan.devices, plan.seconds)
    config = fleet.FleetConfig(
        url, ledger, devices=plan.devices, seconds=plan.seconds, key=key, prefix="demo", planned=planned
    )
    watch = Watch()
    latest: list[fleet.Progress] = []

    def seen(progress: fleet.Progress) -> None:
        latest[:] = [progress]

    watching = asyncio.create_task(_watch(url, key, latest, watch, shown), name="watch")
    try:
        await _or_its_end(fleet.run(config, on_progress=seen, on_planned=watch.happenings.extend, stop=stop), watching)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    begun = watch.begun(time.time_ns() - round(demo_findings.NEED_S * 1e9))
    report = await verify(ledger, url, key, wait_s=DRAIN_WAIT_S)
    return Proof(report, begun, tuple(watch.found.values()))


async def _watch(url: str, key: str, latest: list[fleet.Progress], watch: Watch, shown: Shown) -> None:
    """Once a second ask the station how much can be queried, and often what it found."""
    headers = {"authorization": f"Bearer {key}"}
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    next_sample_s = begun_s + SAMPLE_EVERY_S
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=STATS_WAIT_S) as client:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                listed = (await client.get("/v1/anomalies", params={"limit": LISTED_MAX})).raise_for_status().json()
                for finding in watch.take(listed["anomalies"], time.time_ns()):
                    shown.finding(finding)
                if loop.time() < next_sample_s:
                    continue
                next_sample_s += SAMPLE_EVERY_S
                stats = (await client.get("/v1/stats")).raise_for_status().json()
            except httpx.HTTPError:  # busy or stopping: the next look comes soon, and `verify` has the last word
                continue
            sent, pending = (latest[0].sent, latest[0].pending) if latest else (0, 0)
            shown.sample(Sample(round(loop.time() - begun_s, 1), sent, stats["readings"], pending, stats["lag"]))


@asynccontextmanager
async def _station(settings: Settings) -> AsyncIterator[tuple[Ready, asyncio.Task[None]]]:
    """The running station, stopped at the end; its own error comes first."""
    stop = asyncio.Event()
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_up(settings, on_ready=ready.set_result, stop=stop), name="station")
    try:
        async with asyncio.timeout(START_WAIT_S):
            started = await _or_its_end(ready, running)
        yield started, running
    finally:
        stop.set()
        await asyncio.wait([running])
    running.result()


async def _or_its_end(work: Awaitable[T], other: asyncio.Task[None]) -> T:
    """The work's result; the other's error when that ends first."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task, other], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            other.result()
            raise SensorlineError(f"{other.get_name()} ended before the demo did")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
