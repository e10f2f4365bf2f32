"""One lane: its oldest batch -> transport -> what the answer asks for.  One batch in flight, order kept.

Waits belong to the lane, not to the batch: when a new session takes over in the middle of an outage, the next batch
goes on where the wait was.  What one lane gets through ends the other's wait for a dead gateway.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from edge import lanes, receipts
from edge.receipts import Receipted
from edge.retry import Action, Free, Hold, RetryIn, SetAside, decide
from edge.settings import LaneSettings
from edge.spooled import Depth, Lane, Spooled
from edge.transports import Answer, Transport
from edge.waiting import until
from telemetry.batch import BatchId
from telemetry.beside import Beside
from telemetry.clock import Clock
from telemetry.failpoints import passing

logger = logging.getLogger(__name__)

POLL_S = 0.5  # of the backlog while live data waits


class Outgoing(Protocol):
    """What is needed of the spool."""

    async def head(self, lane: Lane) -> Spooled | None:
        """See `Spool`."""
        ...

    async def wait(self, lane: Lane) -> None:
        """See `Spool`."""
        ...

    async def free(self, id_: BatchId) -> None:
        """See `Spool`."""
        ...

    async def set_aside(self, id_: BatchId, reason: str) -> None:
        """See `Spool`."""
        ...

    def depth(self) -> Depth:
        """See `Spool`."""
        ...


@dataclass(slots=True)
class News:
    """How a lane fares, for people; batches unless named otherwise."""

    acknowledged: int = 0
    acknowledged_readings: int = 0
    duplicates: int = 0
    set_aside: int = 0
    tries_failed: int = 0
    alarm: str = ""  # why the lane is held
    last_error: str = ""
    last_error_ns: int | None = None
    last_receipt: BatchId | None = None
    last_receipt_ns: int | None = None


@dataclass(slots=True)
class Way:
    """What both lanes share.  `beside` says what travels along; `new_session` is called after an outage."""

    spool: Outgoing
    transport: Transport
    clock: Clock
    random: Random
    settings: LaneSettings
    beside: Callable[[Spooled], Beside]
    on_settings: Callable[[dict[str, Any]], None]
    new_session: Callable[[], Any]
    in_flight: set[BatchId] = field(default_factory=set)
    unheard: set[Lane] = field(default_factory=set)  # lanes that wait because nobody answered
    news: dict[Lane, News] = field(default_factory=lambda: {lane: News() for lane in Lane})
    wake: dict[Lane, asyncio.Event] = field(default_factory=lambda: {lane: asyncio.Event() for lane in Lane})

    def poke(self) -> None:
        """End all waits: something may have changed."""
        for event in self.wake.values():
            event.set()


class Sender:
    """One lane's loop."""

    def __init__(self, lane: Lane, way: Way) -> None:
        self._lane = lane
        self._way = way
        self._news = way.news[lane]
        self._attempt = 0
        self._throttle = lanes.Throttle(way.settings.backlog_bytes_per_s)
        self._outage = lanes.Outage(way.settings.outage_s)

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self.turn()

    async def turn(self) -> None:
        """Send the lane's oldest batch once, when there is one and it may go, and do what the answer asks for."""
        way = self._way
        await way.spool.wait(self._lane)
        if (wait_s := self._pause_s()) > 0:
            await way.clock.sleep(wait_s)
            return
        batch = await way.spool.head(self._lane)
        if batch is None or batch.id in way.in_flight:  # the session changed, and the other lane still has it
            await way.clock.sleep(POLL_S)
            return
        way.wake[self._lane].clear()
        self._outage.sends(batch.id.session, way.clock.monotonic_s())
        answer, receipt = await self._send(batch)
        action = decide(self._attempt, answer, way.random)
        await self._act(batch, action, answer, receipt)

    def _pause_s(self) -> float:
        """How long the backlog has to let live data pass."""
        if self._lane is Lane.LIVE:
            return 0.0
        if lanes.is_backlog_paused(self._way.spool.depth().live_ready):
            return POLL_S
        return self._throttle.wait_s(self._way.clock.monotonic_s())

    async def _send(self, batch: Spooled) -> tuple[Answer, Receipted | None]:
        way = self._way
        way.in_flight.add(batch.id)
        try:
            passing("edge.before_send")
            answer = await way.transport.send(batch.body, way.beside(batch).to_headers())
            passing("edge.after_answer")
        finally:
            way.in_flight.discard(batch.id)
        self._throttle.took(len(batch.body), way.clock.monotonic_s())
        return receipts.believed(answer, batch.id)

    async def _act(self, batch: Spooled, action: Action, answer: Answer, receipt: Receipted | None) -> None:
        way = self._way
        match action:
            case Free():
                await self._free(batch, receipt)
            case SetAside(reason):
                await self._set_aside(batch, reason)
            case Hold(alarm, wait_s):
                self._hold(batch, alarm)
                await self._wait(wait_s)
            case RetryIn(wait_s):
                self._failed(_said(answer))
                self._news.alarm = ""
                if answer.status is None:
                    way.unheard.add(self._lane)
                await self._wait(wait_s)
                way.unheard.discard(self._lane)

    async def _free(self, batch: Spooled, receipt: Receipted | None) -> None:
        way, news = self._way, self._news
        now_ns = way.clock.now_ns()
        await way.spool.free(batch.id)
        if self._attempt:
            logger.info("%s lane: through again after %d tries", self._lane, self._attempt)
        self._attempt, news.alarm = 0, ""
        news.acknowledged += 1
        news.acknowledged_readings += batch.readings
        news.last_receipt, news.last_receipt_ns = batch.id, now_ns
        for lane in way.unheard:
            way.wake[lane].set()
        if receipt is not None:
            news.duplicates += receipt.duplicate
            if receipt.settings is not None:
                way.on_settings(receipt.settings)
        if self._lane is Lane.LIVE:
            await self._perhaps_new_session(age_s=(now_ns - batch.put_ns) / 1e9)

    async def _perhaps_new_session(self, age_s: float) -> None:
        way = self._way
        live_batches = way.spool.depth().live_batches
        if self._outage.got_through(way.clock.monotonic_s(), age_s=age_s, live_batches=live_batches):
            logger.info("after an outage: a new session; %d batches become backlog", live_batches)
            await way.new_session()

    async def _set_aside(self, batch: Spooled, reason: str) -> None:
        logger.error("%s was refused and is set aside: %s", _name(batch.id), reason)
        await self._way.spool.set_aside(batch.id, reason)
        self._news.set_aside += 1
        self._remember(f"set aside: {reason}")
        self._attempt, self._news.alarm = 0, ""

    def _hold(self, batch: Spooled, alarm: str) -> None:
        if alarm != self._news.alarm:
            logger.error("%s lane is held, nothing is lost: %s (%s)", self._lane, alarm, _name(batch.id))
        self._news.alarm = alarm
        self._failed(alarm, is_logged=True)

    def _failed(self, said: str, *, is_logged: bool = False) -> None:
        if self._attempt == 0 and not is_logged:
            logger.warning("%s lane: %s; trying again", self._lane, said)
        self._attempt += 1
        self._news.tries_failed += 1
        self._remember(said)
        self._outage.failed(self._way.clock.monotonic_s())

    def _remember(self, error: str) -> None:
        self._news.last_error, self._news.last_error_ns = error, self._way.clock.now_ns()

    async def _wait(self, wait_s: float) -> None:
        await until(self._way.wake[self._lane], self._way.clock, wait_s)


def _said(answer: Answer) -> str:
    return " ".join(filter(None, (str(answer.status or "no answer:"), answer.code, answer.detail)))


def _name(id_: BatchId) -> str:
    return f"{id_.session}/{id_.seq}"
