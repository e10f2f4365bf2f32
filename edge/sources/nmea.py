"""Positions of a GPS receiver on a serial port that speaks NMEA 0183, parsed by pynmeagps.

One reading an epoch, under the receiver's own time.  A damaged sentence is set aside with its reason; the epoch it
belonged to is handed over without it.  Delivery: what arrives while the port is open, once.
"""

import re
from typing import Any

from pydantic import Field

from edge.cleaning.clean import shown
from edge.sources import Bad, Context, Outlet, SourceFailed, driver
from edge.sources._checked import checked
from edge.sources._fixes import FixClock
from edge.sources._lines import Line, Lines
from edge.sources._nmea_epochs import SENTENCES, Epoch, Epochs
from edge.sources._serial import Port, SerialOptions
from telemetry.outcome import Reason

LINE_BYTES_MAX = 256  # the standard allows 82; some receivers say more
EPOCH_END_S = 0.2  # of silence: the receiver has said all of this moment
CHECK_S = 3.0
_SENTENCE = re.compile(rb"\$[ -)+-~]+\*[0-9A-Fa-f]{2} *")


class Config(SerialOptions):
    """Options of `nmea`."""

    silence_s: float = Field(30.0, gt=0, le=3600, description="no NMEA for longer: open the port anew")
    metres_per_hdop: float = Field(
        5.0, ge=0, le=100, description="accuracy where the receiver only tells the dilution of precision; 0 = none"
    )


class Nmea:
    """The source."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config, self._context = config, context
        self._parser = driver("pynmeagps", "nmea")
        self._port = Port(config, "nmea")
        self._epochs = Epochs()
        self._fixes = FixClock()
        self._heard_s = 0.0

    async def run(self, outlet: Outlet) -> None:
        """Hand over positions until cancelled."""
        clock = self._context.clock
        async with self._port as port:
            lines = Lines(LINE_BYTES_MAX)
            self._heard_s = clock.monotonic_s()
            while True:
                data = await port.read(EPOCH_END_S)
                arrived_s = clock.monotonic_s()
                for line in lines.feed(data):
                    await self._line(line, arrived_s, outlet)
                if not data:
                    await self._hand_over(self._epochs.end(), outlet)
                if arrived_s - self._heard_s > self._config.silence_s:
                    raise self._silent(self._config.silence_s)

    async def check(self) -> str:
        """How many sentences come, and whether one has a fix."""
        lines, epochs, sentences, has_fix = Lines(LINE_BYTES_MAX), Epochs(), 0, False
        clock = self._context.clock
        end_s = clock.monotonic_s() + CHECK_S
        async with self._port as port:
            while (left_s := end_s - clock.monotonic_s()) > 0 and not has_fix:
                for line in lines.feed(await port.read(left_s)):
                    sentence, _ = self._parsed(line)
                    ended = epochs.take(sentence, line.number, 0.0) if sentence is not None else None
                    sentences += sentence is not None
                    has_fix = has_fix or (ended is not None and ended.has_fix)
        if not sentences:
            raise self._silent(CHECK_S)
        return f"NMEA on {self._config.port}, {'a fix' if has_fix else 'no fix yet'}"

    def _silent(self, for_s: float) -> SourceFailed:
        return SourceFailed(f"{self._config.port}: no NMEA for {for_s:g} s: is {self._config.baud} its baud?")

    async def _line(self, line: Line, arrived_s: float, outlet: Outlet) -> None:
        sentence, wrong = self._parsed(line)
        if wrong:
            if line.number > 1:  # the port was opened in the middle of the first
                outlet.set_aside([Bad(line.number, Reason.UNDECODABLE, shown(_text(line)), wrong)])
            return
        self._heard_s = arrived_s
        if sentence is not None:
            await self._hand_over(self._epochs.take(sentence, line.number, arrived_s), outlet)

    def _parsed(self, line: Line) -> tuple[Any, str]:
        """A sentence of use, or None; and what is wrong with the line, or ""."""
        if not line.data:
            return None, ""
        if line.is_cut or _SENTENCE.fullmatch(line.data) is None:  # the library would say nothing of it
            return None, "no NMEA sentence"
        try:  # every sentence, also one of no use: only its checksum tells which it is
            sentence = self._parser.NMEAReader.parse(line.data + b"\r\n")
        except (self._parser.NMEAParseError, self._parser.NMEATypeError, ValueError, KeyError, IndexError) as e:
            return None, str(e)  # the library lets some of Python's own errors through
        return (sentence if sentence is not None and sentence.msgID in SENTENCES else None), ""

    async def _hand_over(self, epoch: Epoch | None, outlet: Outlet) -> None:
        if epoch is None or not epoch.has_fix:
            return
        said_ns = epoch.time_ns()
        if said_ns is not None and self._fixes.is_trusted(said_ns, epoch.arrived_s):
            self._context.stamp.utc_is(said_ns, epoch.arrived_s)
        t_ns = self._context.stamp.at_ns(epoch.arrived_s) if said_ns is None else said_ns
        text = " ".join(str(s) for s in epoch.said.values())
        values = epoch.values(self._config.metres_per_hdop)
        cleaned = checked("location", t_ns, values, line=epoch.line, text=text)
        outlet.set_aside(cleaned.bad)
        await outlet.put(cleaned.series)


def _text(line: Line) -> str:
    return line.data.decode("ascii", "backslashreplace")


def open(config: Config, context: Context) -> Nmea:  # noqa: A001 - the port's word
    """The source; touches no device yet."""
    return Nmea(config, context)
