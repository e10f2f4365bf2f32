"""The SQLite log's writer: one thread that takes everything queued into one transaction, then tells everybody.

Rules: an append is acknowledged only after COMMIT returned; an error of the disk breaks the writer for ever, for
after a failed fsync nobody knows what is on it, and a retry would succeed without writing anything.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from telemetry.errors import LogFull, LogUnavailable
from telemetry.logs._sqlite_file import Broken, LogFile

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1.0
JOIN_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """`apply` runs inside the transaction; `settle` on the event loop, after COMMIT, and gives the result."""

    apply: Callable[[LogFile], Any]
    settle: Callable[[Any], Any]
    done: asyncio.Future[Any]
    records: int
    size_bytes: int


class Writer:
    """Owns the `LogFile` from `start` to `close`."""

    def __init__(
        self,
        file: LogFile,
        *,
        records_max: int,
        bytes_max: int,
        checkpoint_pages: int,
        on_broken: Callable[[str], None],
    ) -> None:
        self.broken: str | None = None
        self._file = file
        self._records_max, self._bytes_max = records_max, bytes_max
        self._checkpoint_pages = checkpoint_pages
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._turn = threading.Condition()
        self._jobs: list[Job] = []
        self._records = self._bytes = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; an empty queue takes one of any size.  Raises `LogUnavailable`."""
        with self._turn:
            if self.broken is not None:
                raise LogUnavailable(f"the log is broken and takes nothing more: {self.broken}")
            if self._closing:
                raise LogUnavailable("the log is closed")
            over = self._records + job.records > self._records_max or self._bytes + job.size_bytes > self._bytes_max
            if self._jobs and over:
                raise LogUnavailable(
                    f"the log's queue is full ({self._records} records, {self._bytes} bytes)",
                    retry_after_s=RETRY_AFTER_S,
                )
            self._jobs.append(job)
            self._records += job.records
            self._bytes += job.size_bytes
            self._turn.notify()

    def close(self) -> None:
        """Write what is queued and end the thread; blocks, so not for the event loop's thread."""
        with self._turn:
            self._closing = True
            self._turn.notify()
        self._thread.join(JOIN_WAIT_S)
        if self._thread.is_alive():
            logger.error("the log's writer did not end within %s s: the disk hangs", JOIN_WAIT_S)

    def _run(self) -> None:
        while jobs := self._take():
            self._commit(jobs)
            if self._file.wal_pages >= self._checkpoint_pages:
                self._checkpoint(truncate=False)
        self._checkpoint(truncate=True)
        self._file.close()

    def _take(self) -> list[Job]:
        """All that is queued; [] when closing and nothing is left."""
        with self._turn:
            while not self._jobs and not self._closing:
                self._turn.wait()  # no deadline: `close` always wakes it
            jobs, self._jobs = self._jobs, []
            self._records = self._bytes = 0
            return jobs

    def _commit(self, jobs: list[Job]) -> None:
        try:
            if self.broken is not None:
                raise LogUnavailable(f"the log is broken and takes nothing more: {self.broken}")  # noqa: TRY301
            results = self._file.transact([job.apply for job in jobs])
        except (LogFull, LogUnavailable) as e:
            self._tell(_refuse, jobs, e)
        except Exception as e:  # noqa: BLE001 - whatever it is, these jobs are not durable and the file is in doubt
            self._break(e)
            self._tell(_refuse, jobs, LogUnavailable(f"the log broke: {self.broken}"))
        else:
            self._tell(_settle, jobs, results)

    def _checkpoint(self, *, truncate: bool) -> None:
        if self.broken is None:
            try:
                self._file.checkpoint(truncate=truncate)
            except Broken as e:
                self._break(e)

    def _break(self, error: Exception) -> None:
        with self._turn:
            self.broken = str(error) if isinstance(error, Broken) else repr(error)
        logger.critical("the log is broken, nothing more will be acknowledged: %s", self.broken)
        self._tell(self._on_broken, self.broken)

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:  # the loop is gone, and with it everybody who could be told
            logger.warning("the event loop ended before the log did")


def _settle(jobs: list[Job], results: list[Any]) -> None:
    for job, result in zip(jobs, results, strict=True):
        settled = job.settle(result)  # also when nobody waits any more: it is in the log
        if not job.done.done():
            job.done.set_result(settled)


def _refuse(jobs: list[Job], error: LogFull | LogUnavailable) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_exception(type(error)(error.message, retry_after_s=error.retry_after_s))
