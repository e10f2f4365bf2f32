"""One simulated device: produces a message a second into a bounded backlog, and sends until it is answered for good."""

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import orjson
from ulid import ULID

from edge.retry import Free, Hold, RetryIn, SetAside, decide
from edge.transports import Answer, Transport
from simulator.ledger import End, Ledger
from simulator.speak import Spoken, native, owntracks, sensor_logger
from simulator.world import World
from telemetry.batch import BatchId
from telemetry.clock import Clock


@dataclass(slots=True)
class Tally:
    """What a fleet did until now; readings unless named otherwise."""

    generated: int = 0
    sent: int = 0  # acknowledged
    batches: int = 0  # acknowledged
    set_aside: int = 0
    unsent: int = 0
    retries: int = 0  # sends that had to be repeated
    duplicates: int = 0  # batches that the gateway said it had already
    rejected: int = 0  # readings that the gateway says it refused
    held: int = 0  # devices whose lane is held now
    alarm: str = ""  # the last reason to hold or set aside


@dataclass(frozen=True, slots=True)
class Pace:
    """When second `k` is over: `begin_s` + (k + 1) / speed; speed 0: at once."""

    begin_s: float
    speed: float

    def due_s(self, k: int) -> float:
        """Monotonic time at which the second's message is complete."""
        return self.begin_s + (k + 1) / self.speed if self.speed else 0.0


@dataclass(slots=True)
class Device:
    """A device with one session (OwnTracks: one a day); `dialect` is "native", "sensor_logger" or "owntracks"."""

    name: str
    dialect: str
    world: World
    pace: Pace
    transport: Transport
    ledger: Ledger
    clock: Clock
    random: Random
    tally: Tally
    backlog: asyncio.Queue[Spoken | None]
    session: str = ""
    pending: dict[BatchId, int] = field(default_factory=dict)  # handed over, not ended: readings

    def __post_init__(self) -> None:
        self.session = self.session or (str(ULID()) if self.dialect == "native" else str(uuid.uuid4()))

    async def run(self, seconds: int | None, is_stopped: Callable[[], bool]) -> None:
        """Produce `seconds` messages (None: until stopped) and send them all.  Cancel it to leave the rest unsent."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._produce(seconds, is_stopped))
            tasks.create_task(self._send())

    def leave(self) -> None:
        """Write down what is still here: it is not lost, it is where a spool would have it."""
        for id_, readings in self.pending.items():
            self.ledger.end(id_, End.UNSENT)
            self.tally.unsent += readings
        self.pending.clear()

    async def _produce(self, seconds: int | None, is_stopped: Callable[[], bool]) -> None:
        for k in itertools.count() if seconds is None else range(seconds):
            await self.clock.sleep(max(0.0, self.pace.due_s(k) - self.clock.monotonic_s()))
            if is_stopped():
                break
            spoken = self._speak(k)
            if spoken is None:
                continue
            id_, readings = spoken.expected.id, spoken.expected.readings
            # before it is on disk: a cancel in between finds it here, and its end is written behind its hand-over
            self.pending[id_] = readings
            self.tally.generated += readings
            await self.ledger.hand_over(id_, spoken.content_hash, readings)
            await self.backlog.put(spoken)
        await self.backlog.put(None)

    def _speak(self, k: int) -> Spoken | None:
        chunk = self.world.chunk(k)
        if self.dialect == "owntracks":
            return owntracks(self.name, chunk)
        if self.dialect == "native":
            return native(self.name, self.session, k, chunk)
        return sensor_logger(self.name, self.session, k, chunk, self.random)

    async def _send(self) -> None:
        while (spoken := await self.backlog.get()) is not None:
            await self._deliver(spoken)

    async def _deliver(self, spoken: Spoken) -> None:
        held = False
        for attempt in itertools.count():
            answer = await self.transport.send(spoken.body)
            action = decide(attempt, answer, self.random)
            self.tally.held += isinstance(action, Hold) - held
            held = isinstance(action, Hold)
            match action:
                case Free():
                    return self._acknowledged(spoken, answer)
                case SetAside(reason):
                    return self._set_aside(spoken, reason)
                case Hold(alarm, wait_s):
                    self.tally.alarm = f"{self.name}: {alarm}"
                    await self.clock.sleep(wait_s)
                case RetryIn(wait_s):
                    self.tally.retries += 1
                    await self.clock.sleep(wait_s)
        return None

    def _acknowledged(self, spoken: Spoken, answer: Answer) -> None:
        readings = self.pending.pop(spoken.expected.id)
        self.ledger.end(spoken.expected.id, End.ACKNOWLEDGED)
        self.tally.sent += readings
        self.tally.batches += 1
        with contextlib.suppress(ValueError, AttributeError):  # a 2xx is a 2xx, whatever it says
            receipt = orjson.loads(answer.body)
            self.tally.duplicates += bool(receipt.get("duplicate"))
            self.tally.rejected += sum(receipt.get("rejected", {}).values())

    def _set_aside(self, spoken: Spoken, reason: str) -> None:
        self.tally.set_aside += self.pending.pop(spoken.expected.id)
        self.ledger.end(spoken.expected.id, End.SET_ASIDE, reason)
        self.tally.alarm = f"{self.name}: {reason}"
