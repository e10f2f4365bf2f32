"""A backup's records put into a log that has no batches yet; the consumers store them at the next start."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import zstandard

from sensorline import output
from telemetry import backup
from telemetry.errors import Conflict, Malformed, Misconfigured
from telemetry.logs import open_log
from telemetry.ports import BATCHES, Log, Record, Topic
from telemetry.settings import Settings

LINE_BYTES_MAX = 64 * 2**20  # a record of 8 MiB, every byte escaped
CHUNK_RECORDS = 500
CHUNK_BYTES = 8 * 2**20


def check(file: Path) -> dict[str, int]:
    """Records by topic, once all of the file was read; raises `Malformed` when it is damaged or not whole."""
    counts: Counter[str] = Counter()
    with output.progress("checking the backup", total=file.stat().st_size, size=True) as move:
        for topic, _ in _records(file, move):
            counts[topic.name] += 1
    return dict(counts)


async def restore(file: Path, settings: Settings) -> dict[str, int]:
    """Append everything to the configured log; records by topic.

    The whole file is checked before anything is written.  Raises `Malformed` (damaged), `Conflict` (the log has had
    batches), `Misconfigured` (a station runs on it) or `LogUnavailable`.
    """
    if settings.log == "memory":
        raise Misconfigured("a log in memory ends with its process: choose another with --log")
    counts = check(file)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = open_log(settings.log, settings.adapter(settings.log), settings.data_dir)
    try:
        await log.start()
        if sum((await log.ends(BATCHES)).values()):
            raise Conflict(
                f"the {settings.log} log has had batches: restore into a fresh one, e.g. with another --data-dir"
            )
        await _append(log, file, sum(counts.values()))
    finally:
        await log.close()
    return counts


async def _append(log: Log, file: Path, total: int) -> None:
    done = 0
    with output.progress("restoring", total=total) as move:
        for topic, records in _chunks(_records(file, _unseen)):
            await log.append(topic, records)
            done += len(records)
            move(done)


def _unseen(done: int, total: int | None = None) -> None:
    """No bar: there is one for the records already."""


def _chunks(records: Iterator[tuple[Topic, Record]]) -> Iterator[tuple[Topic, list[Record]]]:
    """Runs of one topic, bounded by records and bytes; in order."""
    held: list[Record] = []
    of: Topic | None = None
    size_bytes = 0
    for topic, record in records:
        if of is not None and (topic is not of or len(held) >= CHUNK_RECORDS or size_bytes >= CHUNK_BYTES):
            yield of, held
            held, size_bytes = [], 0
        of = topic
        held.append(record)
        size_bytes += len(record.value or b"")
    if of is not None:
        yield of, held


def _records(file: Path, move: output.Progress) -> Iterator[tuple[Topic, Record]]:
    with file.open("rb") as packed:
        try:
            yield from backup.read(_lines(packed, move))
        except zstandard.ZstdError as e:
            raise Malformed(f"{file} is damaged, or no backup: {e}") from e


def _lines(packed: io.BufferedReader, move: output.Progress) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor().stream_reader(packed, closefd=False) as inflated:
        reader = io.BufferedReader(inflated, 1 << 20)
        if not reader.peek(1):
            raise Malformed("nothing can be read from the backup: it is damaged, cut off, or none")
        while line := reader.readline(LINE_BYTES_MAX):
            if len(line) == LINE_BYTES_MAX:
                raise Malformed("a line of the backup has no end")
            move(packed.tell())
            yield line
