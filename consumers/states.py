"""The states of a stateful consumer's devices: the hot ones in memory, all the others on the shelf.

Bounded by count and bytes: who was longest not heard is written to the log, then put on the shelf.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Generic, TypeVar

from consumers import checkpoints
from consumers.aside import aside
from consumers.checkpoints import VALUE_BYTES_MAX
from consumers.devices import Device, Maker
from consumers.shelf import Kept, Shelf
from telemetry import metrics
from telemetry.errors import Malformed
from telemetry.ports import CHECKPOINTS, Log

logger = logging.getLogger(__name__)
T = TypeVar("T")

EVICT = 64  # devices at once, so that one write to the disk serves many
SLICE = 8  # devices frozen at once, in a thread


class States(Generic[T]):
    """`outputs_durable` is awaited before a state is written: what follows from a state must be there before it.

    `next_offset` says how far a partition is, None when it is not ours any more; `emit` takes what a device says when
    it must forget a session.
    """

    def __init__(
        self,
        log: Log,
        maker: Maker[T],
        *,
        devices_max: int,
        bytes_max: int,
        outputs_durable: Callable[[], Awaitable[None]],
        next_offset: Callable[[int], int | None],
        emit: Callable[[Sequence[T]], None],
    ) -> None:
        self.shelf = Shelf()
        self._log = log
        self._maker = maker
        self._devices_max = devices_max
        self._bytes_max = bytes_max
        self._outputs_durable = outputs_durable
        self._next_offset = next_offset
        self._emit = emit
        self._hot: OrderedDict[tuple[int, str], Device[T]] = OrderedDict()
        self._hot_bytes = 0

    def hot(self, partition: int, name: str) -> Device[T] | None:
        """The device, if it is in memory."""
        return self._hot.get((partition, name))

    def fetch(self, partition: int, name: str) -> Device[T]:
        """The device, from memory, from the shelf, or new; it is now the one last used."""
        device = self._hot.get((partition, name))
        if device is not None:
            self._hot.move_to_end((partition, name))
            return device
        device = self._thaw(partition, name) or self._maker.fresh(partition, name)
        self._hot[partition, name] = device
        metrics.states_hot.labels(self._maker.consumer).set(len(self._hot))
        self.count(device)
        return device

    def count(self, device: Device[T]) -> None:
        """Its size has changed."""
        size_bytes = device.size_bytes()
        self._hot_bytes += size_bytes - device.counted_bytes
        device.counted_bytes = size_bytes

    def dirty(self, partitions: Collection[int]) -> list[Device[T]]:
        """Those that changed since they were last kept."""
        return [d for d in self._hot.values() if d.is_dirty and d.partition in partitions]

    async def keep(self, devices: Sequence[Device[T]]) -> None:
        """Write these to the log and to the shelf; raises `Retryable`."""
        pieces: list[Kept] = []
        for begin in range(0, len(devices), SLICE):
            frozen = await aside(partial(self._frozen, devices[begin : begin + SLICE]))
            pieces += [self._fitting(device, kept) for device, kept in frozen]
            if sum(len(kept.value) for kept in pieces) > checkpoints.APPEND_BYTES:
                await self._write(pieces)
                pieces = []
        await self._write(pieces)

    async def make_room(self) -> None:
        """Evict until the bounds hold; raises `Retryable`."""
        while len(self._hot) > self._devices_max or (self._hot_bytes > self._bytes_max and len(self._hot) > 1):
            await self._outputs_durable()
            going = [device for device, _ in zip(self._hot.values(), range(EVICT), strict=False)]
            going = going[: max(1, len(self._hot) - 1)]
            await self.keep([device for device in going if device.is_dirty])
            for device in going:
                self.shelf.set_due(device.partition, device.name, device.due_ns())
                self._drop(device)

    async def delete(self, partition: int, name: str) -> None:
        """The device is gone: no state of it stays; raises `Retryable`."""
        await self._log.append(CHECKPOINTS, [checkpoints.tombstone(self._maker.consumer, partition, name)])
        self.forget(partition, name)

    def forget(self, partition: int, name: str) -> None:
        """Not here any more."""
        self.shelf.remove(partition, name)
        if (device := self._hot.get((partition, name))) is not None:
            self._drop(device)

    def received_ns(self, partition: int, name: str) -> int | None:
        """When a gateway had its last record; None when there is no state of it."""
        if (device := self._hot.get((partition, name))) is not None:
            return device.received_ns
        kept = self.shelf.get(partition, name)
        return None if kept is None else kept.received_ns

    def release(self, partitions: Collection[int]) -> None:
        """Forget whole partitions."""
        for partition in partitions:
            self.shelf.remove(partition)
        for device in [d for d in self._hot.values() if d.partition in partitions]:
            self._drop(device)

    def __iter__(self) -> Iterator[Device[T]]:
        return iter(self._hot.values())

    def __len__(self) -> int:
        return len(self._hot)

    @property
    def size_bytes(self) -> int:
        """Of those in memory, about."""
        return self._hot_bytes

    def _drop(self, device: Device[T]) -> None:
        metrics.states_hot.labels(self._maker.consumer).set(len(self._hot) - 1)
        if self._hot.get((device.partition, device.name)) is device:
            del self._hot[device.partition, device.name]
            self._hot_bytes -= device.counted_bytes

    def _thaw(self, partition: int, name: str) -> Device[T] | None:
        kept = self.shelf.get(partition, name)
        if kept is None:
            return None
        self.shelf.set_due(partition, name, None)
        try:
            return self._maker.thawed(checkpoints.thaw(kept.value), partition)
        except Malformed as e:
            consumer = self._maker.consumer
            logger.warning("%s: the state of %s cannot be read, starting afresh: %s", consumer, name, e.message)
            metrics.states_lost.labels(consumer, "unreadable").inc()
            return None

    def _frozen(self, devices: Sequence[Device[T]]) -> list[tuple[Device[T], Kept]]:
        """With how far their partitions are; without those of a partition that went meanwhile."""
        upto = [(device, self._next_offset(device.partition)) for device in devices]
        return [(device, device.kept(offset)) for device, offset in upto if offset is not None]

    def _fitting(self, device: Device[T], kept: Kept) -> Kept:
        """What a record can hold: else the device's oldest sessions go."""
        while len(kept.value) > VALUE_BYTES_MAX:
            outputs = device.forget_oldest()
            consumer = self._maker.consumer
            if outputs is None:
                size_bytes = len(kept.value)
                logger.error("%s: the state of %s has %d bytes: starting afresh", consumer, device.name, size_bytes)
                metrics.states_lost.labels(consumer, "too_large").inc()
                fresh = self._maker.fresh(device.partition, device.name)
                device.operator, device.order = fresh.operator, fresh.order
            else:
                logger.warning("%s: a session of %s is forgotten: its state is too large", consumer, device.name)
                metrics.states_lost.labels(consumer, "session").inc()
                self._emit(outputs)
            kept = device.kept(kept.next_offset)
        return kept

    async def _write(self, pieces: Sequence[Kept]) -> None:
        await self._outputs_durable()
        await checkpoints.append(self._log, [checkpoints.state_record(self._maker.consumer, kept) for kept in pieces])
        self.shelf.put([replace(kept, due_ns=None) for kept in pieces])
        for kept in pieces:
            if (device := self._hot.get((kept.partition, kept.device))) is not None:
                device.is_dirty = False
