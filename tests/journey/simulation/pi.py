"""A Pi: the real agent with its spool on a disk that loses power, its sensors a function of the world.

Only the power is simulated: a cut stops the disk and the network at once, and the next life begins with what was
synced (`tests.faults.powerloss_vfs`).  Its books are kept by a journal, which hears of every batch before it is
committed and of every end.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from edge.agent import Agent, Fittings
from edge.settings import EdgeSettings, parse
from edge.sources import Context, Outlet
from edge.timing.stamping import Stamper
from edge.transports.memory import MemoryTransport
from telemetry import wire
from telemetry.batch import BatchId
from tests.edge.agent_world import sources_of_tests
from tests.faults.powerloss_vfs import Disk, Kept, PowerLossVFS
from tests.journey.simulation.chance import Chance, require
from tests.journey.simulation.loop import DrivenClock
from tests.journey.simulation.senders import CHUNKS, LIMITS, PAUSE_S, chunk
from tests.journey.simulation.way import Way

LOOK_S = 0.5
LIFE_S = 12.0
STEP_S_MAX = 12.0  # an agent that was told to stop ends within 10 s
UNCUT_READINGS_MAX = 2_000  # in memory, not yet handed to the spool

_numbers = itertools.count()


@dataclass
class Books:
    """What the journal heard; ids to hashes."""

    read: int = 0
    handed: dict[BatchId, tuple[str, int]] = field(default_factory=dict)
    ended: dict[BatchId, tuple[str, str]] = field(default_factory=dict)
    lost_in_memory: int = 0  # readings that a power cut took before they were committed
    reached: set[BatchId] = field(default_factory=set)  # sent at least once


class Pi:
    """One device with as many lives as the power gives it."""

    keeps_order = True
    chunks = CHUNKS
    pause_s = PAUSE_S
    spool_bytes_max = 2**20

    def __init__(self, name: str, way: Way, clock: DrivenClock, chance: Chance, folder: Path) -> None:
        self.name = name
        self.books = Books()
        self.cuts = 0
        self._way, self._clock, self._chance, self._folder = way, clock, chance, folder
        self._chunks = iter(range(self.chunks))
        self._is_read = False
        self._is_off = False
        self._sessions = itertools.count()

    async def run(self) -> None:
        """Live until the source is at its end and everything is out; a cancel leaves the rest in the spool."""
        for life in itertools.count():
            if await self._live(life):
                return

    @property
    def acknowledged(self) -> dict[BatchId, str]:
        """Content hashes."""
        return {id_: self.books.handed[id_][0] for id_, (end, _) in self.books.ended.items() if end == "acknowledged"}

    @property
    def unanswered(self) -> dict[BatchId, str]:
        """Content hashes of what may be stored or not."""
        return {id_: hash_ for id_, (hash_, _) in self.books.handed.items() if id_ not in self.books.ended}

    def check(self) -> None:
        """What is read is handed to the spool soon; nothing is handed over that was not read, or twice."""
        books = self.books
        handed = sum(readings for _, readings in books.handed.values())
        uncut = books.read - handed - books.lost_in_memory
        require(0 <= uncut <= UNCUT_READINGS_MAX, f"{self.name}: read {books.read}, handed over {handed}")
        require(books.reached <= books.handed.keys(), f"{self.name}: sent before it was handed over")
        reasons = [reason for end, reason in books.ended.values() if end != "acknowledged"]
        require(all(reasons), f"{self.name}: an end without a reason")

    def check_end(self) -> None:
        """At its end every reading has one: nothing is left in memory, and whatever was sent once was answered."""
        books = self.books
        handed = sum(readings for _, readings in books.handed.values())
        require(
            books.read == handed + books.lost_in_memory,
            f"{self.name}: read {books.read}, handed over {handed}, lost to power cuts {books.lost_in_memory}",
        )
        open_ends = self.unanswered.keys()
        require(not open_ends & books.reached, f"{self.name}: sent, and forgotten: {open_ends & books.reached}")
        require(self.cuts > 0 or not open_ends, f"{self.name}: without a power cut nothing may be lost: {open_ends}")

    # the journal of each life

    def handed_over(self, batches: Sequence[tuple[BatchId, str, int]]) -> None:
        """See `edge.journal`.  A commit that is tried again hands over the same."""
        for id_, hash_, readings in batches:
            known = self.books.handed.setdefault(id_, (hash_, readings))
            require(known == (hash_, readings), f"{id_} was handed over with other content")
            self._chance.note(f"spool {id_} {hash_}")

    def ended(self, id_: BatchId, end: str, reason: str = "") -> None:
        """See `edge.journal`."""
        self.books.ended[id_] = end, reason
        self._chance.note(f"end {id_} {end} {reason}")

    # one life

    async def _live(self, life: int) -> bool:
        """True when all is done; False when the power failed, and another life must go on."""
        disk, vfs = self._disk(life), f"{self.name}-{next(_numbers)}"
        layer = PowerLossVFS(vfs, disk)
        agent, stop = self._agent(life, vfs), asyncio.Event()
        with sources_of_tests():
            running = asyncio.create_task(agent.run(stop))
            try:
                if self._chance.strikes("power cut", self.name):
                    await self._until(agent, running, self._chance.delay_s(LIFE_S))
                    self._cut(disk)
                else:
                    await self._until(agent, running, None)
            finally:
                stop.set()
                await asyncio.wait((running,), timeout=STEP_S_MAX)
                require(running.done(), f"{self.name}: the agent did not end")
                layer.unregister()
        running.result()
        if not self._is_off:
            return True
        disk.restore(self._data(life + 1), self._chance.random)
        handed = sum(readings for _, readings in self.books.handed.values())
        self.books.lost_in_memory = self.books.read - handed
        self._is_off = False
        return False

    def _disk(self, life: int) -> Disk:
        """With what the last life left on it: that is safe."""
        found = self._data(life).iterdir() if self._data(life).is_dir() else ()
        return Disk({str(file): Kept(bytearray(file.read_bytes())) for file in found})

    async def _until(self, agent: Agent, running: asyncio.Task[None], wait_s: float | None) -> None:
        """Until everything is out, or so long."""
        ends_s = None if wait_s is None else self._clock.monotonic_s() + wait_s
        while not running.done() and (ends_s is None or self._clock.monotonic_s() < ends_s):
            await self._clock.sleep(LOOK_S)
            if self._is_read and not agent.spool.depth().batches and self._all_handed():
                return

    def _all_handed(self) -> bool:
        handed = sum(readings for _, readings in self.books.handed.values())
        return self.books.read == handed + self.books.lost_in_memory

    def _cut(self, disk: Disk) -> None:
        self._chance.note(f"the power is gone {self.name}")
        self._is_off = True
        self.cuts += 1
        disk.cut()

    def _agent(self, life: int, vfs: str) -> Agent:
        clock = self._clock
        stamper = Stamper(clock, boot=f"boot-{life}", step_s=0.5, is_synchronised=lambda: None)
        return Agent(
            self._settings(life),
            Fittings(
                clock=clock,
                random=Random(self._chance.random.random()),
                journal=self,
                transport=MemoryTransport(self._deliver),
                stamper=stamper,
                vfs=vfs,
                inline=True,
                new_session=lambda: f"{self.name}-{next(self._sessions)}",
                extras={"world": self._read},
            ),
        )

    def _data(self, life: int) -> Path:
        return self._folder / str(life)

    def _settings(self, life: int) -> EdgeSettings:
        document: dict[str, Any] = {
            "device": self.name,
            "data_dir": str(self._data(life)),
            "batch": {"period_s": 1.0, "size_bytes_max": LIMITS.size_bytes_max, "readings_max": LIMITS.readings_max},
            "spool": {"size_bytes_max": self.spool_bytes_max, "commit_period_s": 0.5, "disk_free_bytes_min": 0},
            "lanes": {"outage_s": 30.0},
            "sources": {"world": {"type": "called"}},
        }
        return parse(document, folder=self._folder)

    async def _read(self, outlet: Outlet, context: Context, _config: Any) -> None:
        """The sensors: they do not know of any spool."""
        for k in self._chunks:
            await self._clock.sleep(self._chance.delay_s(self.pause_s))
            if self._is_off:
                return
            made = chunk(self._chance, context.stamp.now_ns(), k, self.name)
            self.books.read += sum(map(len, made))
            await outlet.put(made)
            await self._way.poison()
        self._is_read = True

    async def _deliver(self, body: bytes, _headers: Mapping[str, str]) -> bytes:
        batch = wire.decode_own(body)
        self._lives()
        self.books.reached.add(batch.id)
        answer = await self._way.deliver(self.name, body)
        self._lives()
        if batch.series:
            self._way.clone(batch)
        return answer

    def _lives(self) -> None:
        if self._is_off:
            raise ConnectionResetError("no power, no network")
