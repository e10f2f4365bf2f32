"""Reads a topic from Kafka: as a member of a consumer group, or all partitions without one."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from telemetry.errors import LogUnavailable
from telemetry.logs._kafka_config import Config, ms
from telemetry.logs._kafka_errors import GROUP_MOVED_ON, translated, within
from telemetry.logs._records import entry_bytes
from telemetry.ports import Entry, Topic

logger = logging.getLogger(__name__)

STEP_RECORDS = 8  # taken from the client at once, so that what waits here is at most this many large records
GRACE_S = 0.05  # what a poll that must not wait may still wait, for a rebalance
CLOSE_WAIT_S = 10.0
Callback = Callable[[frozenset[int]], Awaitable[None]]


def consumer(config: Config, group: str | None) -> AIOKafkaConsumer:
    """A client that commits nothing by itself and begins at the beginning."""
    return AIOKafkaConsumer(
        **config.client(),
        group_id=None if group is None else config.topic(group),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=config.fetch_bytes * 4,
        max_partition_fetch_bytes=config.fetch_bytes,  # a larger message still comes, alone
        fetch_max_wait_ms=ms(config.fetch_wait_s),
        session_timeout_ms=ms(config.session_timeout_s),
        heartbeat_interval_ms=ms(config.session_timeout_s / 3),
        rebalance_timeout_ms=ms(config.rebalance_timeout_s),
        max_poll_interval_ms=ms(config.poll_interval_s_max),
    )


class KafkaReader(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """`Reader` of one topic; `partitions` are all it has, which a follower owns at once.

    `asker` has a connection of its own: the broker answers one connection's requests in order, so a question asked
    on the reader's would wait behind its fetch.
    """

    def __init__(
        self, config: Config, asker: AIOKafkaConsumer, topic: Topic, group: str | None, partitions: Iterable[int]
    ) -> None:
        self._config = config
        self._asker = asker
        self._topic = topic
        self._name = config.topic(topic.name)
        self._group = group
        self._consumer = consumer(config, group)
        self._fetched: deque[ConsumerRecord] = deque()
        self._owned = frozenset(partitions if group is None else ())
        self._committed: dict[int, int] = {}
        self._callbacks: list[Callback] = []
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    async def start(self, start: Mapping[int, int] | None = None) -> None:
        """Join the group, or begin to follow at `start`.  Raises `LogUnavailable` or `Misconfigured`."""
        try:
            async with self._deadline(f"reading {self._name}"):
                await self._consumer.start()
                if self._group is not None:
                    self._consumer.subscribe([self._name], listener=self)
                    return
                self._consumer.assign([self._tp(partition) for partition in self._owned])
                await asyncio.sleep(0)  # the client's `stop` fails when a task that `assign` made has not begun
                await self.seek(start or {})
        except BaseException:
            await self.close()
            raise

    async def poll(self, *, records_max: int, bytes_max: int, wait_s: float) -> list[Entry]:
        """As the port says."""
        if self._closed:
            raise LogUnavailable("this reader is closed")
        deadline_s = asyncio.get_running_loop().time() + wait_s
        await asyncio.sleep(0)  # the client does not yield when it has, or may wait for, nothing
        entries: list[Entry] = []
        while len(entries) < records_max:
            if not self._fetched:
                left_s = 0.0 if entries else max(0.0, deadline_s - asyncio.get_running_loop().time())
                await self._fetch(min(STEP_RECORDS, records_max - len(entries)), left_s)
            if not self._fetched:
                break
            entry = self._entry(self._fetched[0])
            bytes_max -= entry_bytes(entry)
            if entries and bytes_max < 0:
                break
            entries.append(entry)
            self._fetched.popleft()
        return entries

    async def commit(self, positions: Mapping[int, int]) -> None:
        """As the port says."""
        mine = {p: offset for p, offset in positions.items() if p in self._owned}
        if self._group is None or not mine:
            return
        async with self._deadline(f"committing {self._name} for {self._group}"):
            try:
                await self._consumer.commit({self._tp(p): offset for p, offset in mine.items()})
            except GROUP_MOVED_ON as e:
                logger.info("commit of %s for %s came too late: %s", self._name, self._group, e)
                return
        self._committed |= mine

    async def seek(self, positions: Mapping[int, int]) -> None:
        """As the port says; a partition that was taken away is left alone."""
        for partition, offset in positions.items():
            try:
                self._consumer.seek(self._tp(partition), offset)
            except IllegalStateError:
                logger.info("%s[%d] is not ours any more: not sought", self._name, partition)
        self._forget(frozenset(positions))

    async def position(self) -> dict[int, int]:
        """As the port says."""
        async with self._deadline(f"the position in {self._name}"):
            here = {p: int(await self._consumer.position(self._tp(p))) for p in self._owned}
        for record in reversed(self._fetched):
            here[record.partition] = record.offset
        return here

    def assignment(self) -> frozenset[int]:
        """As the port says."""
        return self._owned

    async def lag(self) -> int:
        """As the port says; a follower's counts from where it reads."""
        owned = self._owned
        done = await self.position() if self._group is None else await self._done(owned)
        async with self._deadline(f"the end of {self._name}"):
            ends = await self._asker.end_offsets([self._tp(p) for p in owned])
        return sum(max(0, end - done.get(tp.partition, 0)) for tp, end in ends.items())

    def on_revoked(self, callback: Callback) -> None:
        """As the port says."""
        self._callbacks.append(callback)

    async def close(self) -> None:
        """As the port says."""
        if self._closed:
            return
        self._closed = True
        self._owned = frozenset()
        self._fetched.clear()
        try:
            async with asyncio.timeout(CLOSE_WAIT_S):
                await self._consumer.stop()
        except TimeoutError:
            logger.warning("a Kafka consumer of %s did not stop in time; its session will run out", self._name)

    # called by the client, in a task of its own

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """All partitions are about to go: the client rebalances eagerly."""
        partitions = frozenset(tp.partition for tp in revoked)
        if partitions:
            for callback in self._callbacks:
                await callback(partitions)
        self._forget(partitions)
        self._owned -= partitions
        self._committed.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """These are ours until they are revoked."""
        self._owned = frozenset(tp.partition for tp in assigned)

    async def _fetch(self, records_max: int, wait_s: float) -> None:
        """Wait for records, for a rebalance no longer than for them."""
        with translated(f"reading {self._name}"):
            try:
                async with asyncio.timeout(wait_s + GRACE_S):
                    got = await self._consumer.getmany(timeout_ms=round(wait_s * 1000), max_records=records_max)
            except TimeoutError:
                return
        for records in got.values():
            self._fetched.extend(records)

    async def _done(self, owned: frozenset[int]) -> dict[int, int]:
        """The committed offsets, or the beginning where nothing was committed."""
        async with self._deadline(f"the offsets of {self._group}"):
            for partition in owned - self._committed.keys():
                offset = await self._consumer.committed(self._tp(partition))
                if offset is not None:
                    self._committed[partition] = offset
            never = [self._tp(p) for p in owned - self._committed.keys()]
            begins = await self._asker.beginning_offsets(never) if never else {}
        return {tp.partition: offset for tp, offset in begins.items()} | self._committed

    def _deadline(self, doing: str) -> AbstractAsyncContextManager[None]:
        return within(self._config.append_timeout_s, doing)

    def _forget(self, partitions: frozenset[int]) -> None:
        """Drop what was fetched ahead of these."""
        self._fetched = deque(record for record in self._fetched if record.partition not in partitions)

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._name, partition)

    def _entry(self, record: ConsumerRecord) -> Entry:
        headers = {name: text.decode(errors="replace") for name, text in record.headers}
        key = (record.key or b"").decode(errors="replace")  # ours are UTF-8; a stranger's must not stop us
        return Entry(
            self._topic.name, record.partition, record.offset, key, record.value, headers, record.timestamp * 1_000_000
        )
