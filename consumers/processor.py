"""What the loop of a consumer asks of its work: `Processor`, and `Stateful` where the past matters."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from telemetry.ports import Entry


class Processor(Protocol):
    """What a consumer does with records."""

    @property
    def name(self) -> str:
        """The consumer group."""
        ...

    async def process(self, entries: Sequence[Entry]) -> None:
        """Do the work of these records durably and idempotently, whatever was done before.

        Raises `Retryable` when all of it must be tried again; a record that can never succeed is dead-lettered
        by the processor itself.
        """
        ...


@runtime_checkable
class Stateful(Processor, Protocol):
    """A processor whose work depends on what came before, partition by partition.

    It is given no record of a partition before `adopt` brought its state back, and a record is committed only once
    the state that has it is durable.
    """

    async def adopt(self, partitions: frozenset[int]) -> Mapping[int, int]:
        """These are ours now: load their states; the offsets to read from, whatever the group committed.

        Raises `Retryable`.
        """
        ...

    def release(self, partitions: frozenset[int]) -> None:
        """These are ours no more: forget their states."""
        ...

    async def save(self, partitions: frozenset[int] | None = None) -> None:
        """Make the states of these partitions, or of all, durable.  Raises `Retryable`."""
        ...

    def is_save_due(self) -> bool:
        """Whether there is something to save, and it is time."""
        ...

    def committable(self) -> Mapping[int, int]:
        """The next offset by partition that the durable states cover."""
        ...

    def uncommitted(self) -> int:
        """Records that are done and not yet committable."""
        ...
