"""Parts with one mistake each, as somebody might make it: a simulation that does not find them proves nothing."""

import asyncio
import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import cast

import orjson

from consumers.processor import Processor
from consumers.runner import Held, Runner
from edge.agent import Agent
from gateway.intake import Intake
from telemetry import wire
from telemetry.clock import Clock
from telemetry.enrolment import Enrolment
from telemetry.errors import LogUnavailable
from telemetry.ports import BATCHES, Item, Log, Reader, Record, Topic, Written
from telemetry.registry import Holder, Registry
from telemetry.settings import Consumers
from tests.faults.powerloss_vfs import Disk
from tests.journey.simulation.consumers import SETTINGS, MakeRunner
from tests.journey.simulation.faulty_store import FaultyStore
from tests.journey.simulation.loop import DrivenClock
from tests.journey.simulation.pi import Pi
from tests.journey.simulation.way import SETTINGS as GATEWAY
from tests.journey.simulation.way import NobodyEnrolled
from tests.journey.simulation.world import Variant

logger = logging.getLogger(__name__)


class CommitsFirst(Runner):
    """Commits before the flush."""

    async def _flush_once(self, reader: Reader) -> None:
        held = self._held
        if held.entries:
            await reader.commit(held.positions())
            await self._processor.process(held.entries)
            self._held = Held()


class NoLock:
    """Lets everybody in."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_error: object) -> None:
        return None


class PollsDuringAFlush(Runner):
    """Takes more in while a rebalance flushes: commits what was not processed, processes out of order."""

    def __init__(self, log: Log, topic: Topic, processor: Processor, settings: Consumers, clock: Clock) -> None:
        super().__init__(log, topic, processor, settings, clock)
        self._holding = cast(asyncio.Lock, NoLock())


class GivesUp(Runner):
    """Lets go of what could not be flushed, as if somebody else would do it."""

    async def _flush_once(self, reader: Reader) -> None:
        try:
            await super()._flush_once(reader)
        except LogUnavailable:
            self._held = Held()


class StoresAgain(FaultyStore):
    """Forgets what it claimed."""

    async def write(self, items: Sequence[Item]) -> list[Written]:
        for item in items:
            self._claims.pop(item.batch.id, None)
        return await super().write(items)


class LastWins(FaultyStore):
    """Other content under the same id replaces what was stored first."""

    async def write(self, items: Sequence[Item]) -> list[Written]:
        for item in items:
            kept = self._claims.get(item.batch.id)
            if kept is not None and kept.content_hash != item.content_hash:
                for rows in self._rows[item.batch.device].values():
                    rows[:] = [r for r in rows if (r.session, r.seq) != (item.batch.session, item.batch.seq)]
                del self._claims[item.batch.id]
        return await super().write(items)


class AcknowledgesEarly(Intake):
    """Says 200 although the log did not answer."""

    async def _append(self, records: Sequence[Record], holder: Holder) -> None:
        try:
            await super()._append(records, holder)
        except LogUnavailable as e:
            logger.warning("%s", e)


class Believes(Pi):
    """Takes any answer for an acknowledgement, as an edge behind a login page would without receipts."""

    async def _deliver(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        try:
            return await super()._deliver(body, headers)
        except OSError:
            id_ = wire.decode_own(body).id
            return orjson.dumps({"status": "stored", "readings": 0, **id_._asdict()})


class Reuses(Pi):
    """Begins every life with the same session."""

    def _agent(self, life: int, vfs: str) -> Agent:
        self._sessions = itertools.count()
        return super()._agent(life, vfs)


class Forgets(Pi):
    """A disk that says it has synced, and has not."""

    def _disk(self, life: int) -> Disk:
        disk = super()._disk(life)
        disk.sync = lambda _name: None  # type: ignore[method-assign]
        return disk


def _running(broken: type[Runner]) -> MakeRunner:
    def make(log: Log, processor: Processor, clock: Clock) -> Runner:
        return broken(log, BATCHES, processor, SETTINGS, clock)

    return make


def _early(log: Log, clock: DrivenClock) -> Intake:
    registry = Registry(NobodyEnrolled())
    return AcknowledgesEarly(GATEWAY, clock, log, registry, Enrolment(log, registry, clock, wait_s=5.0))


BROKEN: dict[str, Variant] = {
    "commits before the flush": Variant(make_runner=_running(CommitsFirst)),
    "polls during a flush": Variant(make_runner=_running(PollsDuringAFlush)),
    "gives up": Variant(make_runner=_running(GivesUp)),
    "stores again": Variant(make_store=StoresAgain),
    "last wins": Variant(make_store=LastWins),
    "acknowledges early": Variant(make_intake=_early),
    "believes any answer": Variant(make_pi=Believes),
    "reuses a session": Variant(make_pi=Reuses),
    "a disk that lies": Variant(make_pi=Forgets),
}
