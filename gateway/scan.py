"""A topic read once from its beginning to where it ends now: dead letters, backup."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

from telemetry.errors import LogUnavailable
from telemetry.ports import Entry, Log, Topic

POLL_RECORDS = 500
POLL_BYTES = 4 * 2**20
STALL_S = 10.0


async def scan(
    log: Log,
    topic: Topic,
    *,
    start: Mapping[int, int] | None = None,
    ends: Mapping[int, int] | None = None,
    stall_s: float = STALL_S,
) -> AsyncGenerator[Entry, None]:
    """Every record up to the end as it is now, in order within a partition; close it (`aclosing`) if not exhausted.

    `start` and `ends` (offsets by partition): only from there, only up to there.

    Raises `LogUnavailable`, also when nothing comes for `stall_s` before the end is reached.
    """
    try:
        async with asyncio.timeout(stall_s):
            ends = await log.ends(topic) if ends is None else ends
            reader = await log.follow(topic, start)
    except TimeoutError as e:
        raise _stalled(topic) from e
    try:
        loop = asyncio.get_running_loop()
        moved_at_s = loop.time()
        while not _reached(await reader.position(), ends):
            entries = await reader.poll(records_max=POLL_RECORDS, bytes_max=POLL_BYTES, wait_s=min(0.5, stall_s))
            for entry in entries:
                if entry.offset < ends.get(entry.partition, 0):
                    yield entry
            if entries:
                moved_at_s = loop.time()
            elif loop.time() - moved_at_s > stall_s:
                raise _stalled(topic)
    finally:
        await reader.close()


def _reached(here: dict[int, int], ends: Mapping[int, int]) -> bool:
    return all(here.get(partition, 0) >= end for partition, end in ends.items())


def _stalled(topic: Topic) -> LogUnavailable:
    return LogUnavailable(f"the log stalled while {topic.name} was read; try again", retry_after_s=1.0)
