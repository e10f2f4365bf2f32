"""One simulated world from its seed: what runs, when faults end, and what is looked at."""

import asyncio
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

from telemetry.errors import SensorlineError
from telemetry.ports import BATCHES, DEADLETTERS, Entry, Store, Topic
from tests.journey.simulation import consumers, invariants, way
from tests.journey.simulation.chance import Chance, Violation, require
from tests.journey.simulation.faulty_log import FaultyLog
from tests.journey.simulation.faulty_store import FaultyStore
from tests.journey.simulation.loop import DrivenClock, Stuck, run
from tests.journey.simulation.pi import Pi
from tests.journey.simulation.senders import Phone

DEVICES = 5
SHM = Path("/dev/shm")  # the Pis' files need no disk: what a power cut leaves of them is computed
RECORDS_MAX = 2_000
SEND_S_MAX = 50_000.0  # simulated: a held lane asks again every five minutes
DRAIN_S_MAX = 300.0
LOOK_EVERY_S = 0.5
HOUR_NS = 3_600 * 10**9
CLOCK_STEPS_NS = (0, 0, 2 * HOUR_NS, -72 * HOUR_NS)
RECORD_BYTES_MAX = 4_000  # of one batch here, with its headers


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind; `digest` is of its trace."""

    seed: int
    trace: tuple[str, ...]
    digest: str
    batches: int
    duplicates: int
    crashes: int
    power_cuts: int
    simulated_s: float


@dataclass(frozen=True)
class Variant:
    """The parts that a test may replace by broken ones."""

    make_intake: way.MakeIntake = way.intake
    make_runner: consumers.MakeRunner = consumers.runner
    make_store: type[FaultyStore] = FaultyStore
    make_pi: type[Pi] = Pi


REAL = Variant()


def simulate(seed: int, variant: Variant = REAL) -> Outcome:
    """Run one world to its end; raises `Violation` naming the seed and how to run it alone."""
    worlds: list[World] = []

    async def main(clock: DrivenClock) -> Outcome:
        worlds.append(World(seed, clock, variant, folder))
        return await worlds[0].run()

    folder = Path(tempfile.mkdtemp(prefix="world-", dir=SHM if SHM.is_dir() else None))
    try:
        return run(main)
    except (Violation, Stuck, TimeoutError, SensorlineError) as e:
        last = "\n".join(worlds[0].chance.trace[-15:])
        alone = f"SENSORLINE_SEED={seed} .venv/bin/pytest -q tests/journey/test_simulation.py -k one_seed"
        raise Violation(f"seed {seed}: {type(e).__name__}: {e}\nrun it alone: {alone}\nthe trace ends:\n{last}") from e
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, clock: DrivenClock, variant: Variant, folder: Path) -> None:
        self._seed = seed
        self._clock = clock
        self.chance = Chance(Random(seed), clock)
        self._log = FaultyLog(self.chance, RECORDS_MAX)
        self._store = variant.make_store(self.chance)
        self._way = way.Way(self._log, clock, self.chance, variant.make_intake)
        self._consuming = consumers.Consuming(self._log, self._store, self.chance, variant.make_runner)
        self._folder = folder
        self._devices: list[invariants.Device] = []
        self._pis: list[Pi] = []
        for n in range(DEVICES):
            if self.chance.random.random() < 0.5:
                self._pis.append(variant.make_pi(f"d{n}", self._way, clock, self.chance, folder / f"d{n}"))
                self._devices.append(self._pis[-1])
            else:
                self._devices.append(Phone(f"d{n}", self._way, clock, self.chance))

    async def run(self) -> Outcome:
        """Faults, then calm, then the books."""
        await self._log.start()
        await self._store.start()
        running = self._consuming.start()
        looking = asyncio.create_task(self._look())
        await self._send()
        await self._way.quiet()
        self.chance.calm = True
        await self._drain()
        self._consuming.stop()
        async with asyncio.timeout(DRAIN_S_MAX):
            await asyncio.gather(*running)
        looking.cancel()
        await asyncio.wait([looking])
        if not looking.cancelled():
            looking.result()
        return await self._close_the_books()

    async def _send(self) -> None:
        """All senders to their end, or, in one world of four, only for a while: the rest stays in their spools."""
        random = self.chance.random
        wait_s = random.uniform(5, 20) if random.random() < 0.25 else SEND_S_MAX
        sending = [asyncio.create_task(device.run()) for device in self._devices]
        await self._clock.sleep(random.uniform(0, 5))
        self._clock.step_wall(random.choice(CLOCK_STEPS_NS))
        done, late = await asyncio.wait(sending, timeout=wait_s)
        require(not late or wait_s < SEND_S_MAX, "the senders never came to an end")
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        for task in done:
            task.result()
        for device, task in zip(self._devices, sending, strict=True):
            if task in done:
                device.check_end()

    async def _drain(self) -> None:
        """Until both groups have committed everything; nobody may need long for it."""
        async with asyncio.timeout(DRAIN_S_MAX):
            ends = await self._log.ends(BATCHES)
            while any([await self._log.committed(BATCHES, group) != ends for group in self._consuming.runners]):
                await self._clock.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        """What must hold all the time: books, and queues under their limits."""
        while True:
            self._check_limits()
            for device in self._devices:
                device.check()
            await self._clock.sleep(LOOK_EVERY_S)

    def _check_limits(self) -> None:
        for name, runner in self._consuming.runners.items():
            most = consumers.SETTINGS.flush_bytes_max + RECORD_BYTES_MAX
            require(runner._held.size_bytes <= most, f"{name} holds {runner._held.size_bytes} bytes")
        require(self._way.intake.in_flight.left_bytes >= 0, "more bytes in flight than there may be")

    async def _close_the_books(self) -> Outcome:
        entries = await self._all(BATCHES)
        log = invariants.read_log(entries)
        for device in self._devices:
            device.check()
            invariants.check_order(device, log)
            await invariants.check_store(self._store, device, log)
        invariants.check_completeness(await self._store.completeness(), log)
        invariants.check_letters(await self._all(DEADLETTERS), log)
        require(self._way.intake.in_flight.left_bytes == way.IN_FLIGHT_BYTES_MAX, "bytes in flight were not given back")
        await _check_counts(self._store, log)
        trace = tuple(self.chance.trace)
        return Outcome(
            self._seed,
            trace,
            hashlib.blake2b("\n".join(trace).encode()).hexdigest(),
            batches=sum(len(d.acknowledged) for d in self._devices),
            duplicates=sum(seen.duplicates for seen in log.sessions.values()),
            crashes=self._consuming.crashes,
            power_cuts=sum(pi.cuts for pi in self._pis),
            simulated_s=self._clock.monotonic_s(),
        )

    async def _all(self, topic: Topic) -> list[Entry]:
        end = self._log.end(topic)
        return await self._log.read(topic, 0, records_max=RECORDS_MAX, bytes_max=2**30) if end else []


async def _check_counts(store: Store, log: invariants.LogSeen) -> None:
    counts = await store.counts()
    readings = sum(seen.readings for seen in log.sessions.values())
    require(counts.readings == readings, f"the store counts {counts.readings} readings, the log has {readings}")
