"""Does this edge work: its file, each source, the token, the way to the gateway and back, its clock, its disk?"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from edge import opening, remote_state
from edge.credentials import TokenFile
from edge.settings import EdgeSettings, SourceSettings, load
from edge.sources import Context
from edge.timing import kernel
from edge.transports import Answer
from sensorline.edge_detect import WallStamp
from sensorline.findings import Finding, Level
from telemetry.clock import SystemClock
from telemetry.errors import Misconfigured, SensorlineError

SOURCE_WAIT_S = 10.0
ANSWER_WAIT_S = 15.0
OFFSET_S_MAX = 2.0
PROBE = b"{}"  # no batch: it is refused, after the token was accepted, and nothing is stored
REFUSED_AS_PROBE = (400, 422)
ENROLL = "get a token: `sensorline edge enroll URL CODE`"


async def examine(file: Path) -> AsyncIterator[Finding]:
    """Every finding, as it is made."""
    try:
        settings = load(file)
    except Misconfigured as e:
        yield Finding("file", Level.ERROR, e.message, "mend the file, or write another with `sensorline edge init`")
        return
    yield Finding("file", Level.OK, f"{file}: device {settings.device}, {len(settings.sources)} source(s)")
    for part in (_sources, _connection, _clock, _disk, _downloaded):
        async for finding in part(settings):
            yield finding


async def _sources(settings: EdgeSettings) -> AsyncIterator[Finding]:
    if not any(source.enabled for source in settings.sources.values()):
        yield Finding("sources", Level.ERROR, "no source is enabled", 'add one, e.g. [sources.system] type = "system"')
    for name, source in settings.sources.items():
        yield await _source(name, source, settings.folder)


async def _source(name: str, source: SourceSettings, folder: Path) -> Finding:
    check = f"source {name}"
    if not source.enabled:
        return Finding(check, Level.OK, "off")
    try:
        opened = opening.source(source, Context(name, SystemClock(), WallStamp(), folder))
        async with asyncio.timeout(SOURCE_WAIT_S):
            return Finding(check, Level.OK, await opened.check())
    except Misconfigured as e:
        said = e.message.removeprefix(f"{check}: ")
        return Finding(check, Level.ERROR, said, f"set it right under [sources.{name}], or install what it needs")
    except TimeoutError:
        return Finding(check, Level.ERROR, f"no answer within {SOURCE_WAIT_S:g} s", _look_at(source))
    except PermissionError as e:
        mend = "give this user the right to it (group i2c, dialout or gpio), or run the check as the agent's user"
        return Finding(check, Level.ERROR, str(e), mend)
    except (SensorlineError, OSError) as e:
        return Finding(check, Level.ERROR, str(e), _look_at(source))


def _look_at(source: SourceSettings) -> str:
    return f"look at the wiring or the far end of this {source.type}, or set enabled = false"


async def _connection(settings: EdgeSettings) -> AsyncIterator[Finding]:
    try:
        token = TokenFile(settings.path(settings.token_file))
    except Misconfigured as e:
        yield Finding("token", Level.ERROR, e.message, ENROLL)
        return
    try:
        transport = opening.transport(settings, token, SystemClock())
    except Misconfigured as e:
        yield Finding("connection", Level.ERROR, e.message, f"set it right under [adapters.{settings.transport}]")
        return
    try:
        async with asyncio.timeout(ANSWER_WAIT_S):
            answer = await transport.send(PROBE)
    except TimeoutError:
        answer = Answer(None, detail=f"no answer within {ANSWER_WAIT_S:g} s")
    finally:
        await transport.close()
    finding = judge(settings, answer)
    yield finding
    if finding.level is Level.OK and settings.transport == "http":
        async for more in _token(settings, token):
            yield more


def judge(settings: EdgeSettings, answer: Answer) -> Finding:
    """What the answer to something that is no batch says of the way there."""
    where = settings.adapters.get(settings.transport, {}).get("url", settings.transport)
    said = " ".join(filter(None, (str(answer.status or ""), answer.detail)))
    if answer.status in REFUSED_AS_PROBE and answer.code in ("malformed", "invalid"):
        return Finding("connection", Level.OK, f"{where}: the gateway answers and knows the token")
    if answer.status is None:
        mend = "is the gateway running, the address right, the network there?"
    elif answer.status in (401, 403):
        mend = f"the gateway does not take this token: {ENROLL}"
    elif answer.status in (429, 500, 502, 503, 504, 507):
        mend = "the gateway is there and busy or in trouble: try again, look at its log"
    else:
        mend = "something else answers at this address: check the url"
    return Finding("connection", Level.ERROR, f"{where}: {said or 'no answer'}", mend)


async def _token(settings: EdgeSettings, token: Callable[[], str]) -> AsyncIterator[Finding]:
    """Whose the token is, and how far the gateway's clock is from ours.  HTTP only: a broker's account is by name."""
    from sensorline import edge_self

    try:
        before_s = time.time()
        said = await edge_self.ask(settings, token())
        offset_s = said.now_ns / 1e9 - (before_s + time.time()) / 2
    except SensorlineError as e:
        yield Finding("token", Level.WARNING, e.message, "a gateway of this version answers GET /v1/device")
        return
    if said.device != settings.device:
        mend = f'set device = "{said.device}", or {ENROLL}'
        yield Finding("token", Level.ERROR, f"it is {said.device}'s, and this edge is {settings.device}", mend)
    elif said.expires_ns is not None:
        left_h = (said.expires_ns - said.now_ns) / 3.6e12
        yield Finding("token", Level.WARNING, f"{said.token_id} ends in {left_h:.1f} h: it was rotated", ENROLL)
    else:
        yield Finding("token", Level.OK, f"{said.token_id} of {said.device}")
    if abs(offset_s) > OFFSET_S_MAX:
        mend = "set the clock of whichever is wrong: `timedatectl set-ntp on`"
        yield Finding("clock", Level.WARNING, f"the gateway's clock differs by {offset_s:+.1f} s", mend)


async def _clock(_: EdgeSettings) -> AsyncIterator[Finding]:
    now = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    synchronised = kernel.is_synchronised()
    if synchronised is False:
        mend = "`timedatectl set-ntp on`, or a gpsd source; until then readings say that their times are not sure"
        yield Finding("clock", Level.WARNING, f"{now}, not synchronised", mend)
    else:
        yield Finding(
            "clock", Level.OK, f"{now}, {'synchronised' if synchronised else 'kept by nobody that can be asked'}"
        )


async def _disk(settings: EdgeSettings) -> AsyncIterator[Finding]:
    folder = settings.path(settings.data_dir).absolute()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        mend = "give this user the right to write there, or set another data_dir"
        yield Finding("spool", Level.ERROR, f"{existing} cannot be written to", mend)
        return
    free = shutil.disk_usage(existing).free
    spool = settings.spool
    mebibytes = f"{folder}: {free // 2**20:,} MiB free"
    if free < spool.disk_free_bytes_min:
        mend = "free some space: the spool counts as full"
        yield Finding("spool", Level.ERROR, f"{mebibytes}, at least {spool.disk_free_bytes_min // 2**20} needed", mend)
    elif free < spool.size_bytes_max + spool.disk_free_bytes_min - _spooled_bytes(folder):
        mend = "free some space, or lower spool.size_bytes_max"
        detail = f"{mebibytes}, and the spool may grow to {spool.size_bytes_max // 2**20:,} MiB"
        yield Finding("spool", Level.WARNING, detail, mend)
    else:
        yield Finding("spool", Level.OK, mebibytes)


def _spooled_bytes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.glob("*") if p.is_file())


async def _downloaded(settings: EdgeSettings) -> AsyncIterator[Finding]:
    """Settings that came from the gateway: who looks for why the file does not hold must find them."""
    folder = settings.path(settings.data_dir)
    if not (folder / remote_state.FILE).exists():
        return
    try:
        state = remote_state.read(folder)
    except Misconfigured as e:
        yield Finding("settings", Level.WARNING, e.message, "the agent will set it aside and use its file alone")
        return
    over = state.trial or state.in_force
    if state.failed is not None:
        mend = f"`sensorline device settings {settings.device} --set ...` at the station"
        yield Finding("settings", Level.WARNING, f"downloaded version {state.failed} failed: {state.reason}", mend)
    if over.version:
        given = ", ".join(f"{name} {value}" for name, value in over.given.items()) or "nothing"
        yield Finding("settings", Level.OK, f"downloaded version {over.version} lies over the file: {given}")
