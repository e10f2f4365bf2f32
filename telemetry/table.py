"""A compacted topic as a local map on disk: the last record of each key, followed as it changes.

Works on any log.  The map is a cache in a file made anew at every start: it needs no durability, and it never
holds a whole fleet in memory.
"""

import asyncio
import contextlib
import logging
import math
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import orjson

from telemetry.clock import Clock, SystemClock
from telemetry.errors import NotReady, Retryable
from telemetry.ports import Entry, Log, Reader, Topic

logger = logging.getLogger(__name__)

POLL_RECORDS = 500
POLL_BYTES = 4 * 2**20
CONFIRM_WAIT_S = 0.5  # how long a quiet topic goes before its end is asked for again
RETRY_WAIT_S = 0.5
SCAN_MAX = 1_000
COLUMNS = "part, offset, key, value, headers, appended_ns"
SCHEMA = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1024;
    CREATE TABLE entries (
        key BLOB NOT NULL UNIQUE, part INTEGER, offset INTEGER, appended_ns INTEGER, headers BLOB, value BLOB)
"""


class Table:
    """Made by `open`, and ready when that returns.  Belongs to the event loop that opened it.

    A look-up reads the local file (microseconds) and does not wait for the log: what it gives is at most `age_s`
    old.  `version` rises at each change, for callers that keep what they derived from it.
    """

    def __init__(self, log: Log, topic: Topic, path: Path, clock: Clock) -> None:
        self.version = 0
        self._log = log
        self._topic = topic
        self._clock = clock
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(SCHEMA)
        self._here: Mapping[int, int] = {}
        self._current_at_s = -math.inf
        self._moved = asyncio.Condition()
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._cleanup = contextlib.ExitStack()

    @classmethod
    async def open(
        cls, log: Log, topic: Topic, path: Path | None = None, *, clock: Clock | None = None, timeout_s: float = 60.0
    ) -> Self:
        """Load everything up to the topic's end, and follow it in the background from there.

        The file goes to `path`, replacing what is there, or to a temporary folder; `close` removes it.  Raises
        `NotReady` when it is not loaded within `timeout_s`, and what the log raises.
        """
        cleanup = contextlib.ExitStack()
        try:
            if path is None:
                folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="sensorline-table-"))
                path = Path(folder) / "table.db"
            path.unlink(missing_ok=True)
            cleanup.callback(path.unlink, missing_ok=True)
            table = cls(log, topic, path, clock or SystemClock())
            table._cleanup = cleanup
            cleanup.callback(table._db.close)
            table._task = asyncio.create_task(table._run(await log.follow(topic)), name=f"table-{topic.name}")
        except BaseException:
            cleanup.close()
            raise
        try:
            await table.sync(timeout_s)
        except BaseException:
            await table.close()
            raise
        return table

    def get(self, key: str) -> Entry | None:
        """The key's last record, or None when there is none or it was deleted."""
        for row in self._db.execute(f"SELECT {COLUMNS} FROM entries WHERE key = ?", (key.encode(),)):  # noqa: S608
            return self._entry(row)
        return None

    def scan(self, prefix: str = "", *, after: str | None = None, limit: int = SCAN_MAX) -> list[Entry]:
        """A page of entries whose key starts with `prefix`, in the order of their UTF-8 keys.

        At most `limit` (and never more than `SCAN_MAX`); the next page starts `after` the last key of this one.
        """
        low = prefix.encode()
        conditions, bindings = ["key >= ?"], [low]
        if after is not None:
            conditions.append("key > ?")
            bindings.append(after.encode())
        if low:
            conditions.append("key < ?")
            bindings.append(low[:-1] + bytes([low[-1] + 1]))  # UTF-8 has no byte 255
        sql = f"SELECT {COLUMNS} FROM entries WHERE {' AND '.join(conditions)} ORDER BY key LIMIT ?"  # noqa: S608
        return [self._entry(row) for row in self._db.execute(sql, (*bindings, min(limit, SCAN_MAX)))]

    def age_s(self) -> float:
        """Seconds since it was last known to hold everything; infinite once following has failed for good."""
        return math.inf if self._failure else self._clock.monotonic_s() - self._current_at_s

    async def sync(self, timeout_s: float) -> None:
        """Wait until it holds what is in the topic now.  Raises `NotReady`, or `LogUnavailable`."""
        try:
            async with asyncio.timeout(timeout_s):
                asked_at_s = self._clock.monotonic_s()
                ends = await self._log.ends(self._topic)
                async with self._moved:
                    await self._moved.wait_for(lambda: self._failure or self._holds(ends))
                self._current_at_s = max(self._current_at_s, asked_at_s)
        except TimeoutError:
            raise NotReady(f"table {self._topic.name} is not current after {timeout_s} s", retry_after_s=1.0) from None
        if self._failure:
            raise NotReady(f"table {self._topic.name} is not followed any more: {self._failure}") from self._failure

    async def close(self) -> None:
        """Stop following and remove the file; safe to call again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            self._cleanup.close()

    async def _run(self, reader: Reader) -> None:
        try:
            while True:
                try:
                    await self._follow(reader)
                except Retryable as e:
                    logger.warning("table %s: %s", self._topic.name, e)
                    await self._clock.sleep(RETRY_WAIT_S)
        except Exception as e:
            # Whatever it was, nobody else would hear of it: the age becomes infinite and `sync` raises.
            logger.exception("table %s is not followed any more", self._topic.name)
            self._failure = e
            await self._tell()
        finally:
            await reader.close()

    async def _follow(self, reader: Reader) -> None:
        """Confirm being at the end again and again; between two times, take what comes for a while."""
        while True:
            asked_at_s = self._clock.monotonic_s()
            ends = await self._log.ends(self._topic)
            while not self._holds(ends):
                await self._take(reader, CONFIRM_WAIT_S)
            self._current_at_s = asked_at_s
            await self._tell()
            while (left_s := asked_at_s + CONFIRM_WAIT_S - self._clock.monotonic_s()) > 0:
                await self._take(reader, left_s)

    async def _take(self, reader: Reader, wait_s: float) -> None:
        entries = await reader.poll(records_max=POLL_RECORDS, bytes_max=POLL_BYTES, wait_s=wait_s)
        if entries:
            self._apply(entries)
        here = await reader.position()
        if here != self._here:
            self._here = here
            await self._tell()

    def _apply(self, entries: Sequence[Entry]) -> None:
        self._db.execute("BEGIN")
        for e in entries:
            if e.value is None:
                self._db.execute("DELETE FROM entries WHERE key = ?", (e.key.encode(),))
            else:
                row = (e.partition, e.offset, e.key.encode(), e.value, orjson.dumps(dict(e.headers)), e.appended_ns)
                self._db.execute(f"INSERT OR REPLACE INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", row)  # noqa: S608
        self._db.execute("COMMIT")
        self.version += len(entries)

    def _holds(self, ends: Mapping[int, int]) -> bool:
        return all(self._here.get(partition, 0) >= end for partition, end in ends.items())

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        partition, offset, key, value, headers, appended_ns = row
        return Entry(self._topic.name, partition, offset, key.decode(), value, orjson.loads(headers), appended_ns)

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()
