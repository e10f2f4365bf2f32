"""The way from a sender to the log: a network that loses and repeats, and gateways that die and are replaced."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import orjson

from gateway import receipts
from gateway.intake import Intake
from telemetry import wire
from telemetry.batch import Batch
from telemetry.enrolment import Enrolment
from telemetry.errors import SensorlineError, Unauthorised
from telemetry.ports import BATCHES, Entry, Log, Record, Sender
from telemetry.registry import Holder, Registry
from telemetry.settings import Gateway, Limits
from tests.journey.simulation.chance import Chance
from tests.journey.simulation.loop import DrivenClock

IN_FLIGHT_BYTES_MAX = 2**20
SETTINGS = Gateway(
    append_wait_s=10.0,
    limits=Limits(requests_per_s=5, requests_burst=10, body_bytes_max=2**16, in_flight_bytes_max=IN_FLIGHT_BYTES_MAX),
)
LATENCY_S = 0.1
LATE_S = 20.0  # a repeated request may come this much later
POISON = Record("poison", b"\xff\x00 no batch", {"session": "s", "seq": "0", "readings": "1"})


class NobodyEnrolled:
    """The topic of devices, empty: a native batch asks nothing of it once its token was found good."""

    version = 0

    def get(self, key: str) -> Entry | None:
        return None

    def scan(self, prefix: str = "", *, after: str | None = None) -> Sequence[Entry]:
        return []

    def age_s(self) -> float:
        return 0.0

    async def sync(self, timeout_s: float) -> None:
        return None


MakeIntake = Callable[[Log, DrivenClock], Intake]


def intake(log: Log, clock: DrivenClock) -> Intake:
    """A gateway's intake that has just started: it remembers nothing."""
    registry = Registry(NobodyEnrolled())
    return Intake(SETTINGS, clock, log, registry, Enrolment(log, registry, clock, wait_s=5.0))


class Way:
    """What every sender's bytes go through; `deliver` is a memory transport's function."""

    def __init__(self, log: Log, clock: DrivenClock, chance: Chance, make_intake: MakeIntake = intake) -> None:
        self._log = log
        self._clock = clock
        self._chance = chance
        self._make_intake = make_intake
        self.intake = make_intake(log, clock)
        self._later: set[asyncio.Task[None]] = set()

    async def deliver(self, device: str, body: bytes, latency_s: float = LATENCY_S) -> bytes:
        """One request and its answer."""
        chance = self._chance
        if chance.strikes("sent twice", device):
            self._later_on(device, body)
        await self._clock.sleep(chance.delay_s(latency_s))
        if chance.strikes("request lost", device):
            raise ConnectionResetError("lost on the way")
        if chance.strikes("token refused", device):
            raise Unauthorised("not known here")
        dies = chance.strikes("gateway crash", device)
        if dies:
            self.intake = self._make_intake(self._log, self._clock)
            if chance.random.random() < 0.5:
                raise ConnectionResetError("the gateway died before it looked")
        answer = await self._take(device, body)
        if dies or chance.strikes("reply lost", device):
            raise ConnectionResetError("no answer")
        return answer

    def clone(self, batch: Batch) -> None:
        """Somebody with the same token sends other content under an id that is stored already."""
        if self._chance.strikes("cloned", f"{batch.id}"):
            other = Batch(batch.device, batch.session, batch.seq, batch.series[:-1])
            self._later_on(batch.device, wire.encode(other))

    async def poison(self) -> None:
        """Something that no gateway wrote gets into the log."""
        if self._chance.strikes("poison"):
            with suppress(SensorlineError):
                await self._log.append(BATCHES, [POISON])

    async def quiet(self) -> None:
        """Wait until nothing is on its way any more."""
        while self._later:
            await asyncio.wait(set(self._later))

    async def _take(self, device: str, body: bytes) -> bytes:
        self.intake.buckets.take(device, self._clock.monotonic_s())
        holder = Holder(device, "digest", f"enrolment of {device}", 0, None, None, Sender(device))
        return orjson.dumps(receipts.stored(await self.intake.take(body, None, "native", holder)))

    def _later_on(self, device: str, body: bytes) -> None:
        task = asyncio.create_task(self._once_more(device, body))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _once_more(self, device: str, body: bytes) -> None:
        await self._clock.sleep(self._chance.delay_s(LATE_S))
        with suppress(SensorlineError):  # nobody waits for this answer
            await self._take(device, body)
