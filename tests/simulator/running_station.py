"""A whole station in this process, on any engine, for tests: real gateway on a real port, real consumers, and a
hand on the store, so that a test can tamper with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gateway.app import create_app
from gateway.listeners.http import Server
from gateway.services import Services
from sensorline.station import Engine, opened
from telemetry.settings import Consumers, Gateway, Settings, Windows


@dataclass(frozen=True, slots=True)
class Running:
    """A station that runs; `key` is an admin's."""

    url: str
    key: str
    engine: Engine
    services: Services


@contextlib.asynccontextmanager
async def station(
    data_dir: Path,
    *,
    engine: str = "memory",
    port: int = 0,
    detail: Literal["samples", "windows"] = "samples",
    consumers: Sequence[str] = ("index", "ledger"),
    **limits: Any,
) -> AsyncIterator[Running]:
    """`engine` is "memory" or "embedded"."""
    log, store = ("memory", "memory") if engine == "memory" else ("sqlite", "duckdb")
    settings = Settings(
        data_dir=data_dir,
        log=log,
        store=store,
        store_detail=detail,
        windows=Windows(enabled=detail == "windows" or "windows" in consumers),
        gateway=Gateway(port=port, limits=limits),
        consumers=Consumers(flush_wait_s=0.1),
    )
    async with opened(settings) as opened_engine:
        services = opened_engine.services()
        key = await services.enrolment.ensure_operator(data_dir) or (data_dir / "operator.key").read_text().strip()
        server = Server(settings.gateway, create_app(services))
        bound = await server.start()
        runners = [opened_engine.runner(name) for name in consumers]
        tasks = [asyncio.create_task(runner.run(), name=runner.name) for runner in runners]
        try:
            yield Running(f"http://127.0.0.1:{bound}", key, opened_engine, services)
        finally:
            await server.stop()
            for runner in runners:
                runner.stop()
            await asyncio.wait_for(asyncio.gather(*tasks), 20)
