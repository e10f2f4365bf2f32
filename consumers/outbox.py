"""Alerts on their way: a queue a channel, tried in order, with growing waits, given up by name.

One try at a time in a channel, all channels at once: one that hangs delays the others by one deadline at most, and
then waits by itself.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from consumers.alerting import Alert, Item
from consumers.alerts import Channel
from telemetry import metrics
from telemetry.clock import Clock
from telemetry.errors import Hold, Misconfigured, Permanent, Retryable, SensorlineError
from telemetry.settings import Alerts

logger = logging.getLogger(__name__)

TURN_S = 5.0  # no further try is begun after so long


@dataclass(slots=True)
class Waiting:
    """An alert that a channel has yet to tell."""

    alert: Alert
    since_s: float
    tries: int = 0


@dataclass(slots=True)
class Lane:
    """One channel's queue."""

    name: str
    channel: Channel
    waiting: deque[Waiting] = field(default_factory=deque)
    next_s: float = 0.0
    failures: int = 0  # in a row


@dataclass(frozen=True, slots=True)
class Done:
    """What a channel has told, or given up and why."""

    channel: str
    alert: Alert
    given_up: str = ""


class Outbox:
    """Everything that is to be sent; `wanted(channel, alert)` is what of it is still to be told, or None."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        settings: Alerts,
        clock: Clock,
        wanted: Callable[[str, Alert], Alert | None],
    ) -> None:
        self._lanes = [Lane(name, channel) for name, channel in channels.items()]
        self._settings = settings
        self._clock = clock
        self._wanted = wanted

    @property
    def due_s(self) -> float | None:
        """When a channel is to be tried next."""
        return min((lane.next_s for lane in self._lanes if lane.waiting), default=None)

    def waiting(self) -> Iterator[Item]:
        """Items that some channel has yet to tell."""
        for lane in self._lanes:
            for one in lane.waiting:
                yield from one.alert.items

    def add(self, alert: Alert) -> list[Done]:
        """For every channel that lacks it; those whose queue is full give their oldest up."""
        now_s = self._clock.monotonic_s()
        done = []
        for lane in self._lanes:
            wanted = self._wanted(lane.name, alert)
            if wanted is None:
                continue
            if len(lane.waiting) >= self._settings.waiting_max:
                done.append(self._given_up(lane, lane.waiting.popleft(), "too many alerts wait for this channel"))
            lane.waiting.append(Waiting(wanted, now_s))
        return done

    def drop(self, partitions: Collection[int]) -> None:
        """Another process tells what is of these partitions."""
        for lane in self._lanes:
            kept = [w for w in lane.waiting if not any(item.partition in partitions for item in w.alert.items)]
            lane.waiting = deque(kept)

    async def work(self, done: Callable[[Done], None]) -> None:
        """Try what is due, each channel by itself; `done` hears at once of each that is told or given up."""
        now_s = self._clock.monotonic_s()
        due = [lane for lane in self._lanes if lane.waiting and lane.next_s <= now_s]
        if due:
            async with asyncio.TaskGroup() as group:
                for lane in due:
                    group.create_task(self._turn(lane, now_s + TURN_S, done))

    async def _turn(self, lane: Lane, until_s: float, done: Callable[[Done], None]) -> None:
        while lane.waiting and lane.next_s <= self._clock.monotonic_s() < until_s:
            first = lane.waiting[0]
            wanted = self._wanted(lane.name, first.alert)
            if wanted is not None:
                outcome = await self._try(lane, first, wanted)
                if outcome is None:
                    return
                done(outcome)
            if lane.waiting and lane.waiting[0] is first:  # else its partition went meanwhile
                lane.waiting.popleft()

    async def _try(self, lane: Lane, one: Waiting, alert: Alert) -> Done | None:
        """None: it is tried again later."""
        one.tries += 1
        try:
            await lane.channel.send(alert)
        except (Retryable, Misconfigured, Hold) as e:  # a setting, a secret's file: an operator mends it
            return self._failed(lane, one, e)
        except Permanent as e:
            lane.failures = 0
            return self._given_up(lane, one, e.message)
        except Exception as e:
            # Whatever it is, one channel's fault must not stop the others: it counts as a try that failed.
            logger.exception("alerts: %s failed unforeseen", lane.name)
            return self._failed(lane, one, Retryable(type(e).__name__))
        lane.failures = 0
        metrics.alerts.labels(lane.name, "delivered").inc()
        return Done(lane.name, alert)

    def _failed(self, lane: Lane, one: Waiting, error: SensorlineError) -> Done | None:
        s, now_s = self._settings, self._clock.monotonic_s()
        metrics.alerts.labels(lane.name, "failed").inc()
        lane.failures += 1
        wait_s = min(s.backoff_s * 2 ** min(lane.failures - 1, 30), s.backoff_max_s)
        lane.next_s = now_s + max(error.retry_after_s or 0.0, wait_s)
        logger.warning("alerts: %s (%s), try %d: %s", lane.name, lane.channel.target, one.tries, error.message)
        if one.tries >= s.tries_max or now_s - one.since_s >= s.give_up_s:
            return self._given_up(lane, one, f"{one.tries} tries, the last: {error.message}")
        return None

    def _given_up(self, lane: Lane, one: Waiting, why: str) -> Done:
        metrics.alerts.labels(lane.name, "given_up").inc()
        logger.error("alerts: %s gives up alert %s: %s", lane.name, one.alert.key, why)
        return Done(lane.name, one.alert, why)
