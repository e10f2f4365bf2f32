"""Lines of text from a serial port, as an Arduino prints them: JSON objects, CSV, or `key=value` pairs.

The option `map` says which of their values are which fields (see `edge.cleaning.mapping`).  A line without a time of
its own is stamped when its end arrives.  The first line after opening is not used: nobody knows whether it is whole.
Delivery: what arrives while the port is open, once.
"""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from pydantic import Field, model_validator

from edge.cleaning.clean import Cleaner, Maps, shown
from edge.sources import Bad, Context, Outlet, SourceFailed
from edge.sources._lines import Line, Lines
from edge.sources._serial import Port, SerialOptions
from telemetry.outcome import Reason

CHECK_S = 5.0
FIRST = 1
_BETWEEN_PAIRS = re.compile(r"[\s,;]+")


class Config(SerialOptions):
    """Options of `serial_lines`."""

    format: Literal["json", "csv", "pairs"] = "json"
    columns: tuple[str, ...] = Field((), max_length=1000, description="csv: the names of a line's values, in order")
    delimiter: str = Field(",", min_length=1, max_length=1, description="csv: between two values")
    map: Maps
    line_bytes_max: int = Field(4096, ge=16, le=65_536)
    silence_s: float = Field(600.0, gt=0, le=86_400, description="nothing for longer: open the port anew")

    @model_validator(mode="after")
    def _csv_has_columns(self) -> "Config":
        if (self.format == "csv") != bool(self.columns):
            raise ValueError("columns are for the format csv, which needs them")
        return self


@dataclass
class Rows:
    """Lines that could be read: their values, numbers and text."""

    values: list[Any] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class SerialLines:
    """The source."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config, self._context = config, context
        path = f"sources.{context.name}.map"
        self._cleaner = Cleaner.of(config.map, path)
        if config.format == "json":
            self._cleaner.prepare_rows(path)
        self._port = Port(config, "serial")

    async def run(self, outlet: Outlet) -> None:
        """Hand over readings until cancelled."""
        async with self._port as port:
            lines = Lines(self._config.line_bytes_max)
            while data := await port.read(self._config.silence_s):
                arrived_s = self._context.clock.monotonic_s()
                await self._take(lines.feed(data), arrived_s, outlet)
        raise SourceFailed(f"{self._config.port} said nothing for {self._config.silence_s:g} s")

    async def check(self) -> str:
        """The first whole line, and whether it becomes a reading."""
        clock, lines = self._context.clock, Lines(self._config.line_bytes_max)
        end_s = clock.monotonic_s() + CHECK_S
        async with self._port as port:
            while (left_s := end_s - clock.monotonic_s()) > 0:
                whole = [line for line in lines.feed(await port.read(left_s)) if line.number > FIRST and line.data]
                if whole:
                    return f"{self._config.port}: {self._judged(whole[0])}"
        raise SourceFailed(f"{self._config.port} said no whole line in {CHECK_S:g} s")

    def _judged(self, line: Line) -> str:
        rows, bad = self._read([line])
        series, unclean = self._clean(rows, self._context.stamp.now_ns) if rows.values else ((), ())
        for one in (*bad, *unclean):
            return f"a line that is no reading, {one.reason} {one.detail}: {one.text}"
        return f"readings of {', '.join(s.sensor for s in series)}"

    async def _take(self, lines: Sequence[Line], arrived_s: float, outlet: Outlet) -> None:
        if lines and lines[0].number == FIRST:
            outlet.lost(1, "joined_midway")
            lines = lines[1:]
        rows, bad = self._read(lines)
        outlet.set_aside(bad)
        if rows.values:
            series, unclean = self._clean(rows, lambda: self._context.stamp.at_ns(arrived_s))
            outlet.set_aside(unclean)
            if series:
                await outlet.put(series)

    def _clean(self, rows: Rows, arrived_ns: Callable[[], int]) -> tuple[Sequence[Any], Sequence[Bad]]:
        said = rows.texts.__getitem__
        if self._config.format == "json":
            cleaned = self._cleaner.rows(rows.values, rows.numbers, arrived_ns=arrived_ns, text=said)
        else:
            columns = {name: [row.get(name) for row in rows.values] for name in self._cleaner.columns_wanted}
            cleaned = self._cleaner.columns(columns, rows.numbers, arrived_ns=arrived_ns, text=said)
        return cleaned.series, cleaned.bad

    def _read(self, lines: Sequence[Line]) -> tuple[Rows, list[Bad]]:
        """Blank lines are nobody's; every other one is a row or bad."""
        rows, bad = Rows(), []
        for line in lines:
            if not line.data.strip():
                continue
            try:
                value, text = self._parsed(line)
            except ValueError as e:  # of JSON and of UTF-8 too
                text = line.data.decode("utf-8", "backslashreplace")
                bad.append(Bad(line.number, Reason.UNDECODABLE, shown(text), str(e)))
                continue
            rows.values.append(value)
            rows.numbers.append(line.number)
            rows.texts.append(text)
        return rows, bad

    def _parsed(self, line: Line) -> tuple[Any, str]:
        if line.is_cut:
            raise ValueError(f"longer than {self._config.line_bytes_max} bytes")
        text = line.data.decode()
        match self._config.format:
            case "json":
                return orjson.loads(line.data), text
            case "csv":
                return _csv(text, self._config.columns, self._config.delimiter), text
            case "pairs":
                return _pairs(text), text


def _csv(text: str, names: Sequence[str], delimiter: str) -> Mapping[str, str]:
    try:
        [cells] = csv.reader([text], delimiter=delimiter, strict=True)
    except csv.Error as e:
        raise ValueError(f"no CSV: {e}") from e
    if len(cells) != len(names):
        raise ValueError(f"{len(cells)} values, not {len(names)}")
    return dict(zip(names, (cell.strip() for cell in cells), strict=True))


def _pairs(text: str) -> Mapping[str, str]:
    """`t=21.5 h=40`, also with commas or semicolons between them."""
    pairs = [part.partition("=") for part in _BETWEEN_PAIRS.split(text.strip(" \t\r,;"))]
    if wrong := next((key for key, equals, _ in pairs if not key or not equals), None):
        raise ValueError(f"{wrong!r} is no key=value")
    return {key: value for key, _, value in pairs}


def open(config: Config, context: Context) -> SerialLines:  # noqa: A001 - the port's word
    """The source; touches no device yet."""
    return SerialLines(config, context)
