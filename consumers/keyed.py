"""The machinery of stateful consumers: each record finds its device's state, in order and once; states survive.

    process     records -> the device's order -> its operator -> outputs -> the sink
    save        outputs are durable -> states of the devices that changed -> each partition's marker -> (Runner) commit
    adopt       states and markers are read back; reading goes on at the marker, whatever the group committed

What is read again after a crash meets the state of before, skips what is in it already, and makes the same outputs
under the same ids: exactly once in effect.  Nothing here asks a clock, but when to save.
"""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from consumers import checkpoints
from consumers.aside import aside
from consumers.devices import Device, Maker
from consumers.operator import Work
from consumers.ordering import Bounds
from consumers.partition_time import PartitionTime
from consumers.states import States
from telemetry.clock import Clock
from telemetry.errors import Malformed
from telemetry.failpoints import passing
from telemetry.ports import BATCHES, Entry, Log
from telemetry.records import BatchHeaders
from telemetry.settings import Consumers

logger = logging.getLogger(__name__)
T = TypeVar("T")

SLICE = 8  # records between which other tasks of the process get their turn
ASKING_MIN = 1_000  # places in the list of those to ask, before it is looked through
ASK = 64  # devices fetched from the shelf at once
OUTPUTS_MAX = 1_000  # that wait for the sink


class Deletions(Protocol):
    """Which devices are gone: the registry."""

    @property
    def version(self) -> int:
        """Rises with every change."""
        ...

    def is_deleted(self, device: str, received_ns: int) -> bool:
        """Whether a batch received then belongs to a deleted device."""
        ...

    def deleted(self) -> Iterable[str]:
        """The names that were ever deleted."""
        ...


@dataclass(slots=True)
class Partition:
    """How far a partition is: every record below `next_offset` is in its devices."""

    number: int
    next_offset: int = 0
    marked: int = 0  # the marker's offset
    committed: int = 0  # the group's, when we came
    time: PartitionTime = field(default_factory=PartitionTime)
    asking: list[tuple[int, str]] = field(default_factory=list)  # a heap: when to ask whom, of those in memory


class Keyed(Generic[T]):
    """`Stateful` processor of one kind of work."""

    def __init__(
        self,
        log: Log,
        work: Work[T],
        settings: Consumers,
        clock: Clock,
        *,
        deletions: Deletions,
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = work.name
        self._log = log
        self._sink = work.sink
        self._checkpoint_s = settings.checkpoint_s
        self._clock = clock
        self._deletions = deletions
        self._refresh = refresh
        bounds = Bounds(
            waiting_max=settings.hold_batches_max,
            hold_ns=round(settings.hold_s * 1e9),
            sessions_max=settings.device_sessions_max,
        )
        self.states: States[T] = States(
            log,
            Maker(work.name, work.operators, bounds),
            devices_max=settings.states_max,
            bytes_max=settings.states_bytes_max,
            outputs_durable=self._write,
            next_offset=lambda number: p.next_offset if (p := self._partitions.get(number)) else None,
            emit=self._emit,
        )
        self._partitions: dict[int, Partition] = {}
        self._outputs: list[T] = []
        self._swept_version = -1
        self._save_at_s = clock.monotonic_s() + self._checkpoint_s

    # --- what the runner asks of a stateful processor

    async def adopt(self, partitions: frozenset[int]) -> Mapping[int, int]:
        """Read their states back; the offsets to go on from.  Raises `LogUnavailable`."""
        self.release(partitions)
        markers = await checkpoints.load(self._log, self.name, partitions, self.states.shelf)
        committed = await self._log.committed(BATCHES, self.name)
        for number in partitions:
            marker = markers.get(number)
            at, time = (marker.next_offset, marker.time) if marker else (0, PartitionTime())
            self._partitions[number] = Partition(number, at, at, committed.get(number, 0), time)
        self._swept_version = -1
        logger.info("%s: partitions %s are here, %d states", self.name, sorted(partitions), len(self.states.shelf))
        return {number: self._partitions[number].next_offset for number in partitions}

    def release(self, partitions: frozenset[int]) -> None:
        """Forget them: they are somebody else's."""
        for number in partitions:
            self._partitions.pop(number, None)
        self.states.release(partitions)

    async def save(self, partitions: frozenset[int] | None = None) -> None:
        """Make outputs and states durable, then the markers, of these partitions or of all; raises `Retryable`."""
        mine = await self._still_ours(
            [p for p in self._partitions.values() if partitions is None or p.number in partitions]
        )
        await self._write()
        passing(f"{self.name}.after_outputs")
        await self.states.keep(self.states.dirty({p.number for p in mine}))
        passing(f"{self.name}.after_states")
        moved = [(p, p.next_offset) for p in mine if p.marked != p.next_offset]
        records = [checkpoints.marker_record(self.name, p.number, upto, p.time) for p, upto in moved]
        await checkpoints.append(self._log, records)
        passing(f"{self.name}.after_marker")
        for partition, upto in moved:
            partition.marked = upto
        if partitions is None:
            self._save_at_s = self._clock.monotonic_s() + self._checkpoint_s

    async def _still_ours(self, partitions: Sequence[Partition]) -> list[Partition]:
        """Without those that somebody else has gone on with: who hung for so long must not put old states on top."""
        committed = await self._log.committed(BATCHES, self.name)
        ours = [p for p in partitions if committed.get(p.number, 0) <= max(p.marked, p.committed)]
        if lost := {p.number for p in partitions} - {p.number for p in ours}:
            logger.warning("%s: partitions %s have a new owner: their states are not saved here", self.name, lost)
        return ours

    def is_save_due(self) -> bool:
        """Whether it is time to save, and anything has come since."""
        return self.uncommitted() > 0 and self._clock.monotonic_s() >= self._save_at_s

    def committable(self) -> Mapping[int, int]:
        """Up to where a crash loses nothing, by partition."""
        return {number: p.marked for number, p in self._partitions.items() if p.marked}

    def uncommitted(self) -> int:
        """Records that are done and wait only for the next save."""
        return sum(p.next_offset - p.marked for p in self._partitions.values())

    def close(self) -> None:
        """Let go of the local file."""
        self.states.shelf.close()

    async def process(self, entries: Sequence[Entry]) -> None:
        """Take these; what was taken before is skipped.  Raises `Retryable`."""
        await self._refresh()
        await self._sweep()
        for k, entry in enumerate(entries):
            partition = self._partitions.get(entry.partition)
            if partition is not None and entry.offset >= partition.next_offset:
                await self._take(partition, entry)
            if k % SLICE == SLICE - 1:  # one that is skipped waits for nothing
                await asyncio.sleep(0)
        await self._write()
        if self.is_save_due():
            await self.save()

    # --- one record

    async def _take(self, partition: Partition, entry: Entry) -> None:
        """Everything that may fail comes first; what changes the device is one step with the partition's offset."""
        try:
            headers = BatchHeaders.of(entry)
        except Malformed as e:  # the index consumer dead-letters it
            logger.warning("%s: not looked at: %s", self.name, e.message)
            partition.next_offset = entry.offset + 1
            return
        name = headers.id.device
        await self._ask_due(partition, headers, entry.offset)
        if not self._deletions.is_deleted(name, headers.received_ns):
            if self._deletions.is_deleted(name, 0):  # it was, before
                await self._forget_deleted(partition, name)
            device = self.states.fetch(partition.number, name)
            if entry.offset >= device.skip_below:
                at_ns = partition.time.now_ns
                self._emit(await aside(partial(device.take, headers, entry, at_ns)))
                self.states.count(device)
            self._arm(partition, device)
        partition.next_offset = entry.offset + 1
        await self._make_room()

    async def _ask_due(self, partition: Partition, headers: BatchHeaders, offset: int) -> None:
        """Time has come so far: ask who wants to be asked, but not the one who speaks, nor whom it was told already."""
        time = partition.time
        time.advance(headers.received_ns)
        if not time.is_settled:
            return
        later: list[Device[T]] = []
        while partition.asking and partition.asking[0][0] <= time.now_ns:
            due_ns, name = heapq.heappop(partition.asking)
            device = self.states.hot(partition.number, name)
            if device is None or device.armed_ns != due_ns:
                continue
            device.armed_ns = None
            if name == headers.id.device or offset < device.skip_below:
                later.append(device)
            else:
                await self._ask(partition, device)
        for device in later:
            self._arm(partition, device)
        await self._ask_shelved(partition, headers.id.device, offset)

    async def _ask_shelved(self, partition: Partition, speaking: str, offset: int) -> None:
        now_ns = partition.time.now_ns
        shelf = self.states.shelf
        passed_by: set[str] = set()  # evicted again, they would stand in the list again
        while names := [n for n in shelf.due(partition.number, now_ns, ASK + len(passed_by)) if n not in passed_by]:
            for name in names:
                device = self.states.fetch(partition.number, name)
                if name != speaking and offset >= device.skip_below:
                    await self._ask(partition, device)
                else:
                    passed_by.add(name)
                    self._arm(partition, device)
            await self._make_room()
            await asyncio.sleep(0)

    async def _ask(self, partition: Partition, device: Device[T]) -> None:
        """If it still wants to be: its place in the list may be of before its last record."""
        due_ns = device.due_ns()
        if due_ns is not None and due_ns <= partition.time.now_ns:
            at_ns = partition.time.now_ns
            self._emit(await aside(partial(device.ask, at_ns)))
            self.states.count(device)
        self._arm(partition, device)

    def _arm(self, partition: Partition, device: Device[T]) -> None:
        """One place in the list, moved forward only: a later one is found when the earlier has come."""
        due_ns = device.due_ns()
        if due_ns is not None and (device.armed_ns is None or due_ns < device.armed_ns):
            device.armed_ns = due_ns
            heapq.heappush(partition.asking, (due_ns, device.name))
        if len(partition.asking) > ASKING_MIN + 4 * len(self.states):  # places of devices that left the memory
            partition.asking = [
                (d.armed_ns, d.name) for d in self.states if d.partition == partition.number and d.armed_ns is not None
            ]
            heapq.heapify(partition.asking)

    # --- what leaves

    def _emit(self, outputs: Sequence[T]) -> None:
        self._outputs.extend(outputs)

    async def _write(self) -> None:
        """All outputs until now are durable when this returns."""
        while self._outputs:
            piece = self._outputs[:OUTPUTS_MAX]
            await self._sink.write(piece)
            del self._outputs[: len(piece)]

    async def _make_room(self) -> None:
        if len(self._outputs) >= OUTPUTS_MAX:
            await self._write()
        await self.states.make_room()

    # --- deletion

    async def _sweep(self) -> None:
        """No state stays of a device that is deleted."""
        if self._swept_version == self._deletions.version:
            return
        version = self._deletions.version
        for name in self._deletions.deleted():
            for partition in self._partitions.values():
                await self._forget_deleted(partition, name)
        self._swept_version = version

    async def _forget_deleted(self, partition: Partition, name: str) -> None:
        """Whose last record is of before its deletion is gone, also when one of the same name came since."""
        received_ns = self.states.received_ns(partition.number, name)
        if received_ns is not None and self._deletions.is_deleted(name, received_ns):
            await self.states.delete(partition.number, name)
