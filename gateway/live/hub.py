"""All open live streams of one gateway: how many there may be, what they share, and their end."""

import asyncio
import logging
from collections import Counter

from gateway.live.catch_up import CatchUp, impossible
from gateway.live.feed import IsDeleted
from gateway.live.follower import Follower
from gateway.live.marks import Mark
from gateway.live.outbox import Outbox
from gateway.live.reader import Reader
from gateway.live.rest import Rest
from gateway.live.seen import Shown
from gateway.live.stream import Place, Stream, Wanted
from telemetry import metrics
from telemetry.clock import Clock
from telemetry.errors import LogUnavailable, NotReady, RateLimited
from telemetry.ports import Log
from telemetry.settings import Limits

logger = logging.getLogger(__name__)

UNKNOWN_ID = "the id is not one of ours"
FAILED = "the gateway could not go on from the id"
RETRY_AFTER_S = 5.0


class Hub:
    """Opens and closes readers; follows the log only while there is one."""

    def __init__(self, log: Log, clock: Clock, is_deleted: IsDeleted, limits: Limits) -> None:
        self._log = log
        self._clock = clock
        self._is_deleted = is_deleted
        self._limits = limits
        self._follower: Follower | None = None
        self._starting = asyncio.Lock()
        self._rest = Rest()
        self._readers: dict[Reader, str] = {}
        self._by_principal: Counter[str] = Counter()
        self._catching_up: dict[Reader, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def readers(self) -> int:
        """How many there are now."""
        return len(self._readers)

    @property
    def open_readers(self) -> tuple[Reader, ...]:
        """Them."""
        return tuple(self._readers)

    @property
    def is_following(self) -> bool:
        """Whether the log is read."""
        return self._follower is not None

    async def open(self, wanted: Wanted, principal: str, shown: Shown, after: str | None = None) -> Reader:
        """A reader that goes on behind the id `after`, or begins now; to be given to `leave` in the end.

        Raises `NotReady` (too many, or the gateway stops), `RateLimited` (too many of this principal) or
        `LogUnavailable`.
        """
        self._admit(principal)
        try:
            follower = await self._followed()
            reader = await self._begun(follower, wanted, shown, after)
        except BaseException:
            self._left(principal)
            raise
        self._readers[reader] = principal
        if self._closed:
            self.leave(reader)
        elif follower is not self._follower:
            reader.end()  # it failed meanwhile
        return reader

    def leave(self, reader: Reader) -> None:
        """It reads no more; safe to call again, and from a task that is being cancelled."""
        reader.end()
        principal = self._readers.pop(reader, None)
        if principal is None:
            return
        if self._follower is not None:
            self._follower.readers.discard(reader)
        task = self._catching_up.pop(reader, None)
        if task is not None:
            task.cancel()
        self._left(principal)

    async def close(self) -> None:
        """End every stream, and open no more."""
        self._closed = True
        for reader in tuple(self._readers):
            self.leave(reader)
        if self._ending:
            await asyncio.wait(self._ending)

    def _admit(self, principal: str) -> None:
        if self._closed:
            raise _stops()
        if self._by_principal[principal] >= self._limits.live_readers_per_principal_max:
            raise RateLimited(f"{principal} has too many live streams open", retry_after_s=RETRY_AFTER_S)
        if self._by_principal.total() >= self._limits.live_readers_max:
            raise NotReady("too many live streams are open", retry_after_s=RETRY_AFTER_S)
        self._by_principal[principal] += 1
        metrics.live_readers.inc()

    def _left(self, principal: str) -> None:
        """One fewer; after the last one the log is let go."""
        self._by_principal[principal] -= 1
        metrics.live_readers.dec()
        if self._by_principal[principal] <= 0:
            del self._by_principal[principal]
        if not self._by_principal and self._follower is not None:
            follower, self._follower = self._follower, None
            self._keep(asyncio.create_task(follower.close(), name="live-end"))

    def _keep(self, task: asyncio.Task[None]) -> None:
        """Known until it is done."""
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _followed(self) -> Follower:
        async with self._starting:
            if self._follower is None:
                if self._closed:
                    raise _stops()
                wait_s = self._rest.left_s(self._clock.monotonic_s())
                if wait_s:  # also for those who waited here while it failed
                    raise LogUnavailable("the log cannot be followed now; try again", retry_after_s=wait_s)
                follower = Follower(self._log, self._clock, self._is_deleted, self._limits.live_ring_bytes_max)
                try:
                    await follower.start(self._failed)
                except Exception:  # told to who asked; the next ones must not ask a log that fails at once
                    self._rest.begin(self._clock.monotonic_s())
                    raise
                if self._closed:
                    await follower.close()
                    raise _stops()
                self._follower = follower
            return self._follower

    def _failed(self, follower: Follower, error: BaseException | None) -> None:
        """Nobody tells the readers anything more: end them.  They come back with their last ids, and begin it anew."""
        if follower is not self._follower:
            return
        logger.error("live streams end, and go on when their readers come back: following failed", exc_info=error)
        metrics.live_failures.labels("following").inc()
        now_s = self._clock.monotonic_s()
        self._rest.begin(now_s, held_out_s=now_s - follower.began_s)
        self._follower = None
        self._keep(asyncio.create_task(follower.close(), name="live-end"))
        for reader in tuple(self._readers):
            reader.end()

    async def _begun(self, follower: Follower, wanted: Wanted, shown: Shown, after: str | None) -> Reader:
        outbox = Outbox(self._limits.live_queue_bytes_max)
        mark = None if after is None else Mark.parse(after)
        why = UNKNOWN_ID
        if mark is not None:
            why = await impossible(follower, mark, self._limits.live_resume_records_max)
        if mark is None or why:
            reader = Reader(Stream(wanted, follower.place, outbox, shown), self._clock)
            reader.stream.greet(self._clock.now_ns())
            if after is not None:
                reader.stream.reset(why)
            follower.readers.add(reader)
            return reader
        own = Place(dict(mark.batches), dict(mark.anomalies))
        reader = Reader(Stream(wanted, own, outbox, shown), self._clock)
        reader.stream.resume(mark, self._clock.monotonic_s())
        reader.stream.greet(self._clock.now_ns(), mark)
        task = asyncio.create_task(self._catch_up(follower, reader, mark), name="live-catch-up")
        self._catching_up[reader] = task
        self._keep(task)
        return reader

    async def _catch_up(self, follower: Follower, reader: Reader, mark: Mark) -> None:
        catch_up = CatchUp(follower, reader, self._limits.live_resume_records_max)
        try:
            await catch_up.run(mark)
        except LogUnavailable as e:
            logger.warning("a live stream ends: it cannot be caught up: %s", e.message)
        except TimeoutError:
            logger.info("a live stream ends: its reader comes back, and does not read")
        except Exception:  # whatever it is, it would stop this reader at the same record each time it comes back
            logger.exception("a live stream begins anew: catching up failed")
            metrics.live_failures.labels("catching_up").inc()
            if follower is self._follower:
                catch_up.give_up(FAILED)
        finally:
            self._catching_up.pop(reader, None)
            if reader not in follower.readers:
                reader.end()


def _stops() -> NotReady:
    return NotReady("the gateway stops", retry_after_s=RETRY_AFTER_S)
