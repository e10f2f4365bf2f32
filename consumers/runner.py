"""The loop every consumer runs: poll -> process -> commit, in that order and never another.

A record is committed only after `Processor.process` returned for it, so a crash anywhere means that it is read
again; processors are idempotent.  What is held is bounded by records, readings' bytes and time.  A retryable
failure holds the partition: nothing more is polled, the same records are tried again after a growing wait.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.processor import Processor, Stateful
from telemetry import metrics
from telemetry.clock import Clock
from telemetry.errors import LogUnavailable, Retryable
from telemetry.failpoints import passing
from telemetry.ports import Entry, Log, Reader, Topic
from telemetry.settings import Consumers

logger = logging.getLogger(__name__)

POLL_RECORDS_MAX = 500
POLL_WAIT_S_MAX = 0.25
LAG_EVERY_S = 1.0
REVOKE_WAIT_S = 10.0


@dataclass
class Held:
    """Records that were polled and not yet committed."""

    entries: list[Entry] = field(default_factory=list)
    size_bytes: int = 0
    readings: int = 0
    since_s: float = 0.0

    def add(self, entries: Sequence[Entry], now_s: float) -> None:
        """Take these behind those that are here."""
        if not self.entries:
            self.since_s = now_s
        self.entries.extend(entries)
        self.size_bytes += sum(len(e.value or b"") for e in entries)
        self.readings += sum(int(e.headers.get("readings", "1")) for e in entries)

    def positions(self) -> dict[int, int]:
        """The next offset by partition once all of these are done."""
        return {e.partition: e.offset + 1 for e in self.entries}

    def without(self, partitions: frozenset[int]) -> "Held":
        """What is left when these partitions are gone."""
        left = Held()
        left.add([e for e in self.entries if e.partition not in partitions], self.since_s)
        return left


class Runner:
    """One consumer: `run` until `stop`; `ready` once it has joined."""

    def __init__(self, log: Log, topic: Topic, processor: Processor, settings: Consumers, clock: Clock) -> None:
        self._log = log
        self._topic = topic
        self._processor = processor
        self._stateful = processor if isinstance(processor, Stateful) else None
        self._adopted: frozenset[int] = frozenset()  # partitions whose states are here
        self._revocations = 0
        self._settings = settings
        self._clock = clock
        self._held = Held()
        self._committed: dict[int, int] = {}
        # Held for a poll and for a flush: a rebalance flushes in a task of its own, and records that a poll brought
        # meanwhile would be committed unprocessed, or kept and processed before others that must be read again.
        self._holding = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._reader: Reader | None = None
        self._next_lag_s = 0.0
        self.lag = 0
        self.behind_s = 0.0
        self.failing = ""  # why the last flush failed, "" when it did not

    @property
    def name(self) -> str:
        """The consumer group."""
        return self._processor.name

    @property
    def ready(self) -> bool:
        """True when this member has joined and its last flush went well."""
        return self._reader is not None and not self.failing

    def stop(self) -> None:
        """Ask `run` to flush, commit and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Poll, process, commit, until `stop`."""
        self._reader = await self._join()
        if self._reader is None:
            return
        try:
            while not self._stopping.is_set():
                await self._turn(self._reader)
            if not self.failing:
                await self._flush(self._reader)
            if not self.failing:
                await self._save(self._reader)
        finally:
            await self._reader.close()
            self._reader = None

    async def _join(self) -> Reader | None:
        wait_s = self._settings.backoff_s
        while not self._stopping.is_set():
            try:
                reader = await self._log.reader(self._topic, self.name)
            except LogUnavailable as e:
                logger.warning("%s: cannot join yet: %s", self.name, e.message)
                await self._pause(wait_s)
                wait_s = min(wait_s * 2, self._settings.backoff_max_s)
            else:
                reader.on_revoked(self._revoked)
                return reader
        return None

    async def _turn(self, reader: Reader) -> None:
        try:
            async with self._holding:
                await self._adopt(reader)
                entries = await reader.poll(
                    records_max=POLL_RECORDS_MAX, bytes_max=self._room_bytes(), wait_s=self._poll_wait_s()
                )
                if self._stateful is not None:  # others came while their partition did; they will be read again
                    entries = [e for e in entries if e.partition in self._adopted]
                if entries:
                    self._held.add(entries, self._clock.monotonic_s())
                    self.behind_s = max(0.0, (self._clock.now_ns() - entries[0].appended_ns) / 1e9)
        except LogUnavailable as e:
            logger.warning("%s: cannot poll: %s", self.name, e.message)
            await self._pause(self._settings.backoff_s)
            return
        if self._is_due():
            await self._flush(reader)
        elif self._stateful is not None and not self._held.entries and self._stateful.is_save_due():
            await self._save(reader)
        await self._measure(reader)

    async def _adopt(self, reader: Reader) -> None:
        """Load the states of partitions that came, forget those of partitions that went; reads on from the states."""
        if self._stateful is None or self._adopted == reader.assignment():
            return
        owned, revocations = reader.assignment(), self._revocations
        if gone := self._adopted - owned:
            self._forget(gone)
        if new := owned - self._adopted:
            positions = await self._stateful.adopt(new)
            if revocations != self._revocations:  # it took so long that the group moved on
                self._stateful.release(new)
                return
            await reader.seek(positions)
            self._adopted |= new
            await self._commit(reader)  # who saved may have died before he could; nothing else may ever come

    async def _save(self, reader: Reader) -> None:
        """Make states durable and commit up to there; a retryable failure is tried again at a later turn."""
        if self._stateful is None:
            return
        try:
            async with self._holding:
                await self._stateful.save()
                await self._commit(reader)
        except Retryable as e:
            self.failing = e.message
            logger.warning("%s: states are not saved yet: %s", self.name, e.message)
            await self._pause(e.retry_after_s or self._settings.backoff_s)
        else:
            self.failing = ""

    async def _commit(self, reader: Reader) -> None:
        """What is done for good: of a stateful processor no more than its durable states have."""
        positions = self._held.positions() if self._stateful is None else self._stateful.committable()
        if positions := {p: upto for p, upto in positions.items() if self._committed.get(p) != upto}:
            await reader.commit(positions)
            self._committed |= positions

    def _forget(self, partitions: frozenset[int]) -> None:
        """These partitions are no longer ours."""
        self._held = self._held.without(partitions)
        self._adopted -= partitions
        self._committed = {p: upto for p, upto in self._committed.items() if p not in partitions}
        if self._stateful is not None:
            self._stateful.release(partitions)

    def _room_bytes(self) -> int:
        return max(1, self._settings.flush_bytes_max - self._held.size_bytes)

    def _poll_wait_s(self) -> float:
        """Until the flush is due, but never so long that `stop` has to wait."""
        if not self._held.entries:
            return POLL_WAIT_S_MAX
        return min(max(0.0, self._left_s()), POLL_WAIT_S_MAX)

    def _left_s(self) -> float:
        """Until what is held must be flushed."""
        return self._held.since_s + self._settings.flush_wait_s - self._clock.monotonic_s()

    def _is_due(self) -> bool:
        held = self._held
        return bool(held.entries) and (
            held.readings >= self._settings.flush_readings_max
            or held.size_bytes >= self._settings.flush_bytes_max
            or self._left_s() <= 0
        )

    async def _flush(self, reader: Reader) -> None:
        """Process and commit what is held; on a retryable failure wait and try again until `stop`."""
        wait_s = self._settings.backoff_s
        while self._held.entries:
            try:
                async with self._holding:
                    await self._flush_once(reader)
            except Retryable as e:
                self.failing = e.message
                metrics.flush_failures.labels(self.name).inc()
                logger.warning("%s: holding %d records: %s", self.name, len(self._held.entries), e.message)
                await self._measure(reader)
                await self._pause(e.retry_after_s or wait_s)
                wait_s = min(wait_s * 2, self._settings.backoff_max_s)
                if self._stopping.is_set():
                    return
        self.failing = ""

    async def _flush_once(self, reader: Reader) -> None:
        held = self._held
        if not held.entries:
            return
        passing(f"{self.name}.before_flush")
        with metrics.flush_seconds.labels(self.name).time():
            await self._processor.process(held.entries)
        passing(f"{self.name}.after_flush")
        await self._commit(reader)
        passing(f"{self.name}.after_commit")
        self._held = Held()
        self.failing = ""

    async def _revoked(self, partitions: frozenset[int]) -> None:
        """Partitions are about to go: finish their records if that is quick, else let the next owner do it."""
        try:
            async with asyncio.timeout(REVOKE_WAIT_S), self._holding:
                if self._reader is not None and self._held.without(partitions).entries != self._held.entries:
                    await self._flush_once(self._reader)
                if self._reader is not None and self._stateful is not None:
                    await self._stateful.save(partitions)
                    await self._commit(self._reader)
        except (Retryable, TimeoutError) as e:
            logger.warning("%s: leaving %s to their next owner: %s", self.name, sorted(partitions), e)
        finally:
            self._revocations += 1
            self._forget(partitions)

    async def _measure(self, reader: Reader) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._next_lag_s:
            return
        self._next_lag_s = now_s + LAG_EVERY_S
        try:
            self.lag = await reader.lag()
            if self._stateful is not None:  # what waits for a checkpoint is no lag
                self.lag = max(0, self.lag - self._stateful.uncommitted())
        except LogUnavailable as e:
            logger.warning("%s: lag is not known: %s", self.name, e.message)
            return
        if self.lag == 0:
            self.behind_s = 0.0
        metrics.lag_records.labels(self.name).set(self.lag)
        over = self.lag > self._settings.lag_alarm_records
        metrics.lag_alarm.labels(self.name).set(over)
        if over:
            logger.error("%s: ALARM lag of %d records, %.0f s behind", self.name, self.lag, self.behind_s)

    async def _pause(self, wait_s: float) -> None:
        """Wait, or less when `stop` is called."""
        pause = asyncio.ensure_future(self._clock.sleep(wait_s))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((pause, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            stop.cancel()
