"""The one view of the log that all readers of a gateway share: both topics followed from their ends, and handed on."""

import asyncio
import logging
from collections.abc import Callable

from gateway.live.feed import IsDeleted, offsets, seen_of
from gateway.live.reader import Reader
from gateway.live.ring import Ring
from gateway.live.stream import Place
from telemetry.clock import Clock
from telemetry.errors import LogUnavailable
from telemetry.ports import ANOMALIES, BATCHES, Entry, Log, Topic

logger = logging.getLogger(__name__)

Failed = Callable[["Follower", BaseException | None], None]
LANES = 8
POLL_RECORDS = 100
POLL_BYTES = 4 * 2**20
POLL_WAIT_S = 5.0
RETRY_WAIT_S = 1.0


class Follower:
    """Runs while somebody reads.  Records are handed on without a pause in between, so all see them in one order."""

    def __init__(self, log: Log, clock: Clock, is_deleted: IsDeleted, ring_bytes_max: int) -> None:
        self.log = log
        self.clock = clock
        self.is_deleted = is_deleted
        self._ring_bytes_max = ring_bytes_max
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: Failed | None = None  # told of the first end that nobody asked for
        self.began_s = clock.monotonic_s()
        self.place = Place()
        self.ring = Ring(self.place, ring_bytes_max)
        self.readers: set[Reader] = set()
        self.lanes = asyncio.Semaphore(LANES)  # readers that come back through the log at once, each by its own
        self._moved = asyncio.Event()

    async def start(self, failed: Failed) -> None:
        """Begin at the ends; `failed` is told, with the error, when it cannot go on.  Raises `LogUnavailable`."""
        self.place = Place(await self.log.ends(BATCHES), await self.log.ends(ANOMALIES))
        self.ring = Ring(self.place, self._ring_bytes_max)
        self._tasks = [
            asyncio.create_task(self._follow(BATCHES), name="live-batches"),
            asyncio.create_task(self._follow(ANOMALIES), name="live-anomalies"),
        ]
        self._failed = failed
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def moved(self) -> None:
        """Until it has seen more."""
        await self._moved.wait()

    async def close(self) -> None:
        """Let go of the log."""
        self._failed = None
        for task in self._tasks:
            task.cancel()
        for end in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(end, Exception):
                logger.info("the log was let go with an error: %r", end)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task ends by itself only when something is wrong; also a library may have cancelled it."""
        failed, self._failed = self._failed, None
        if failed is not None:
            failed(self, None if task.cancelled() else task.exception())

    async def _follow(self, topic: Topic) -> None:
        """For ever; a log that is gone for a while is gone on with where it was left."""
        while True:
            try:
                await self._read(topic)
            except LogUnavailable as e:
                logger.warning("live streams wait for the log: %s", e.message)
                await self.clock.sleep(RETRY_WAIT_S)

    async def _read(self, topic: Topic) -> None:
        reader = await self.log.follow(topic, offsets_of(self.place, topic), prompt=True)
        try:
            while True:
                for entry in await reader.poll(records_max=POLL_RECORDS, bytes_max=POLL_BYTES, wait_s=POLL_WAIT_S):
                    self._hand_on(entry)
        finally:
            await reader.close()

    def _hand_on(self, entry: Entry) -> None:
        here = offsets(self.place, entry)
        if entry.offset < here.get(entry.partition, 0):
            return  # the log went back: it was told
        here[entry.partition] = entry.offset + 1
        self.ring.add(entry)
        self._moved.set()
        self._moved = asyncio.Event()
        seen = seen_of(entry, self.is_deleted)
        if seen is None:
            return
        now_s = self.clock.monotonic_s()
        for reader in self.readers:
            reader.take(seen, now_s)


def offsets_of(place: Place, topic: Topic) -> dict[int, int]:
    """A place's offsets in a topic, as they are now."""
    return dict(place.anomalies if topic == ANOMALIES else place.batches)
