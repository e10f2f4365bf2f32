"""How soon a reading is on an open page: from just before its POST to the event at the client, or to the drawn chart.

usage: python load/bench_live.py [--seconds 60] [--phones 50] [--charts 1] [--detect on|off|both] [--kafka] [--browser]

A real station (`sensorline up`; embedded, or with `--kafka` on real Kafka and Elasticsearch), 50 phones that each POST
a batch a second (three sensors at 100 Hz) over a kept connection, a reader of one device's `readings` a chart, and one
of the whole fleet's pulses.  With `--browser` also real headless Chromium with a device's page open: until its chart
has drawn the batch.  Everything is on one machine and one clock.  Prints a line of JSON for each run.

Exit code 1 when the 99th percentile of readings is over 250 ms, or an event is missing.
"""

import argparse
import asyncio
import gc
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import uvloop

from load.edge_site import PROGRAM, started
from load.live_browser import chart
from load.live_clients import SENSORS, Phone, Sent, Watcher, watching
from load.process_usage import Memory, Usage
from sensorline import servers

SETTLE_S = 120.0
LATE_MS_MAX = 250.0
WINDOW_S = 2.0  # then no pulse waits for its window's end any more


@dataclass(frozen=True)
class Station:
    """A running station with its devices enrolled."""

    url: str
    key: str
    password: str
    pid: int
    tokens: dict[str, str]

    @property
    def where(self) -> tuple[str, int]:
        """Its socket."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80


def percentiles(late_ms: Sequence[float]) -> dict[str, float]:
    """Of milliseconds."""
    if not late_ms:
        return {"events": 0}
    found = {f"p{q}_ms": round(float(np.percentile(late_ms, q)), 1) for q in (50, 95, 99)}
    return {"events": len(late_ms), **found, "max_ms": round(max(late_ms), 1)}


async def enrol(url: str, ready: dict[str, Any], folder: Path, phones: int) -> Station:
    """The devices, by the API."""
    key = (folder / "operator.key").read_text().strip()
    password = (folder / "admin.password").read_text().strip()
    tokens = {}
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}) as client:
        for n in range(phones):
            made = (await client.post("/v1/devices", json={"device": f"phone-{n:02d}"})).raise_for_status().json()
            tokens[made["device"]] = made["token"]
    return Station(url, key, password, ready["pid"], tokens)


async def caught_up(station: Station) -> None:
    """Until every consumer has read what was written: then kernels are compiled and all runs."""
    async with asyncio.timeout(SETTLE_S), httpx.AsyncClient(base_url=station.url) as client:
        while any((await client.get("/v1/stats")).raise_for_status().json()["lag"].values()):  # noqa: ASYNC110
            await asyncio.sleep(0.5)


async def measure(station: Station, options: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    sent, devices = Sent(), list(station.tokens)
    phones = [Phone(device, token, station.where, sent) for device, token in station.tokens.items()]

    async def send(seconds: int, first_seq: int) -> None:
        await asyncio.gather(*(p.send(seconds, n / len(phones), first_seq) for n, p in enumerate(phones)))

    warm_s = options.warm_up
    await send(warm_s, 0)
    await caught_up(station)
    charts = [Watcher(f"kinds=readings&device={device}") for device in devices[: options.charts]]
    fleet = Watcher("kinds=pulse")
    async with AsyncExitStack() as stack:
        for watcher in (*charts, fleet):
            await stack.enter_async_context(watching(station.where, station.key, watcher, sent))
        drawn = await stack.enter_async_context(chart(station, devices[0])) if options.browser else None
        await send(warm_s, warm_s)
        await asyncio.sleep(WINDOW_S)
        for watcher in (*charts, fleet):
            watcher.is_measuring = True
            watcher.seen.clear()
        before = Usage.of(station.pid)
        await send(options.seconds, 2 * warm_s)
        used = Usage.of(station.pid)
        await asyncio.sleep(WINDOW_S)
        page: dict[str, Any] = {}
        if drawn is not None:
            page["page_heard"] = percentiles(await drawn.late_ms("Heard", sent, 2 * warm_s))
            page["drawn"] = percentiles(await drawn.late_ms("Drawn", sent, 2 * warm_s))
    expected = {(w.query, d, s, sensor) for w in charts for d, s in sent.at_ns if s >= 2 * warm_s and d in w.query
                for sensor in SENSORS}  # fmt: skip
    got = {(w.query, *event) for w in charts for event in w.seen}
    readings = percentiles([ms for w in charts for ms in w.late_ms])
    return {
        "phones": len(phones),
        "charts": len(charts),
        "seconds": options.seconds,
        "readings_per_s": len(phones) * len(SENSORS) * 100,
        "readings": readings,
        "pulse": percentiles(fleet.late_ms),
        "post_acknowledged": percentiles(sent.acknowledged_ms[-len(phones) * options.seconds :]),
        "missing_readings_events": len(expected - got),
        "missing_pulse_batches": len(phones) * options.seconds - fleet.batches,
        "told_lost": sum(w.told_lost for w in (*charts, fleet)),
        **page,
        "station_cores": round((used.cpu_s - before.cpu_s) / (used.at_s - before.at_s), 2),
        "station_rss_mib": Memory.of(station.pid).rss,
    }


async def run(options: argparse.Namespace, folder: Path, detect: bool, more: Sequence[str]) -> dict[str, Any]:
    """A station of its own, and what was measured on it."""
    data = folder / f"station-{'on' if detect else 'off'}"
    flags = ["--set", f"detect.enabled={str(detect).lower()}", *more]
    if options.kafka:  # each run begins with nothing
        flags += [
            f for engine in ("kafka", "elasticsearch") for f in ("--set", f"adapters.{engine}.prefix={data.name}-")
        ]
    with ExitStack() as stack:
        command: list[str | Path] = [PROGRAM, "up", "--json", "--port", "0", "--data-dir", data, *flags]
        _, ready = stack.enter_context(started(command, folder / f"{data.name}.log"))
        station = await enrol(ready["url"], ready, data, options.phones)
        engine = "kafka, elasticsearch" if options.kafka else "sqlite, duckdb"
        return {"engine": engine, "detection": "on" if detect else "off", **await measure(station, options)}


def distributed(folder: Path) -> list[str]:
    """Real servers, and how the station is told of them."""
    running = servers.up(folder / "servers", ("kafka", "elasticsearch"), kafka_port=0, elasticsearch_port=0)
    return [
        "--log", "kafka", "--store", "elasticsearch",
        "--set", f"adapters.kafka.bootstrap={running.bootstrap}",
        "--set", f'adapters.elasticsearch.urls=["{running.elasticsearch_url}"]',
    ]  # fmt: skip


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--warm-up", type=int, default=10, help="seconds, before the streams and again with them")
    parser.add_argument("--phones", type=int, default=50)
    parser.add_argument("--charts", type=int, default=1)
    parser.add_argument("--detect", choices=("on", "off", "both"), default="both")
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--browser", action="store_true")
    options = parser.parse_args()
    gc.disable()  # this process's own pauses are not the station's
    is_good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        more = distributed(folder) if options.kafka else []
        try:
            for detect in (True, False) if options.detect == "both" else (options.detect == "on",):
                result = uvloop.run(run(options, folder, detect, more))
                print(json.dumps(result), flush=True)
                late = result["readings"].get("p99_ms", LATE_MS_MAX + 1) > LATE_MS_MAX
                is_good &= not (late or result["missing_readings_events"] or result["missing_pulse_batches"])
        finally:
            if options.kafka:
                servers.down(folder / "servers")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
