"""Replay of the Sensor Logger app's exports: a zip of CSVs or one CSV (a file a sensor), and the JSON array.

Names, units and frames are the dialect's own (`telemetry.dialects`).  The platform is in the export's metadata; the
options `platform` and `standardised` overrule it.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

import numpy as np
import orjson

from edge.cleaning.cells import Cells, Reals
from edge.cleaning.clean import Cleaned, Cleaner, Target, Wanted, shown
from edge.cleaning.moments import TimeFormat
from edge.sources import Bad, SourceFailed
from edge.sources._replay_csv import CsvFormat, CsvStream, text_of
from edge.sources._replay_streams import Chunk, Stream
from telemetry.dialects._names import safe_name
from telemetry.dialects._sensor_logger_frames import convert
from telemetry.dialects._sensor_logger_sensors import Layout, layout_of, normal
from telemetry.outcome import Reason
from telemetry.ports import Sender
from telemetry.reading import Field

METADATA = "metadata"
MEMBERS_MAX = 1_000
_OWN = frozenset({"time", "seconds_elapsed", "sensor"})
_INTEGER = re.compile(r"-?\d{1,15}")
_WRITTEN = CsvFormat(delimiter=",")


@dataclass(frozen=True, slots=True)
class Phone:
    """What the options say; None: what the export says."""

    platform: str | None = None
    standardised: bool | None = None

    def sender(self, metadata: Mapping[str, Any]) -> Sender:
        """As the dialect knows a phone."""
        said = str(metadata.get("platform") or "").strip().lower()
        platform = self.platform if self.platform is not None else said if said in ("ios", "android") else ""
        frames = str(metadata.get("standardisation") or metadata.get("standardised") or "").strip().lower()
        standardised = self.standardised if self.standardised is not None else frames in ("true", "1", "yes")
        return Sender("", platform, standardised)


def streams(path: Path, file: str, phone: Phone, *, json_bytes_max: int) -> list[Stream]:
    """The export's recordings.  Raises `SourceFailed` and `OSError`."""
    if path.suffix.lower() == ".zip":
        return _of_zip(path, file, phone)
    if path.suffix.lower() == ".json":
        return _of_json(path, file, phone, json_bytes_max)
    beside = next((p for p in sorted(path.parent.glob("*.csv")) if p.stem.lower() == METADATA), None)
    metadata = _metadata(text_of(beside, "utf-8-sig")) if beside else {}
    if path.stem.lower() == METADATA:
        return []
    return [_csv_stream(file, "", path.stem, lambda: closing(text_of(path, "utf-8-sig")), phone.sender(metadata))]


def target(sensor: str, header: Sequence[str], sender: Sender) -> Target:
    """What becomes of one sensor's columns; what the catalogue lacks is kept as the reading's extra."""
    layout = layout_of(sensor)
    if layout is None:
        raise SourceFailed(f"{sensor!r} is no sensor's name")
    columns: dict[str, str] = {}
    unknown: list[str] = []
    for name in header:
        ours = layout.fields.get(name) or layout.fields.get(normal(name))
        if ours is not None and ours.name not in columns:
            columns[ours.name] = name
        elif name not in _OWN and not (name == "accuracy" and "accuracy" in layout.sensor.by_name):
            unknown.append(name)

    def wanted(fields: Sequence[Field]) -> tuple[Wanted, ...]:
        return tuple(Wanted(f, columns.get(f.name, "")) for f in fields)

    accuracy = layout.sensor.by_name.get("accuracy") if "accuracy" in header else None
    beside = (Wanted(accuracy, "accuracy"),) if accuracy else ()
    return Target(
        layout.sensor,
        (*wanted(layout.numbers), *beside),
        wanted(layout.others),
        "time",
        TimeFormat("ns"),
        convert=_converting(layout, sender),
        extras=_extras(unknown) if unknown else None,
        may_be_empty=layout.sensor.name in ("annotation", "camera") or not layout.is_known,
    )


def _converting(layout: Layout, sender: Sender) -> Callable[[Reals], Reals]:
    """The dialect's, over the rows of the table that are its own (accuracy may stand behind them)."""
    own = len(layout.numbers)

    def converting(table: Reals) -> Reals:
        if not own:
            return table
        return np.concatenate([convert(layout, table[:own], sender)[0], table[own:]])

    return converting


def _extras(names: Sequence[str]) -> Callable[[Mapping[str, Cells], int], list[str | None]]:
    safe = {name: safe_name(name) for name in names}

    def extras(columns: Mapping[str, Cells], n: int) -> list[str | None]:
        rows: list[dict[str, Any]] = [{} for _ in range(n)]
        for name in names:
            for row, cell in zip(rows, columns.get(name, ()), strict=False):
                if cell is not None and cell != "":
                    row[safe[name]] = _value(cell)
        return [orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode() if row else None for row in rows]

    return extras


def _value(cell: Any) -> Any:
    """A number where the text is one: the export writes all as text."""
    if not isinstance(cell, str):
        return cell if isinstance(cell, int | float | bool) and abs(cell) < 2**53 else str(cell)
    if _INTEGER.fullmatch(cell):
        return int(cell)
    try:
        number = float(cell)
    except ValueError:
        return cell.encode("utf-8", "replace").decode()
    return number if np.isfinite(number) else cell


# --- zip ------------------------------------------------------------------------------------------------------


def _of_zip(path: Path, file: str, phone: Phone) -> list[Stream]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.namelist() if m.lower().endswith(".csv") and "__MACOSX" not in m]
    except zipfile.BadZipFile as e:
        raise SourceFailed(f"{file}: {e}") from e
    if len(members) > MEMBERS_MAX:
        raise SourceFailed(f"{file} has {len(members)} files; at most {MEMBERS_MAX}")
    metadata: dict[str, Any] = {}
    for member in members:
        if _stem(member).lower() == METADATA:
            with _member(path, file, member) as text:
                metadata = _metadata(text)
    sender = phone.sender(metadata)
    return [
        _csv_stream(file, member, _stem(member), lambda member=member: _member(path, file, member), sender)  # type: ignore[misc]
        for member in sorted(members)
        if _stem(member).lower() != METADATA
    ]


def _stem(member: str) -> str:
    return PurePosixPath(member).stem


@contextmanager
def _member(path: Path, file: str, member: str) -> Iterator[TextIO]:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as binary:
            yield io.TextIOWrapper(binary, "utf-8-sig", "surrogateescape", newline="")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as e:  # encrypted, odd method
        raise SourceFailed(f"{file}: {member}: {e}") from e


def _csv_stream(
    file: str, name: str, sensor: str, opened: Callable[[], AbstractContextManager[TextIO]], sender: Sender
) -> CsvStream:
    return CsvStream(file, name, opened, lambda header: Cleaner([target(sensor, header, sender)]), _WRITTEN)


def _metadata(text: TextIO) -> dict[str, Any]:
    with text:
        return dict(next(csv.DictReader(text), {}))


# --- the JSON array -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Part:
    """One sensor's readings of the array, as columns; `lines` are their places in it, from 1."""

    columns: dict[str, list[Any]]
    lines: list[int]

    def add(self, row: Mapping[str, Any], line: int) -> None:
        for name in row:
            if name not in self.columns:
                self.columns[name] = [None] * len(self.lines)
        for name, column in self.columns.items():
            column.append(row.get(name))
        self.lines.append(line)


@dataclass(frozen=True, slots=True)
class _PartStream:
    file: str
    name: str
    part: _Part
    cleaner: Cleaner

    def chunks(self, skip: int, chunk_rows: int) -> Generator[Chunk]:
        for start in range(skip, len(self.part.lines), chunk_rows):
            lines = self.part.lines[start : start + chunk_rows]
            columns = {name: column[start : start + chunk_rows] for name, column in self.part.columns.items()}
            yield Chunk(len(lines), self.cleaner.columns(columns, lines, arrived_ns=0))


@dataclass(frozen=True, slots=True)
class _BadStream:
    """What stands in the array and is no reading of a sensor."""

    file: str
    bad: tuple[Bad, ...]
    name: str = ""

    def chunks(self, skip: int, chunk_rows: int) -> Generator[Chunk]:
        for start in range(skip, len(self.bad), chunk_rows):
            some = self.bad[start : start + chunk_rows]
            yield Chunk(len(some), Cleaned((), (), some, np.arange(len(some))))


def _of_json(path: Path, file: str, phone: Phone, json_bytes_max: int) -> list[Stream]:
    if path.stat().st_size > json_bytes_max:
        raise SourceFailed(
            f"{file} has {path.stat().st_size} bytes; a JSON export is read whole, at most json_bytes_max = "
            f"{json_bytes_max}: raise that, or export a zip of CSVs, which is streamed"
        )
    try:
        rows = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as e:
        raise SourceFailed(f"{file} is no JSON: {e}") from e
    if not isinstance(rows, list):
        raise SourceFailed(f"{file} is no array of readings: for JSON lines, say format = 'jsonl'")
    metadata: Mapping[str, Any] = {}
    parts: dict[str, _Part] = {}
    bad: list[Bad] = []
    for line, row in enumerate(rows, 1):
        sensor = row.get("sensor") if isinstance(row, dict) else None
        if not isinstance(sensor, str) or layout_of(sensor) is None:
            reason = Reason.NO_NAME if isinstance(row, dict) else Reason.NOT_AN_OBJECT
            bad.append(Bad(line, str(reason), shown(row), "no sensor's name"))
        elif sensor.lower() == METADATA:
            metadata = row
        else:
            parts.setdefault(sensor, _Part({}, [])).add(row, line)
    sender = phone.sender(metadata)
    found: list[Stream] = [
        _PartStream(file, name, one, Cleaner([target(name, list(one.columns), sender)])) for name, one in parts.items()
    ]
    return [*found, _BadStream(file, tuple(bad))] if bad else found
