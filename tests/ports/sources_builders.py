"""How each source is constructed for the conformance suite; nothing else of it is known there.

To put a source through the suite, add one `Builder` here.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from telemetry.clock import SystemClock
from tests.edge.sources.terminal import Terminal
from tests.edge.sources.test_http import serving
from tests.edge.sources.test_mqtt_topic import Publisher
from tests.faults.fake_bus import FakeBus
from tests.faults.fake_imus import FakeLsm6dso, FakeMpu6050
from tests.faults.fake_sense_hat import SenseHat
from tests.faults.gpsd import epoch, playing, tpv
from tests.faults.mosquitto import mosquitto


@dataclass
class Ready:
    """A device, server or file that a source can be opened over.

    `extras` go into its context.  `has_let_go` is asked after it was stopped: True when it holds nothing of the device
    any more (open files and sockets are looked at in any case).
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    has_let_go: Callable[[], bool] = lambda: True


Preparing = Callable[[Path], AbstractAsyncContextManager[Ready]]


@dataclass(frozen=True)
class Builder:
    """A source's construction.  `ready` makes what it reads from, and takes it away; it is called once a test.

    `absent`: options for a device that is not there; None where there always is one.  `library`: True when `open`
    needs an extra's library with the options of `ready`.  `ends`: True when it returns by itself, e.g. after a file.
    """

    name: str
    ready: Preparing
    absent: Mapping[str, Any] | None
    library: bool = True
    ends: bool = False


@asynccontextmanager
async def _mpu6050(folder: Path) -> AsyncIterator[Ready]:
    bus = FakeBus({0x68: FakeMpu6050(SystemClock())})
    bus.transfer_s = 0.03  # so that one is under way at most moments
    yield Ready({}, {"smbus": bus}, lambda: bus.is_let_go)


@asynccontextmanager
async def _lsm6ds(folder: Path) -> AsyncIterator[Ready]:
    bus = FakeBus({0x6A: FakeLsm6dso(SystemClock())})
    yield Ready({}, {"smbus": bus}, lambda: bus.is_let_go)


@asynccontextmanager
async def _sensehat(folder: Path) -> AsyncIterator[Ready]:
    yield Ready({}, {"sense_hat": SimpleNamespace(SenseHat=SenseHat)})


@asynccontextmanager
async def _system(folder: Path) -> AsyncIterator[Ready]:
    yield Ready()


@asynccontextmanager
async def _gpsd(folder: Path) -> AsyncIterator[Ready]:
    async with playing([tpv(0), tpv(1), 30.0]) as port:
        yield Ready({"port": port})


@asynccontextmanager
async def _replay(folder: Path) -> AsyncIterator[Ready]:
    (folder / "air.csv").write_text("t,at\n" + "".join(f"{k % 50},{1_700_000_000 + k}\n" for k in range(100)))
    yield Ready({"path": "air.csv", "map": {**_AIR, "time": "at"}})


@asynccontextmanager
async def _sql(folder: Path) -> AsyncIterator[Ready]:
    with closing(sqlite3.connect(folder / "air.db")) as connection, connection:
        connection.execute("CREATE TABLE air (id INTEGER PRIMARY KEY, t REAL)")
        connection.executemany("INSERT INTO air (t) VALUES (?)", [(k % 50,) for k in range(100)])
    yield Ready({**_SQL, "url": f"sqlite:///{folder}/air.db", "page_rows": 10, "every_s": 0.05})


@asynccontextmanager
async def _http(folder: Path) -> AsyncIterator[Ready]:
    async with serving() as api:
        api.body = b'{"air": {"t": 20.5}}'
        yield Ready({"url": api.url, "rows": "air", "every_s": 0.1, "map": _AIR})


@asynccontextmanager
async def _mqtt_topic(folder: Path) -> AsyncIterator[Ready]:
    with mosquitto(folder) as broker:
        publisher = Publisher(broker)
        talker = asyncio.create_task(_publish(publisher))
        try:
            yield Ready({"url": broker.url, "topic": "air/+", "map": _AIR})
        finally:
            talker.cancel()
            with suppress(asyncio.CancelledError):
                await talker
            publisher.close()


async def _publish(publisher: Publisher) -> None:
    while True:
        await asyncio.to_thread(publisher.say, "air/kitchen", b'{"t": 20.5}')
        await asyncio.sleep(0.05)


def _talking(line: Callable[[int], str], options: Mapping[str, Any]) -> Preparing:
    """A serial port on which somebody says `line(k)` twenty times a second."""

    @asynccontextmanager
    async def ready(folder: Path) -> AsyncIterator[Ready]:
        with Terminal() as terminal:
            talker = asyncio.create_task(_talk(terminal, line))
            yield Ready({"port": terminal.port, **options})
            talker.cancel()
            with suppress(asyncio.CancelledError):
                await talker

    return ready


async def _talk(terminal: Terminal, line: Callable[[int], str]) -> None:
    k = 0
    while True:
        terminal.empty()  # nobody may be reading: a full line would block us
        terminal.say(f"{line(k)}\r\n".encode())
        k += 1
        await asyncio.sleep(0.05)


def _nmea_line(k: int) -> str:
    return "\r\n".join(epoch(k))


_AIR = {"sensor": "temperature", "fields": {"celsius": "t"}}
_SQL = {"table": "air", "key": "id", "map": _AIR}

BUILDERS: tuple[Builder, ...] = (
    Builder("gpsd", _gpsd, {"port": 1}, library=False),
    Builder("http", _http, {"url": "http://127.0.0.1:1/", "map": _AIR}),
    Builder("lsm6ds", _lsm6ds, {"bus": "/dev/i2c-none"}),
    Builder("mpu6050", _mpu6050, {"bus": "/dev/i2c-none"}),
    Builder("mqtt_topic", _mqtt_topic, {"url": "mqtt://127.0.0.1:1", "topic": "air", "map": _AIR}),
    Builder("nmea", _talking(_nmea_line, {}), {"port": "/dev/none"}),
    Builder("replay", _replay, {"path": "none.csv", "map": {**_AIR, "time": "at"}}, library=False, ends=True),
    Builder("sensehat", _sensehat, {}, library=False),
    Builder("serial_lines", _talking(lambda k: f'{{"t":{k % 50}}}', {"map": _AIR}), {"port": "/dev/none", "map": _AIR}),
    Builder("sql", _sql, {**_SQL, "url": "sqlite:////none/air.db"}),
    Builder("system", _system, None),
)
