"""gpsd for tests: a real one that gpsfake feeds a track, and a small server that plays a session as gpsd would.

The track and the session are our own: a walk north-east from 48.1 N 11.5 E, one position a second.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sensorline.servers import apt
from sensorline.servers.errors import ServersError

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SPEED_KNOTS = 3.0
HEIGHT_MSL_M, GEOID_M = 545.4, 46.9
START_WAIT_S = 15.0


def sentence(body: str) -> str:
    """An NMEA sentence with its checksum."""
    checksum = 0
    for character in body:
        checksum ^= ord(character)
    return f"${body}*{checksum:02X}"


def latitude(k: int) -> float:
    """Of the track's position k, degrees."""
    return 48 + (7 + k * 0.01) / 60


def epoch(k: int, *, fix: bool = True, start: datetime = START) -> list[str]:
    """The sentences of the track's position k."""
    at = start + timedelta(seconds=k)
    clock, day, north = f"{at:%H%M%S}.00", f"{at:%d%m%y}", f"48{7 + k * 0.01:07.4f},N,01130.0000,E"
    if not fix:
        return [
            sentence(f"GPRMC,{clock},V,,,,,,,{day},,,N"),
            sentence(f"GPGGA,{clock},,,,,0,00,99.9,,M,,M,,"),
            sentence("GPGSA,A,1,,,,,,,,,,,,,99.9,99.9,99.9"),
        ]
    return [
        sentence(f"GPRMC,{clock},A,{north},{SPEED_KNOTS},045.0,{day},,,A"),
        sentence(f"GPGGA,{clock},{north},1,08,0.9,{HEIGHT_MSL_M},M,{GEOID_M},M,,"),
        sentence("GPGSA,A,3,04,05,09,12,24,,,,,,,,2.5,0.9,2.1"),
        sentence(f"GPGST,{clock},1.0,1.0,1.0,45.0,3.0,4.0,6.0"),
    ]


@asynccontextmanager
async def real_gpsd(folder: Path, epochs: int, *, sentence_wait_s: float = 0.02) -> AsyncIterator[int]:
    """The port of a real gpsd whose receiver says the track over and over; skips where there is none."""
    try:
        program = apt.program("gpsfake", "gpsd-clients", print)
        apt.program("gpsd", "gpsd", print)
    except ServersError as e:
        pytest.skip(str(e))
    track = folder / "track.nmea"
    track.write_text("".join(f"{s}\r\n" for k in range(epochs) for s in epoch(k)))
    port = _free_port()
    command = [program, "-q", "-P", str(port), "-c", str(sentence_wait_s), str(track)]
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{apt.DAEMONS}"}
    process = _started(command, folder, environment)
    try:
        await _answers(port, process)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, 5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait, 5)


@asynccontextmanager
async def playing(lines: Sequence[bytes | float]) -> AsyncIterator[int]:
    """The port of a server that says these lines once it is watched; a number waits so many seconds, then goes on.

    It closes the connection at the end of `lines`, unless they end in a number: that one is waited.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(VERSION)
        try:
            request = await reader.readline()
            assert request.startswith(b'?WATCH={"enable":true,"json":true') or not request, request
            for line in lines:
                if isinstance(line, bytes):
                    writer.write(line + b"\n")
                    await writer.drain()
                elif await _is_gone(reader, line):
                    return
        except OSError:  # the client went away
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _is_gone(reader: asyncio.StreamReader, wait_s: float) -> bool:
    try:
        async with asyncio.timeout(wait_s):
            await reader.read()
    except TimeoutError:
        return False
    return True


VERSION = b'{"class":"VERSION","release":"3.25","rev":"3.25","proto_major":3,"proto_minor":15}\r\n'


def tpv(k: int, mode: int = 3, *, start: datetime = START, **other: object) -> bytes:
    """A TPV report of the track's position k."""
    at = start + timedelta(seconds=k)
    report = {
        "class": "TPV",
        "device": "/dev/ttyACM0",
        "mode": mode,
        "time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
        "ept": 0.005,
        "lat": latitude(k),
        "lon": 11.5,
        "altHAE": 592.3,
        "altMSL": 545.4,
        "alt": 545.4,
        "epx": 3.0,
        "epy": 4.0,
        "epv": 6.0,
        "track": 45.0,
        "speed": 1.543,
        "climb": 0.0,
        "eps": 0.5,
        "epd": 10.0,
        "eph": 5.5,
        **other,
    }
    return json.dumps({name: value for name, value in report.items() if value is not None}).encode()


def _started(command: list[str], folder: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """In a group of its own: gpsfake starts gpsd."""
    null = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=null, stderr=null, start_new_session=True)


async def _answers(port: int, process: "subprocess.Popen[bytes]") -> None:
    async with asyncio.timeout(START_WAIT_S):
        while True:
            assert process.poll() is None, "gpsfake ended at once"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
