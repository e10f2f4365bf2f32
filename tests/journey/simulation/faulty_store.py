"""The memory store with a bad day: refuses, loses replies, keeps a part of a write; and crashes of who asked it."""

from collections.abc import Sequence

from telemetry.errors import StoreUnavailable
from telemetry.ports import Item, Session, Written
from telemetry.stores.memory import MemoryStore
from tests.journey.simulation.chance import Chance, Crash

LATENCY_S = 0.2


class FaultyStore(MemoryStore):
    """`Store` in memory."""

    def __init__(self, chance: Chance) -> None:
        super().__init__(retention_days=36_500)
        self._chance = chance

    async def write(self, items: Sequence[Item]) -> list[Written]:
        await self._before("write")
        if self._chance.strikes("store keeps a part", f"{len(items)}"):
            await super().write(items[: self._chance.random.randrange(len(items))])
            raise StoreUnavailable("a part was written")
        written = await super().write(items)
        self._chance.note(f"write {len(items)} {sum(w.stored for w in written)}")
        self._after("write")
        return written

    async def put_sessions(self, sessions: Sequence[Session]) -> None:
        await self._before("sessions")
        if self._chance.strikes("store keeps a part", "sessions"):
            await super().put_sessions(sessions[: self._chance.random.randrange(len(sessions))])
            raise StoreUnavailable("a part was written")
        await super().put_sessions(sessions)
        self._chance.note(f"sessions {[(s.device, s.session, s.next_offset) for s in sessions]}")
        self._after("sessions")

    async def get_sessions(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Session]:
        await self._before("get sessions")
        return await super().get_sessions(keys)

    async def _before(self, what: str) -> None:
        await self._chance.clock.sleep(self._chance.delay_s(LATENCY_S))
        if self._chance.strikes("crash before write", what):
            raise Crash
        if self._chance.strikes("store refuses", what):
            raise StoreUnavailable("refused", retry_after_s=self._chance.random.choice((None, 1.0)))

    def _after(self, what: str) -> None:
        if self._chance.strikes("crash after write", what):
            raise Crash
        if self._chance.strikes("store reply lost", what):
            raise StoreUnavailable("the reply was lost")
