"""Positions of a GPS receiver that gpsd looks after, through gpsd's JSON socket.

Names of reports and fields: gpsd_json(5).  Each fix keeps the receiver's own time, and sets our clock once its time
goes on as ours does.  Delivery: fixes while connected, once each; gpsd keeps nothing for who was away.
"""

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson
from pydantic import Field

from edge.cleaning.clean import shown
from edge.sources import Bad, Context, Options, Outlet, SourceFailed
from edge.sources._checked import checked
from edge.sources._fixes import FixClock, utc_ns
from telemetry.outcome import Reason

LINE_BYTES_MAX = 256 * 1024  # a SKY report of many satellites is some 20 KiB
CONNECT_S = 5.0
CHECK_S = 4.0
WATCH = {"enable": True, "json": True}
FIX_2D, FIX_3D = 2, 3


class Config(Options):
    """Options of `gpsd`."""

    host: str = "127.0.0.1"
    port: int = Field(2947, gt=0, lt=65_536)
    device: str | None = Field(None, description="one receiver's path, e.g. /dev/ttyACM0, where gpsd has several")
    silence_s: float = Field(30.0, gt=0, le=3600, description="no word for longer: connect anew")


class Gpsd:
    """The source."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config, self._context = config, context
        self._name = f"gpsd at {config.host}:{config.port}"
        self._fixes = FixClock()
        self._last: tuple[object, object] | None = None
        self._lines = 0

    async def run(self, outlet: Outlet) -> None:
        """Hand over fixes until cancelled."""
        async with _Connection(self._config, self._name) as connection:
            while True:
                line = await connection.line(self._config.silence_s)
                self._lines += 1
                report = self._report(line, outlet)
                if report is not None and report.get("class") == "TPV":
                    await self._take(report, line, outlet)

    async def check(self) -> str:
        """gpsd's release, the receivers that it has, and whether there is a fix."""
        release, devices, mode = "?", "no receiver", 0
        async with _Connection(self._config, self._name) as connection:
            with suppress(TimeoutError):  # then what was heard by then is told
                async with asyncio.timeout(CHECK_S):
                    while mode < FIX_2D:
                        report = _decoded(await connection.line(2 * CHECK_S), self._name)
                        release = report.get("release", release)
                        paths = [str(d.get("path")) for d in report.get("devices", ()) if isinstance(d, dict)]
                        devices = ", ".join(paths) or devices
                        mode = report["mode"] if report.get("class") == "TPV" else mode
        fix = {FIX_2D: "2D fix", FIX_3D: "3D fix"}.get(mode, "no fix yet")
        return f"{self._name}, release {release}: {devices}, {fix}"

    def _report(self, line: bytes, outlet: Outlet) -> dict[str, Any] | None:
        try:
            report = orjson.loads(line)
        except orjson.JSONDecodeError as e:
            outlet.set_aside([self._bad(line, str(e))])
            return None
        if not isinstance(report, dict):
            outlet.set_aside([self._bad(line, "no object")])
            return None
        if report.get("class") == "ERROR":
            raise SourceFailed(f"{self._name}: {report.get('message')}")
        return report

    async def _take(self, report: dict[str, Any], line: bytes, outlet: Outlet) -> None:
        arrived_s = self._context.clock.monotonic_s()
        mode, device = report.get("mode"), report.get("device")
        if mode not in (FIX_2D, FIX_3D) or self._config.device not in (None, device):
            return  # no fix: there is no reading
        if report.get("lat") is None or report.get("lon") is None:
            return  # gpsd has heard of a fix, but not yet where: it joined the receiver in mid-sentence
        text = report.get("time")
        if text is not None and self._last == (device, text):
            return  # said again within the same second, e.g. when another client connects
        self._last = (device, text)
        t_ns = self._context.stamp.at_ns(arrived_s) if text is None else _time_ns(text)
        if t_ns is None:
            outlet.set_aside([self._bad(line, f"time {text!r}", Reason.BAD_TIME)])
            return
        if text is not None and self._fixes.is_trusted(t_ns, arrived_s):
            self._context.stamp.utc_is(t_ns, arrived_s)
        said = line.decode("utf-8", "backslashreplace")
        cleaned = checked("location", t_ns, fields(report), line=self._lines, text=said)
        outlet.set_aside(cleaned.bad)
        await outlet.put(cleaned.series)

    def _bad(self, line: bytes, detail: str, reason: Reason = Reason.UNDECODABLE) -> Bad:
        return Bad(self._lines, reason, shown(line.decode("utf-8", "backslashreplace")), detail)


def fields(tpv: Mapping[str, Any]) -> dict[str, Any]:
    """A TPV report's values by the catalogue's names; what is not there is None.

    gpsd's estimates are of 95 % of cases.  `alt` is what `altMSL` was called before release 3.20.  Without `eph` the
    two axes' estimates are joined.
    """
    has_height = tpv.get("mode") == FIX_3D
    along, across = tpv.get("epx"), tpv.get("epy")
    both = math.hypot(along, across) if isinstance(along, float | int) and isinstance(across, float | int) else None
    return {
        "latitude": tpv.get("lat"),
        "longitude": tpv.get("lon"),
        "altitude": tpv.get("altHAE") if has_height else None,
        "altitude_msl": tpv.get("altMSL", tpv.get("alt")) if has_height else None,
        "speed": tpv.get("speed"),
        "bearing": tpv.get("track"),
        "horizontal_accuracy": tpv.get("eph", both),
        "vertical_accuracy": tpv.get("epv") if has_height else None,
        "speed_accuracy": tpv.get("eps"),
        "bearing_accuracy": tpv.get("epd"),
    }


class _Connection:
    """A watched connection; every wait has a deadline."""

    def __init__(self, config: Config, name: str) -> None:
        self._config, self._name = config, name

    async def __aenter__(self) -> "_Connection":
        try:
            async with asyncio.timeout(CONNECT_S):
                self._reader, self._writer = await asyncio.open_connection(
                    self._config.host, self._config.port, limit=LINE_BYTES_MAX
                )
        except (OSError, TimeoutError) as e:
            raise SourceFailed(f"{self._name} does not answer: {e or 'no connection'}") from e
        watch = WATCH if self._config.device is None else {**WATCH, "device": self._config.device}
        self._writer.write(b"?WATCH=" + orjson.dumps(watch) + b";\n")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._writer.close()
        with suppress(OSError, TimeoutError):  # it is gone already
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    async def line(self, wait_s: float) -> bytes:
        """The next report.  Raises `SourceFailed` at the end, after silence, and for a line without an end."""
        try:
            async with asyncio.timeout(wait_s):
                line = await self._reader.readline()
        except TimeoutError as e:
            raise SourceFailed(f"{self._name} said nothing for {wait_s:g} s: is the receiver connected?") from e
        except (OSError, ValueError) as e:  # a ValueError: over the limit
            raise SourceFailed(f"{self._name}: {e}") from e
        if not line:
            raise SourceFailed(f"{self._name} closed the connection")
        return line


def _decoded(line: bytes, name: str) -> dict[str, Any]:
    try:
        report = orjson.loads(line)
    except orjson.JSONDecodeError as e:
        raise SourceFailed(f"{name} does not speak gpsd's JSON: {e}") from e
    if not isinstance(report, dict):
        raise SourceFailed(f"{name} does not speak gpsd's JSON")
    return report


def _time_ns(text: object) -> int | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return utc_ns(moment) if moment.tzinfo is not None else None


def open(config: Config, context: Context) -> Gpsd:  # noqa: A001 - the port's word
    """The source; connects in `run`."""
    return Gpsd(config, context)
