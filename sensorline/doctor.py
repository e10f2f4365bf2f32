"""Is everything there that a station needs, and does its engine keep what the contract promises?  Changes nothing."""

import asyncio
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pydantic

from sensorline.findings import Finding, Level
from telemetry import adapters
from telemetry.enrolment import KEY_FILE
from telemetry.errors import SensorlineError
from telemetry.settings import Settings

FREE_BYTES_MIN = 1 << 30
FREE_SHARE_MIN = 0.05
PROBE_WAIT_S = 3.0
INSPECT_WAIT_S = 20.0
EPOCH_MIN_S = 1_767_225_600  # 2026-01-01: a clock before this was never set
EXTRAS = {"kafka": "aiokafka", "elasticsearch": "elasticsearch"}
SERVERLESS = frozenset({"sqlite", "duckdb", "memory"})


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Every finding, as it is made."""
    for check in (_versions, _extras, _clock, _data_dir, _key, _port, _log, _store):
        async for finding in check(settings):
            yield finding


async def _versions(_: Settings) -> AsyncIterator[Finding]:
    detail = f"sensorline {importlib.metadata.version('sensorline')}, Python {platform.python_version()}"
    supported = sys.version_info >= (3, 11)
    mend = "" if supported else "install Python 3.11 or newer"
    yield Finding("versions", Level.OK if supported else Level.ERROR, detail, mend)


async def _extras(settings: Settings) -> AsyncIterator[Finding]:
    for name in dict.fromkeys((settings.log, settings.store)):
        driver = EXTRAS.get(name)
        if driver and importlib.util.find_spec(driver) is None:
            yield Finding("drivers", Level.ERROR, f"{driver} is not installed", f"pip install 'sensorline[{name}]'")
        elif driver:
            yield Finding("drivers", Level.OK, f"{driver} {importlib.metadata.version(driver)}")


async def _clock(_: Settings) -> AsyncIterator[Finding]:
    if time.time() < EPOCH_MIN_S:
        mend = "set the machine's clock (and run a time service): readings are judged by it"
        yield Finding("clock", Level.ERROR, f"the clock says {time.strftime('%Y-%m-%d %H:%M')}", mend)
        return
    synchronised = await asyncio.to_thread(_is_synchronised)
    if synchronised is False:
        yield Finding(
            "clock", Level.WARNING, "no time service keeps the clock", "enable NTP, e.g. `timedatectl set-ntp on`"
        )
    else:
        yield Finding("clock", Level.OK, time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime()))


def _is_synchronised() -> bool | None:
    """Whether systemd's time service has set the clock; None where there is no such service to ask."""
    folder = Path("/run/systemd/timesync")
    return (folder / "synchronized").exists() if folder.is_dir() else None


async def _data_dir(settings: Settings) -> AsyncIterator[Finding]:
    folder = settings.data_dir
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        mend = "choose another with --data-dir, or give this user the right to write there"
        yield Finding("data folder", Level.ERROR, f"{existing} cannot be written to", mend)
        return
    yield Finding(
        "data folder", Level.OK, f"{folder}" if folder.exists() else f"{folder}: will be made at the first start"
    )
    usage = shutil.disk_usage(existing)
    free = f"{usage.free / 2**30:.1f} GiB free of {usage.total / 2**30:.0f}"
    if usage.free < max(FREE_BYTES_MIN, FREE_SHARE_MIN * usage.total):
        level = Level.ERROR if usage.free < FREE_BYTES_MIN else Level.WARNING
        yield Finding("disk", level, free, "free some space, or lower retention.store_days and retention.log_hours")
    else:
        yield Finding("disk", Level.OK, free)


async def _key(settings: Settings) -> AsyncIterator[Finding]:
    file = settings.data_dir / KEY_FILE
    try:
        mode = file.stat().st_mode & 0o777
    except FileNotFoundError:
        yield Finding("operator's key", Level.OK, "none yet: the first start makes one")
        return
    except OSError as e:
        yield Finding("operator's key", Level.ERROR, f"{file}: {e.strerror}", "run as the station's user")
        return
    if mode & 0o077:
        yield Finding(
            "operator's key", Level.ERROR, f"{file} has mode {mode:04o}: others can read it", f"chmod 600 {file}"
        )
    else:
        yield Finding("operator's key", Level.OK, f"{file}, readable by its owner only")


async def _port(settings: Settings) -> AsyncIterator[Finding]:
    gateway = settings.gateway
    where = f"{gateway.host}:{gateway.port}"
    ready = await _readiness(settings)
    if ready is not None:
        status, detail = ready
        level = Level.OK if status == 200 else Level.ERROR
        yield Finding("station", level, f"runs at {where}: {detail}", "" if level is Level.OK else "look at its log")
    elif (why := _why_not_bound(gateway.host, gateway.port)) is not None:
        yield Finding("port", Level.ERROR, f"{where}: {why}", "choose another with --port, or end what has it")
    else:
        yield Finding("port", Level.OK, f"{where} is free")


def _why_not_bound(host: str, port: int) -> str | None:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as e:
        return e.strerror or str(e)
    return None


async def _readiness(settings: Settings) -> tuple[int, str] | None:
    """What a station on the configured port says of itself; None when none runs there."""
    from sensorline.commands._options import local_url

    if settings.gateway.port == 0:
        return None
    url = f"{local_url(settings)}/readyz"
    try:
        # Only whether it answers is asked: its certificate may be for its public name.
        async with httpx.AsyncClient(timeout=PROBE_WAIT_S, verify=False) as client:  # noqa: S501
            response = await client.get(url)
    except httpx.HTTPError:
        return None
    return response.status_code, "ready" if response.status_code == 200 else f"not ready: {response.text[:200]}"


async def _log(settings: Settings) -> AsyncIterator[Finding]:
    async for finding in _adapter("log", "telemetry.logs", settings.log, settings):
        yield finding


async def _store(settings: Settings) -> AsyncIterator[Finding]:
    async for finding in _adapter("store", "telemetry.stores", settings.store, settings):
        yield finding


async def _adapter(what: str, port: str, name: str, settings: Settings) -> AsyncIterator[Finding]:
    """Ask the server through the adapter's own inspection; the embedded ones are files."""
    try:
        module = adapters.load(port, name)
        config = adapters.configure(module, name, settings.adapter(name))
        if name in SERVERLESS:
            finding = await asyncio.to_thread(_embedded, what, name, settings, config)
            yield finding
            return
        async with asyncio.timeout(INSPECT_WAIT_S):
            inspection = importlib.import_module(f"{port}._{name}_inspect")
            for level, detail, mend in await inspection.inspect(config):
                yield Finding(what, Level(level), detail, mend)
    except SensorlineError as e:
        mend = f"is its server running? see adapters.{name} of the settings" if e.retryable else ""
        yield Finding(what, Level.ERROR, f"{name}: {e.message}", mend)
    except TimeoutError:
        yield Finding(what, Level.ERROR, f"{name} did not answer in {INSPECT_WAIT_S:.0f} s", "is its server running?")


def _embedded(what: str, name: str, settings: Settings, config: pydantic.BaseModel) -> Finding:
    if name == "memory":
        return Finding(
            what, Level.WARNING, "memory: nothing outlives the process", f"set {what} to an engine for keeps"
        )
    if name == "sqlite":
        return _sqlite(settings.data_dir / "log.db", config)
    file = next(iter(sorted(settings.data_dir.glob("*.duckdb"))), None)
    return Finding(what, Level.OK, f"{file}, {file.stat().st_size:,} bytes" if file else "duckdb: no file yet")


def _sqlite(file: Path, config: Any) -> Finding:
    if config.synchronous != "FULL":
        return Finding(
            "log",
            Level.ERROR,
            f"sqlite with synchronous={config.synchronous} loses acknowledged readings on power loss",
            "remove adapters.sqlite.synchronous from the settings",
        )
    if not file.exists():
        return Finding("log", Level.OK, "sqlite, synchronous=FULL: no file yet")
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=PROBE_WAIT_S) as opened:
            opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as e:
        return Finding("log", Level.ERROR, f"{file}: {e}", "restore a backup into another data folder")
    return Finding("log", Level.OK, f"{file}, {file.stat().st_size:,} bytes, synchronous=FULL")
