"""From the log to somebody's receiver, on the embedded engine: once, signed, silent once it was acknowledged, and
again from where it stopped after the process died."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.app import create_app
from sensorline import roster
from sensorline.station import Engine, opened
from telemetry.anomaly import Anomaly, Severity
from telemetry.errors import Misconfigured
from telemetry.ports import ANOMALIES
from telemetry.records import anomaly_record
from telemetry.settings import Alerts, Settings
from tests.consumers.alert_world import anomaly
from tests.consumers.alerts.receivers import HOST, Receiver, receiver, secret_file
from tests.gateway.gateway_world import bearer, eventually


@dataclass
class Station:
    """An engine whose `anomalies` and `alert` consumers run."""

    engine: Engine
    api: httpx.AsyncClient

    async def found(self, *anomalies: Anomaly) -> None:
        await self.engine.log.append(ANOMALIES, [anomaly_record(one) for one in anomalies])

    async def lag(self) -> int:
        return (await self.engine.lag())["alert"]


@contextlib.asynccontextmanager
async def station(folder: Path, far: Receiver, *, crash: bool = False, **alerts: Any) -> AsyncIterator[Station]:
    """`crash`: at the end nothing is flushed or committed any more."""
    hook = {"url": f"http://{HOST}:{far.port}/", "hosts": [HOST], "networks": ["127.0.0.0/8"], "wait_s": 2.0}
    channels = {"webhook": hook | {"secret_file": secret_file(folder)}}
    settings = Settings(data_dir=folder / "data", alerts=Alerts(channels=channels, **alerts))
    assert "alert" in roster.enabled(settings)
    async with opened(settings) as engine:
        services = engine.services()
        key = await services.enrolment.ensure_operator(folder / "data")
        key = key or (folder / "data" / "operator.key").read_text().strip()
        transport = httpx.ASGITransport(create_app(services), client=("127.0.0.1", 1))
        runners = [engine.runner(name) for name in ("anomalies", "alert")]
        tasks = [asyncio.create_task(runner.run()) for runner in runners]
        async with httpx.AsyncClient(transport=transport, base_url="http://s", headers=bearer(key)) as api:
            try:
                yield Station(engine, api)
            finally:
                for runner, task in zip(runners, tasks, strict=True):
                    task.cancel() if crash else runner.stop()
                await asyncio.wait(tasks, timeout=20)
                assert crash or not [error for task in tasks if (error := task.exception())]


def now(n: int, version: int = 1, **changed: Any) -> Anomaly:
    return anomaly(n, version, at_ns=time.time_ns(), **changed)


def told(far: Receiver) -> Sequence[tuple[str, str, int]]:
    documents = [orjson.loads(got.body) for got in far.got]
    return [(a["device"], a["event"], a["start_ns"] % 100) for d in documents for a in d["anomalies"]]


async def test_it_is_told_and_silent_once_acknowledged(tmp_path: Path) -> None:
    async with receiver() as far, station(tmp_path, far, group_s=0.2) as s:
        one = now(1, severity=Severity.WARNING)
        await s.found(one)
        await eventually(lambda: far.got, within_s=10)
        async with asyncio.timeout(10):
            while (await s.api.get(f"/v1/anomalies/{one.id}")).status_code != 200:
                await asyncio.sleep(0.05)
        said = await s.api.put(f"/v1/anomalies/{one.id}/label", json={"acknowledged": True})
        assert said.status_code == 200, said.text
        await s.found(now(1, 2, severity=Severity.CRITICAL), now(2, device="d2"))
        await eventually(lambda: len(far.got) == 2, within_s=10)
        assert told(far) == [("d1", "opened", 1), ("d2", "opened", 2)]
        async with asyncio.timeout(10):
            while await s.lag():
                await asyncio.sleep(0.05)


async def test_without_a_channel_it_does_not_run(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, log="memory", store="memory")
    assert "alert" not in roster.enabled(settings)
    async with opened(settings) as engine:
        with pytest.raises(Misconfigured, match=r"alerts\.channels"):
            engine.runner("alert")


async def test_a_death_loses_no_alert_and_repeats_none_that_was_told(tmp_path: Path) -> None:
    async with receiver() as far:
        async with station(tmp_path, far, crash=True) as s:
            await s.found(now(1), now(1, device="d2"))
            await eventually(lambda: len(far.got) == 2, within_s=10)
            far.status = 503
            far.headers = [("content-length", "0")]
            await s.found(now(1, device="d3"), now(1, 2, device="d2"))
            await eventually(lambda: len(far.got) >= 3, within_s=10)
        far.status, tries = 200, len(far.got)
        async with station(tmp_path, far) as s:
            await eventually(lambda: len(far.got) > tries, within_s=10)
            async with asyncio.timeout(10):
                while await s.lag():
                    await asyncio.sleep(0.05)
        assert told(far)[tries:] == [("d3", "opened", 1)]
        keys = [got.headers["idempotency-key"] for got in far.got]
        assert keys[-1] == keys[2]
        assert len(set(keys)) == 3
