"""SOURCE: recordings (CSV, JSON lines, Parquet, exports of the Sensor Logger app), at real time, faster, or at once.

    [sources.drive]
    type = "replay"
    path = "recordings/*.csv"          # a file or a pattern; all are merged by time
    speed = 1                          # 1 real time, 10 ten times that, 0 as fast as it is taken
    times = "now"                      # shifted so that the first reading is now; "original" leaves them
    map = {sensor = "acceleration", time = "t", time_unit = "ns", fields = {x = "ax", y = "ay", z = "az"}}

Sensor Logger's exports (`.zip`, `.json`, and a `.csv` without `map`) need no map.  Within a file its own order stays.

Delivery: every reading exactly once into the spool, also across restarts (the cursor counts each file's rows); a bad
row near a crash may be set aside twice.  A replay that is over stays over until a file changes or grows.
"""

import codecs
import glob
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from edge.cleaning.clean import Cleaner, Maps
from edge.sources import Context, Options, Outlet, SourceFailed
from edge.sources._blocking import in_thread
from edge.sources._replay_csv import CsvFormat, file_stream
from edge.sources._replay_cursor import Cursor
from edge.sources._replay_jsonl import JsonlStream
from edge.sources._replay_parquet import ParquetStream
from edge.sources._replay_streams import PEEK_ROWS, Slice, Stream, merged
from telemetry.errors import Misconfigured

logger = logging.getLogger(__name__)

FILES_MAX = 1_000
SLICE_S = 0.2  # readings of so long come at once, where the pace is kept
Format = Literal["csv", "jsonl", "parquet", "sensor_logger"]
_GROWING: frozenset[Format] = frozenset({"csv", "jsonl"})
_BY_SUFFIX: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".zip": "sensor_logger",
    ".json": "sensor_logger",
}


class Config(Options):
    """Of one replay."""

    path: str = Field(min_length=1, description="a file, or a pattern with * and ?")
    format: Format | None = Field(None, description="None: by the file's ending")
    map: Maps | None = None
    speed: float = Field(1.0, ge=0, le=1e6)
    times: Literal["original", "now"] = "original"
    pause_s_max: float = Field(3600.0, gt=0, description="a longer pause in the recording is cut to this, as it passes")
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    header: tuple[str, ...] | None = Field(None, min_length=1, description="the columns of a CSV without a header")
    skip_lines: int = Field(0, ge=0, le=10_000, description="before the CSV's header")
    platform: Literal["", "ios", "android"] | None = Field(None, description="None: as the export says")
    standardised: bool | None = Field(None, description="the app's option; None: as the export says")
    json_bytes_max: int = Field(32 * 2**20, gt=0, description="of a Sensor Logger JSON export, which is read whole")

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            return codecs.lookup(name).name
        except LookupError as e:
            raise ValueError(f"there is no encoding {name!r}") from e

    @model_validator(mode="after")
    def _has_times(self) -> "Config":
        for one in self.map or ():
            if one.time is None:
                raise ValueError("a replay needs to know the readings' times: name their column as map.time")
        return self


def open(config: Config, context: Context) -> "Replay":  # noqa: A001 - the port's word
    """Touches no file yet.  Raises `Misconfigured` (the map's units)."""
    path = f"sources.{context.name}.map"
    cleaner = Cleaner.of(config.map, path).prepare_rows(path) if config.map else None
    return Replay(config, context, cleaner)


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    path: Path
    format: Format


class Replay:
    """One replay."""

    def __init__(self, config: Config, context: Context, cleaner: Cleaner | None) -> None:
        self._config = config
        self._context = context
        self._cleaner = cleaner

    async def run(self, outlet: Outlet) -> None:
        """Hand over all that the cursor leaves; returns at the end."""
        files, streams, cursor = await in_thread(self._open)
        speed = self._config.speed
        slices = merged(
            streams,
            lambda s: cursor.files[s.file].rows.get(s.name, 0),
            max(1, round(SLICE_S * speed * 1e9)) if speed else None,
        )
        pace = _Pace(self._context, speed, self._config.pause_s_max)
        count = 0
        try:
            while (one := await in_thread(next, slices, None)) is not None:
                await pace.wait(one)
                count += await self._hand_over(one, cursor, outlet)
        finally:
            slices.close()
        logger.info("source %s: %d readings of %d files replayed", self._context.name, count, len(files))

    async def check(self) -> str:
        """Look at the files and the first rows of each."""
        return await in_thread(self._look)

    async def _hand_over(self, one: Slice, cursor: Cursor, outlet: Outlet) -> int:
        for (file, name), rows in one.positions.items():
            cursor.files[file].rows[name] = rows
        series = one.series
        if self._config.times == "now" and series:
            if cursor.shift_ns is None:
                cursor.shift_ns = self._context.stamp.now_ns() - min(int(s.t.min()) for s in series)
            series = tuple(replace(s, t=s.t + cursor.shift_ns) for s in series)
        if one.bad:
            outlet.set_aside(one.bad)
        await outlet.put(series, cursor=cursor.text())
        return sum(map(len, series))

    def _open(self) -> tuple[list[_File], list[Stream], Cursor]:
        files = self._files()
        cursor = Cursor.of(
            self._context.cursor,
            {f.name: f.path for f in files},
            can_grow={f.name: f.format in _GROWING for f in files},
        )
        return files, [s for f in files for s in self._streams(f)], cursor

    def _files(self) -> list[_File]:
        base = str(self._context.folder)
        # not Path.glob: it refuses absolute patterns
        found = sorted(glob.glob(self._config.path, root_dir=base, recursive=True))  # noqa: PTH207
        files = [_File(name, path, self._format(path)) for name in found if (path := Path(base, name)).is_file()]
        if not files:
            raise SourceFailed(f"there is no file {self._config.path} in {base}")
        if len(files) > FILES_MAX:
            raise Misconfigured(f"{self._config.path} matches {len(files)} files; at most {FILES_MAX} a replay")
        return files

    def _format(self, path: Path) -> Format:
        suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
        found = self._config.format or _BY_SUFFIX.get(suffix.lower())
        if found is None:
            raise Misconfigured(
                f"{path.name}: say what it is with format = 'csv', 'jsonl', 'parquet' or 'sensor_logger'"
            )
        return "sensor_logger" if found == "csv" and self._cleaner is None else found

    def _streams(self, file: _File) -> Sequence[Stream]:
        config = self._config
        if file.format == "sensor_logger":
            from edge.sources._replay_sensor_logger import Phone, streams  # noqa: PLC0415 - only where it is needed

            phone = Phone(config.platform, config.standardised)
            return streams(file.path, file.name, phone, json_bytes_max=config.json_bytes_max)
        if self._cleaner is None:
            raise Misconfigured(f"{file.name}: say which columns are which fields, as sources.{self._context.name}.map")
        if file.format == "csv":
            written = CsvFormat(config.delimiter, config.encoding, config.header, config.skip_lines)
            return [file_stream(file.path, file.name, self._cleaner, written)]
        kind = JsonlStream if file.format == "jsonl" else ParquetStream
        return [kind(file.path, file.name, self._cleaner)]

    def _look(self) -> str:
        files, streams, _ = self._open()
        firsts, sensors, bad = [], set(), 0
        for stream in streams:
            with closing(stream.chunks(0, PEEK_ROWS)) as chunks:
                chunk = next(chunks, None)
            if chunk is not None:
                firsts += [int(s.t.min()) for s in chunk.cleaned.series]
                sensors |= {s.sensor for s in chunk.cleaned.series}
                bad += len(chunk.cleaned.bad)
        if not firsts:
            return f"{len(files)} files, no good row among the first {PEEK_ROWS} of each, {bad} bad ones"
        first = datetime.fromtimestamp(min(firsts) // 10**9, UTC).isoformat()
        wrong = f", {bad} bad rows among the first {PEEK_ROWS}" if bad else ""
        return f"{len(files)} files, {', '.join(sorted(sensors))}, first reading at {first}{wrong}"


class _Pace:
    """Readings go out when as much time has passed as in the recording, divided by the speed."""

    def __init__(self, context: Context, speed: float, pause_s_max: float) -> None:
        self._clock = context.clock
        self._speed = speed
        self._pause_s_max = pause_s_max
        self._due_s: float | None = None  # monotonic, of `_last_ns`
        self._last_ns = 0

    async def wait(self, one: Slice) -> None:
        """Until the slice's end is due."""
        if not self._speed or not one.end_ns:  # bad rows only, at no time
            return
        if self._due_s is None:
            self._due_s, self._last_ns = self._clock.monotonic_s(), one.begin_ns
        step_s = (one.end_ns - self._last_ns) / 1e9 / self._speed
        self._due_s += min(step_s, self._pause_s_max)
        self._last_ns = one.end_ns
        wait_s = self._due_s - self._clock.monotonic_s()
        if wait_s > 0:
            await self._clock.sleep(wait_s)
