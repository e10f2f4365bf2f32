"""One device in memory: its records put in order, its operator told of each, and when it wants to be asked."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from consumers.checkpoints import VERSION, State, freeze
from consumers.operator import Arrival, Operator, Operators
from consumers.ordering import Bounds, Ended, Ordering, Step, Turn, Waiting
from consumers.shelf import Kept
from telemetry import metrics
from telemetry.errors import Malformed
from telemetry.ports import BATCHES, Entry
from telemetry.records import BatchHeaders, item_of

logger = logging.getLogger(__name__)
T = TypeVar("T")

ASK_EVERY_NS = 10**9
OVERHEAD_BYTES = 4_096  # of the objects around an operator's own state


@dataclass(frozen=True, slots=True)
class Maker(Generic[T]):
    """What makes devices of one consumer."""

    consumer: str
    operators: Operators[T]
    bounds: Bounds

    def fresh(self, partition: int, name: str) -> "Device[T]":
        """One of which nothing is known."""
        return Device(self, partition, name, self.operators.fresh(name), Ordering(self.bounds))

    def thawed(self, state: State, partition: int) -> "Device[T]":
        """As it was; raises `Malformed` when its operator cannot read its own state."""
        operator = self.operators.thaw(state.device, state.operator)
        order = Ordering(self.bounds, state.order)
        device = Device(self, partition, state.device, operator, order)
        device.skip_below, device.received_ns, device.asked_ns = state.next_offset, state.received_ns, state.asked_ns
        return device


@dataclass(slots=True, eq=False)
class Device(Generic[T]):
    """`skip_below`: records of its partition below that offset were in the state that it came from."""

    maker: Maker[T]
    partition: int
    name: str
    operator: Operator[T]
    order: Ordering
    skip_below: int = 0
    received_ns: int = 0
    asked_ns: int = 0
    is_dirty: bool = False  # changed since it was last kept
    armed_ns: int | None = None  # its one valid place in the partition's list of those to ask
    counted_bytes: int = field(default=0)

    def take(self, headers: BatchHeaders, entry: Entry, at_ns: int) -> list[T]:
        """What follows from this record, at this receive time of its partition."""
        self.is_dirty = True
        self.received_ns = max(self.received_ns, headers.received_ns)
        one = Waiting(
            headers.id.session,
            headers.id.seq,
            entry.offset,
            at_ns,
            headers.received_ns,
            headers.newest_ns,
            headers.said.sent_ns,
            dict(entry.headers),
            entry.value or b"",
        )
        steps = self.order.take(one)
        if steps is None:
            metrics.batches_turned.labels(self.maker.consumer, "duplicate").inc()
            return []
        return self._follow(steps, entry)

    def ask(self, at_ns: int) -> list[T]:
        """What follows from the time alone."""
        self.is_dirty = True
        self.asked_ns = at_ns
        outputs = self._follow(self.order.pass_time(at_ns), None)
        due_ns = self.operator.due_ns
        if due_ns is not None and due_ns <= at_ns:
            outputs += self._tell(lambda operator: operator.pass_time(at_ns))
        return outputs

    def forget_oldest(self) -> list[T] | None:
        """Drop the session that is longest silent and not live; None when there is none."""
        steps = self.order.forget_oldest()
        return None if steps is None else self._follow(steps, None)

    def due_ns(self) -> int | None:
        """When to ask it; at most once a second."""
        dues = [due for due in (self.order.due_ns(), self.operator.due_ns) if due is not None]
        return max(min(dues), self.asked_ns + ASK_EVERY_NS) if dues else None

    def size_bytes(self) -> int:
        """In memory, about."""
        return OVERHEAD_BYTES + self.operator.size_bytes + self.order.waiting_bytes

    def kept(self, next_offset: int) -> Kept:
        """As bytes; `next_offset` is how far its partition is."""
        operator = self.operator.freeze()
        state = State(VERSION, self.name, next_offset, self.received_ns, self.asked_ns, self.order.state, operator)
        return Kept(self.partition, self.name, next_offset, self.received_ns, self.due_ns(), freeze(state))

    def _follow(self, steps: Iterable[Step], entry: Entry | None) -> list[T]:
        """Tell the operator of these; `entry` is the record at hand, which may be decoded already."""
        outputs: list[T] = []
        for step in steps:
            if isinstance(step, Ended):
                outputs += self._end(step.session)
            else:
                own = entry if entry is not None and entry.offset == step.waiting.offset else None
                outputs += self._turn(step, own or self._entry(step.waiting))
        return outputs

    def _turn(self, turn: Turn, entry: Entry) -> Sequence[T]:
        consumer = self.maker.consumer
        try:
            batch, said = item_of(entry).batch, BatchHeaders.of(entry).said
        except Malformed as e:  # the index consumer dead-letters it
            logger.warning("%s: not looked at: %s", consumer, e.message)
            return ()
        metrics.batches_turned.labels(consumer, turn.lane).inc()
        arrival = Arrival(batch, turn.lane, turn.waiting.received_ns, self.partition, turn.waiting.offset, said)
        return self._tell(lambda operator: operator.apply(arrival))

    def _end(self, session: str) -> Sequence[T]:
        return self._tell(lambda operator: operator.end_session(session))

    def _tell(self, do: Callable[[Operator[T]], Sequence[T]]) -> Sequence[T]:
        try:
            return do(self.operator)
        except Exception:
            # A batch that trips an operator must not hold its partition for ever.  Nobody knows in what state it left
            # the operator: it starts afresh, and will do the same when the record is read again.
            logger.exception("%s: the state of %s is lost: starting afresh", self.maker.consumer, self.name)
            metrics.states_lost.labels(self.maker.consumer, "failed").inc()
            self.operator = self.maker.operators.fresh(self.name)
            return ()

    def _entry(self, one: Waiting) -> Entry:
        return Entry(BATCHES.name, self.partition, one.offset, self.name, one.value, one.headers, one.received_ns)
