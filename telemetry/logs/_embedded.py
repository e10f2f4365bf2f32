"""What the two one-partition logs share: a reader over a source, its group, and waiting for news.

A group has one owner at a time, the first to join; the others own nothing and take over, in the order they came,
when it closes.  So no record is given to two members at once, as on a broker.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from telemetry.clock import Clock
from telemetry.errors import LogUnavailable
from telemetry.ports import Entry, Topic

logger = logging.getLogger(__name__)

PARTITION = 0
OWNED = frozenset({PARTITION})
NOTHING: frozenset[int] = frozenset()


class News:
    """Wakes whoever waits for a topic's next record, or for its turn in a group."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiters: dict[asyncio.Future[None], None] = {}  # woken in the order they came, the same in every run

    def tell(self) -> None:
        """Wake all who wait now."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, wait_s: float) -> None:
        """Return at the next `tell`, or after `wait_s`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = asyncio.ensure_future(self._clock.sleep(wait_s))
        self._waiters[waiter] = None
        try:
            await asyncio.wait((waiter, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            del self._waiters[waiter]


class Source(Protocol):
    """What a reader needs of its log."""

    @property
    def clock(self) -> Clock:
        """Measures how long a poll may wait."""
        ...

    def news(self, topic: Topic) -> News:
        """Told after every append to the topic."""
        ...

    def end(self, topic: Topic) -> int:
        """The next offset to be written.  Raises `LogUnavailable` once the log is closed."""
        ...

    async def read(self, topic: Topic, offset: int, *, records_max: int, bytes_max: int) -> list[Entry]:
        """Entries from `offset` on, at least one when there is one; [] when there is none up to the end."""
        ...

    async def begins(self, topic: Topic) -> dict[int, int]:
        """As the port says."""
        ...

    async def committed(self, topic: Topic, group: str) -> dict[int, int]:
        """As the port says."""
        ...

    async def save(self, topic: Topic, group: str, next_offset: int) -> None:
        """Keep a group's offset, durably."""
        ...


class Groups:
    """Who belongs to which group, in the order they joined."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, str], list[object]] = {}

    def join(self, topic: str, group: str, member: object) -> None:
        """Become a member; the owner when there is none."""
        self._members.setdefault((topic, group), []).append(member)

    def owns(self, topic: str, group: str, member: object) -> bool:
        """Whether this member has the partition now."""
        members = self._members.get((topic, group))
        return bool(members) and members is not None and members[0] is member

    def leave(self, topic: str, group: str, member: object) -> None:
        """No longer a member; the next one owns the partition."""
        members = self._members.get((topic, group), [])
        if member in members:
            members.remove(member)
        if not members:
            self._members.pop((topic, group), None)


class EmbeddedReader:
    """`Reader` of one partition; without a group it follows and commits nothing."""

    def __init__(self, source: Source, topic: Topic, groups: Groups, group: str | None, start: int | None) -> None:
        self._source = source
        self._topic = topic
        self._groups = groups
        self._group = group
        self._next = start  # None: the group's committed offset, looked up when first needed
        self._closed = False
        if group is not None:
            groups.join(topic.name, group, self)

    async def poll(self, *, records_max: int, bytes_max: int, wait_s: float) -> list[Entry]:
        """As the port says."""
        clock = self._source.clock
        deadline_s = clock.monotonic_s() + wait_s
        await asyncio.sleep(0)  # a caller that is always behind still lets others run
        while True:
            entries = await self._take(records_max, bytes_max)
            left_s = deadline_s - clock.monotonic_s()
            if entries or left_s <= 0:
                return entries
            await self._source.news(self._topic).wait(left_s)

    async def commit(self, positions: Mapping[int, int]) -> None:
        """As the port says."""
        if self._group is not None and PARTITION in positions and self.assignment():
            await self._source.save(self._topic, self._group, positions[PARTITION])

    async def seek(self, positions: Mapping[int, int]) -> None:
        """As the port says."""
        if PARTITION in positions and self.assignment():
            self._next = positions[PARTITION]

    async def position(self) -> dict[int, int]:
        """As the port says."""
        return {PARTITION: await self._here()} if self.assignment() else {}

    def assignment(self) -> frozenset[int]:
        """The one partition, when it is this member's turn."""
        if self._closed:
            return NOTHING
        if self._group is None or self._groups.owns(self._topic.name, self._group, self):
            return OWNED
        return NOTHING

    async def lag(self) -> int:
        """As the port says; a follower's counts from where it reads."""
        if not self.assignment():
            return 0
        end = self._source.end(self._topic)
        if self._group is None:
            return max(0, end - await self._here())
        begin = (await self._source.begins(self._topic))[PARTITION]
        committed = (await self._source.committed(self._topic, self._group)).get(PARTITION, begin)
        return max(0, end - max(begin, committed))

    def on_revoked(self, callback: Callable[[frozenset[int]], Awaitable[None]]) -> None:
        """Never called: an owner keeps the partition until it closes."""

    async def close(self) -> None:
        """As the port says."""
        self._closed = True
        if self._group is not None:
            self._groups.leave(self._topic.name, self._group, self)
            self._source.news(self._topic).tell()

    async def _take(self, records_max: int, bytes_max: int) -> list[Entry]:
        if self._closed:
            raise LogUnavailable("this reader is closed")
        if not self.assignment():
            self._source.end(self._topic)  # raises when the log is closed
            return []
        offset = await self._here()
        end = self._source.end(self._topic)
        if offset > end:
            logger.warning("%s: offset %d is past the end, %d: reading from the beginning", self._topic, offset, end)
            offset = 0
        if offset == end:
            return []
        entries = await self._source.read(self._topic, offset, records_max=records_max, bytes_max=bytes_max)
        self._next = entries[-1].offset + 1 if entries else end
        return entries

    async def _here(self) -> int:
        if self._next is None:
            assert self._group is not None  # noqa: S101 - a follower has a start
            self._next = (await self._source.committed(self._topic, self._group)).get(PARTITION, 0)
        return self._next
