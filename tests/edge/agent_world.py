"""An agent against a real gateway on a real port, with sources that are functions of the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge.sources
from edge.agent import Agent, Fittings
from edge.settings import EdgeSettings, parse
from edge.sources import Context, Outlet
from telemetry import wire
from telemetry.batch import Batch, Series
from tests.gateway.gateway_world import World, eventually, gateway, served, stored

Run = Callable[[Outlet, Context, Any], Awaitable[None]]
NAME = "pi-1"


@contextlib.contextmanager
def sources_of_tests() -> Iterator[None]:
    """`type = "called"` is a source."""
    path = str(Path(__file__).with_name("agent_sources"))
    edge.sources.__path__.append(path)
    try:
        yield
    finally:
        edge.sources.__path__.remove(path)


def pressures(t: int | np.ndarray, n: int = 1, value: float = 1000.0) -> Series:
    """n readings from `t` on, a millisecond apart."""
    times = np.asarray(t, dtype=np.int64) if not isinstance(t, int) else t + np.arange(n, dtype=np.int64) * 10**6
    return Series.of("pressure", times, {"pressure": np.full(len(times), value)})


def ticking(every_s: float = 0.02, n: int = 1) -> Run:
    """A sensor: n readings every so often, stamped now."""

    async def run(outlet: Outlet, context: Context, config: Any) -> None:
        while True:
            await outlet.put([pressures(context.stamp.now_ns(), n)])
            await asyncio.sleep(every_s)

    return run


def document(folder: Path, url: str, **more: Any) -> dict[str, Any]:
    """Settings with everything quick; `sources` as in the file."""
    whole: dict[str, Any] = {
        "device": NAME,
        "data_dir": str(folder / "data"),
        "token_file": str(folder / "token"),
        "adapters": {"http": {"url": url, "deadline_s": 5.0}},
        "batch": {"period_s": 0.05},
        "spool": {"commit_period_s": 0.02},
        "clock": {"unsynchronised_wait_s": 0.0},
    }
    for name, value in more.items():
        whole[name] = {**whole[name], **value} if isinstance(whole.get(name), dict) else value
    return whole


def write_token(folder: Path, token: str) -> None:
    """As `edge enroll` leaves it."""
    path = folder / "token"
    path.touch(mode=0o600)
    path.write_text(token + "\n")


@dataclass
class Running:
    """An agent that runs beside the test."""

    agent: Agent
    task: asyncio.Task[None]
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def status(self) -> dict[str, Any]:
        return self.agent.status()

    def source(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.status["sources"][name]
        return found

    async def until(self, condition: Callable[[], Any], within_s: float = 10.0) -> None:
        def holds() -> bool:
            if self.task.done():
                self.task.result()
                raise AssertionError("the agent ended")
            return bool(condition())

        try:
            await eventually(holds, within_s=within_s)
        except TimeoutError as e:
            raise AssertionError(self.status) from e

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 12)


@contextlib.asynccontextmanager
async def running(settings: EdgeSettings, **fittings: Any) -> AsyncIterator[Running]:
    """An agent, stopped in good order at the end."""
    agent, stop, ready = Agent(settings, Fittings(**fittings)), asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(agent.run(stop, on_ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED, timeout=20)
    waiting.cancel()
    if task.done():
        task.result()
    run = Running(agent, task, stop)
    try:
        yield run
    finally:
        await run.end()


@contextlib.asynccontextmanager
async def site(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[World, str]]:
    """A gateway that knows the device, and the file with its token; yields the gateway and its address."""
    with sources_of_tests():
        async with gateway(**settings) as world, served(world) as server:
            write_token(tmp_path, await world.device(NAME))
            yield world, f"http://127.0.0.1:{server.port}"


async def received(world: World) -> list[Batch]:
    """What is in the gateway's log, in order."""
    return [wire.decode_own(entry.value) for entry in await stored(world.log) if entry.value]


def settings_of(tmp_path: Path, url: str, **more: Any) -> EdgeSettings:
    return parse(document(tmp_path, url, **more), folder=tmp_path)


def called(*names: str) -> dict[str, dict[str, Any]]:
    return {name: {"type": "called"} for name in names}


__all__ = ["NAME", "Running", "pytest"]
