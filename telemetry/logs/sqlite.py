"""The embedded log: one SQLite file, WAL, synchronous=FULL, one partition, group commit.

Guarantee: what `append` returned for was fsync'd, and outlives the process and the power.

Appends and offsets go through one writer thread (`_sqlite_writer`), reads through threads of their own, and the
newest entries are served from memory (`_recent`).  After an error of the disk nothing is acknowledged any more:
`broken` says why, and the process should end and start again.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from telemetry.clock import Clock, SystemClock
from telemetry.durable import sync_folder
from telemetry.errors import LogUnavailable, Misconfigured
from telemetry.logs._embedded import PARTITION, EmbeddedReader, Groups, News
from telemetry.logs._lock import DirectoryLock
from telemetry.logs._recent import Recent
from telemetry.logs._records import check
from telemetry.logs._sqlite_file import LogFile, LogView
from telemetry.logs._sqlite_views import Views
from telemetry.logs._sqlite_writer import Job, Writer
from telemetry.ports import TOPICS, Entry, Position, Reader, Record, Topic

FILE = "log.db"
LOCK = "log.lock"
TOMBSTONE_KEPT_NS = 24 * 3600 * 10**9
T = TypeVar("T")


class Config(BaseModel):
    """Bounds and patience; `synchronous` is NORMAL only where a test shows what that loses."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    append_timeout_s: float = Field(default=30.0, gt=0)
    read_timeout_s: float = Field(default=30.0, gt=0)
    queue_records_max: int = Field(default=10_000, ge=1)
    queue_bytes_max: int = Field(default=64 * 2**20, ge=1)
    recent_bytes_max: int = Field(default=16 * 2**20, ge=0)
    size_bytes_max: int = Field(default=64 * 2**30, ge=2**20)
    checkpoint_pages: int = Field(default=2_000, ge=1)
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    vfs: str | None = None


class SqliteLog:
    """`Log` in one file."""

    def __init__(
        self, config: Config, data_dir: Path, *, clock: Clock | None = None, topics: Sequence[Topic] = TOPICS
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self._config = config
        self._data_dir = data_dir
        self._topics = {topic.name: topic for topic in topics}
        self._news = {topic.name: News(self.clock) for topic in topics}
        self._groups = Groups()
        self._recent = Recent(config.recent_bytes_max)
        self._ends: dict[str, int] = {}
        self._lock: DirectoryLock | None = None
        self._writer: Writer | None = None
        self._views = Views(data_dir / FILE, config.vfs)
        self._when_broken: list[Callable[[str], None]] = []

    @property
    def broken(self) -> str | None:
        """Why nothing will ever be acknowledged again, or None."""
        return self._writer.broken if self._writer else None

    def on_broken(self, callback: Callable[[str], None]) -> None:
        """Call this, on the event loop, when the log breaks, so that the process can end."""
        self._when_broken.append(callback)

    async def start(self) -> None:
        """Open or make the file.

        Raises `Misconfigured` (another process has it, it cannot be written, it is no database), `LogFull` or
        `LogUnavailable`.
        """
        if self._writer is not None:
            return
        file = await asyncio.to_thread(self._open)
        self._writer = Writer(
            file,
            records_max=self._config.queue_records_max,
            bytes_max=self._config.queue_bytes_max,
            checkpoint_pages=self._config.checkpoint_pages,
            on_broken=self._tell_broken,
        )

    async def close(self) -> None:
        """Write what is queued, let go of the file; safe to call again."""
        writer = self._writer
        if writer is None:
            return
        await asyncio.to_thread(writer.close)
        await asyncio.to_thread(self._views.close)
        self._writer = None
        for news in self._news.values():
            news.tell()
        if self._lock is not None:
            self._lock.release()

    async def append(self, topic: Topic, records: Sequence[Record]) -> list[Position]:
        """As the port says; appends that wait together share one fsync."""
        self._check_open(topic)
        size = check(records)
        if not records:
            return []
        now_ns = self.clock.now_ns()

        def settle(first: int) -> list[Position]:
            self._appended(topic, records, first, now_ns)
            return [Position(PARTITION, first + i) for i in range(len(records))]

        return await self._write(lambda file: file.insert(topic, records, now_ns), settle, len(records), size)

    async def reader(self, topic: Topic, group: str) -> Reader:
        """As the port says."""
        self._check_open(topic)
        return EmbeddedReader(self, topic, self._groups, group, None)

    async def follow(self, topic: Topic, start: Mapping[int, int] | None = None, *, prompt: bool = False) -> Reader:
        """As the port says."""
        self._check_open(topic)
        return EmbeddedReader(self, topic, self._groups, None, (start or {}).get(PARTITION, 0))

    async def ends(self, topic: Topic) -> dict[int, int]:
        """As the port says."""
        return {PARTITION: self.end(topic)}

    async def begins(self, topic: Topic) -> dict[int, int]:
        """As the port says."""
        self._check_open(topic)
        first = await self._read(lambda view: view.begin(topic.name))
        return {PARTITION: self.end(topic) if first is None else first}

    async def committed(self, topic: Topic, group: str) -> dict[int, int]:
        """As the port says."""
        self._check_open(topic)
        offset = await self._read(lambda view: view.committed(topic.name, group))
        return {} if offset is None else {PARTITION: offset}

    async def prune(self, topic: Topic, *, before_ns: int, groups: Collection[str] | None = None) -> int:
        """As the port says.

        Of a compacted topic only tombstones go, a day after they came.  Works in chunks, so appends go on.
        """
        self._check_open(topic)
        if topic.compacted:
            before_ns = min(before_ns, self.clock.now_ns() - TOMBSTONE_KEPT_NS)
        dropped, after = 0, -1
        gone: list[int]
        more: int | None
        while True:
            gone, more = await self._write(_prune(topic, before_ns, after, groups), _same, 0, 0)
            self._recent.forget((topic.name, offset) for offset in gone)
            dropped += len(gone)
            if more is None:
                return dropped
            after = more

    # what a reader needs

    def news(self, topic: Topic) -> News:
        """Told after every append to the topic."""
        return self._news[topic.name]

    def end(self, topic: Topic) -> int:
        """The next offset to be written."""
        self._check_open(topic)
        return self._ends[topic.name]

    async def read(self, topic: Topic, offset: int, *, records_max: int, bytes_max: int) -> list[Entry]:
        """Entries from `offset` on, within both limits but at least one."""
        self._check_open(topic)
        entries = self._recent.read(topic.name, offset, records_max=records_max, bytes_max=bytes_max)
        if entries:
            return entries
        entries = await self._read(
            lambda view: view.read(topic.name, offset, records_max=records_max, bytes_max=bytes_max)
        )
        end = self.end(topic)  # what is committed and not yet settled here would put a reader past the end
        return [entry for entry in entries if entry.offset < end]

    async def save(self, topic: Topic, group: str, next_offset: int) -> None:
        """Keep a group's offset, durably."""
        await self._write(lambda file: file.save(topic.name, group, next_offset), _same, 1, 64)

    def _open(self) -> LogFile:
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            sync_folder(self._data_dir.parent)
            self._lock = DirectoryLock(self._data_dir / LOCK)
        except OSError as e:
            raise Misconfigured(f"{self._data_dir} cannot hold the log: {e}") from e
        config = self._config
        try:
            file = LogFile(
                self._data_dir / FILE,
                vfs=config.vfs,
                synchronous=config.synchronous,
                size_bytes_max=config.size_bytes_max,
            )
            self._ends = file.make(tuple(self._topics.values()))
        except BaseException:
            self._lock.release()
            raise
        self._views = Views(self._data_dir / FILE, config.vfs)
        return file

    def _appended(self, topic: Topic, records: Sequence[Record], first: int, now_ns: int) -> None:
        self._ends[topic.name] = first + len(records)
        if not topic.compacted:  # a compacted topic's older values must not come back from memory
            self._recent.add(
                [
                    Entry(
                        topic.name,
                        PARTITION,
                        first + i,
                        record.key,
                        record.value,
                        dict(record.headers),
                        now_ns,
                        record.batch,
                    )
                    for i, record in enumerate(records)
                ]
            )
        self._news[topic.name].tell()

    async def _write(
        self, apply: Callable[[LogFile], Any], settle: Callable[[Any], T], records: int, size_bytes: int
    ) -> T:
        if self._writer is None:
            raise LogUnavailable("the log is closed")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.submit(Job(apply, settle, done, records, size_bytes))
        try:
            async with asyncio.timeout(self._config.append_timeout_s):
                return await done
        except TimeoutError:
            raise LogUnavailable(
                f"the disk did not confirm within {self._config.append_timeout_s} s", retry_after_s=5.0
            ) from None

    async def _read(self, look: Callable[[LogView], T]) -> T:
        try:
            async with asyncio.timeout(self._config.read_timeout_s):
                return await self._views.run(look)
        except TimeoutError:
            raise LogUnavailable(
                f"the disk did not answer within {self._config.read_timeout_s} s", retry_after_s=5.0
            ) from None

    def _tell_broken(self, why: str) -> None:
        for callback in self._when_broken:
            callback(why)

    def _check_open(self, topic: Topic) -> None:
        if self._writer is None:
            raise LogUnavailable("the log is closed")
        if topic.name not in self._topics:
            raise Misconfigured(f"the log has no topic {topic.name!r}")


def open(config: Config, data_dir: Path) -> SqliteLog:  # noqa: A001 - the port's word
    """The log in `data_dir`/log.db."""
    return SqliteLog(config, data_dir)


def _prune(
    topic: Topic, before_ns: int, after: int, groups: Collection[str] | None
) -> Callable[[LogFile], tuple[list[int], int | None]]:
    return lambda file: file.prune(topic, before_ns=before_ns, after=after, groups=groups)


def _same(result: T) -> T:
    return result
