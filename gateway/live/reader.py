"""A reader at the hub: its stream, and the waking of whoever sends it."""

import asyncio

from gateway.live.events import beat
from gateway.live.feed import Seen
from gateway.live.seen import SeenAnomaly
from gateway.live.stream import Stream
from telemetry import metrics
from telemetry.clock import Clock

SEND_BYTES = 64 * 2**10  # in one piece


class Reader:
    """One open stream.  `take` is for who follows the log, `next` for who sends."""

    def __init__(self, stream: Stream, clock: Clock) -> None:
        self.stream = stream
        self._clock = clock
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._closed = False
        self._counted = 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is sent."""
        return self._closed

    def take(self, seen: Seen, now_s: float) -> None:
        """The next record; never waits: what is too much gives way."""
        if isinstance(seen, SeenAnomaly):
            self.stream.anomaly(seen)
        else:
            self.stream.batch(seen, now_s)
        self.tell()

    def tell(self) -> None:
        """Wake who sends, if there is something: also a window that opened must be closed in time."""
        if not self.stream.outbox.is_empty or self.stream.closes_at_s is not None:
            self._news.set()

    def end(self) -> None:
        """No more: `next` gives None."""
        self._closed = True
        self._news.set()
        self._room.set()

    async def room(self) -> None:
        """Until half of what may wait has gone out, or the stream has ended."""
        while not (self._closed or self.stream.outbox.has_room):
            self._room.clear()
            await self._room.wait()

    async def next(self, wait_s: float) -> bytes | None:
        """What to send next; b"" when nothing came within `wait_s`; None once it has ended."""
        until_s = self._clock.monotonic_s() + wait_s
        while not self._closed:
            now_s = self._clock.monotonic_s()
            self.stream.turn(now_s)
            self._count()
            frames = self.stream.outbox.take(SEND_BYTES)
            if self.stream.outbox.has_room:
                self._room.set()
            if frames or now_s >= until_s:
                return frames
            closes_at_s = self.stream.closes_at_s
            self._news.clear()
            await self._wait(min(until_s, until_s if closes_at_s is None else closes_at_s) - now_s)
        return None

    def _count(self) -> None:
        lost = self.stream.outbox.lost_in_all
        metrics.live_events_lost.inc(lost - self._counted)
        self._counted = lost

    def beat(self) -> bytes:
        """A sign of life, with the id to go on from where nothing waits."""
        return beat(str(self.stream.mark()) if self.stream.is_settled else None)

    async def _wait(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, wait_s)):
                await self._news.wait()
        except TimeoutError:
            return
