"""What was handed over, on disk before it was: the one witness that does not depend on the system it checks.

JSON lines.  A batch's line (device, session, seq, hash, readings) is fsync'd before its first send; how it ended
(acknowledged, set_aside, unsent, dropped) follows when it is known.  Many devices share one fsync.
"""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from telemetry.batch import BatchId
from telemetry.durable import sync_folder
from telemetry.errors import Malformed


class End(StrEnum):
    """How a batch ended, as its sender knows it."""

    ACKNOWLEDGED = "acknowledged"
    SET_ASIDE = "set_aside"  # refused for good, with a reason
    UNSENT = "unsent"  # still at the sender: a spool would hold it
    DROPPED = "dropped"  # by a named policy


@dataclass(frozen=True, slots=True)
class Handed:
    """A batch of the ledger; `end` None: handed over, and the sender died before it knew more."""

    id: BatchId
    content_hash: str
    readings: int
    end: End | None = None
    reason: str = ""


class Ledger:
    """Appends to one file; use as an asynchronous context.  A torn last line of an earlier run is cut off."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._lines: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._broken: OSError | None = None  # for ever: after a failed fsync nobody knows what is on disk

    async def __aenter__(self) -> Self:
        self._fd = await asyncio.to_thread(open_for_append, self._path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._flushing is not None:
                await self._flushing
        finally:
            os.close(self._fd)
        if self._broken is not None and error is None:
            raise self._broken

    async def hand_over(self, id_: BatchId, content_hash: str, readings: int) -> None:
        """Returns when the batch's line is on disk: it may be sent now.  Raises `OSError`."""
        if self._broken is not None:
            raise self._broken
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(durable)
        self._add(id_, {"hash": content_hash, "readings": readings})
        await durable

    def end(self, id_: BatchId, end: End, reason: str = "") -> None:
        """Note how a batch ended; on disk soon, at the latest when the ledger is closed."""
        self._add(id_, {"end": end, "reason": reason} if reason else {"end": end})

    def _add(self, id_: BatchId, what: dict[str, Any]) -> None:
        self._lines.append(orjson.dumps(id_._asdict() | what, option=orjson.OPT_APPEND_NEWLINE))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush(), name="ledger flush")

    async def _flush(self) -> None:
        """Write what has gathered, again and again until nothing has."""
        while self._lines:
            lines, self._lines = self._lines, []
            waiting, self._waiting = self._waiting, []
            try:
                if self._broken is None:
                    await asyncio.to_thread(write_through, self._fd, b"".join(lines))
            except OSError as e:
                self._broken = e
            _settle(waiting, self._broken)
        self._flushing = None


def read(path: Path) -> dict[BatchId, Handed]:
    """The batches of a ledger in the order of their hand-over; a torn last line is not there.

    Raises `Malformed` for any other line that is none, and for an end without a hand-over.
    """
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    handed: dict[BatchId, Handed] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            _take(handed, orjson.loads(line))
        except (ValueError, KeyError, TypeError) as e:
            raise Malformed(f"{path} line {number} is no ledger line: {e!r}") from e
    return handed


def _take(handed: dict[BatchId, Handed], line: dict[str, Any]) -> None:
    id_ = BatchId(line["device"], line["session"], line["seq"])
    if "hash" in line:
        if id_ in handed and handed[id_].end is not End.DROPPED:  # a seq that was not committed is given again
            raise ValueError(f"{id_} was handed over twice")
        handed[id_] = Handed(id_, line["hash"], line["readings"])
    else:
        handed[id_] = replace(handed[id_], end=End(line["end"]), reason=line.get("reason", ""))


def open_for_append(path: Path) -> int:
    """A descriptor of a ledger without a torn last line; makes it.  Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.ftruncate(fd, path.read_bytes().rfind(b"\n") + 1)
    os.fsync(fd)
    sync_folder(path.parent)
    return fd


def write_through(fd: int, data: bytes) -> None:
    """On disk when it returns; raises `OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.fsync(fd)


def _settle(waiting: Iterable[asyncio.Future[None]], error: OSError | None) -> None:
    for future in waiting:
        if future.done():  # its waiter was cancelled
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
