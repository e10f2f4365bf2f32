"""Brings what is gathered into the spool's file: one transaction at a time, when it is due, and again when it failed.

Puts, deletes, cursors and tombstones gather in memory and become one transaction a period (`run`), so that an SD
card sees few writes.  All work on the file is done by one thread; what the event loop knows of the file is here.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar

from edge._spool.keeper import Keeper
from edge._spool.pending import Pending
from edge._spool.transaction import FREES_MAX
from edge.settings import SpoolSettings
from edge.waiting import until
from telemetry.clock import Clock
from telemetry.errors import NotReady

FREES_WAIT_S = 60.0  # deletes alone may wait so long for a put to ride with
RETRY_S = 1.0
RETRY_S_MAX = 30.0
CLOSE_TRIES = 2
P = ParamSpec("P")
T = TypeVar("T")


class Committer:
    """Between what waits in memory and the keeper of the file.

    `state` is the file as it was durable last; `live` the session that is being written; `fault` what the disk said
    when nothing could be committed.
    """

    def __init__(
        self,
        keeper: Keeper,
        pending: Pending,
        settings: SpoolSettings,
        *,
        clock: Clock,
        new_session: Callable[[], str],
        renewed: Callable[[], None],
        inline: bool,
    ) -> None:
        """`renewed` is called when sessions are others than before.  `inline` works in the event loop."""
        self._keeper, self._pending, self._settings, self._clock = keeper, pending, settings, clock
        self._new_session, self._renewed = new_session, renewed
        self.live = new_session()
        self.generation = 0
        self.state = keeper.state
        self.fault, self.is_full = "", False
        self._faults = 0
        self._thread = None if inline else ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._is_let_go = False
        self._working: asyncio.Future[None] | None = None
        self._work, self._urgent, self.news = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def start(self) -> None:
        """Open the file, or leave it to be tried again.  Raises `Misconfigured`."""
        await self.call(self._keeper.start)
        self.generation, self.state = self._keeper.generation, self._keeper.state

    def rotate(self) -> str:
        """A new live session."""
        self.live = self._new_session()
        self._renewed()
        self.tell()
        return self.live

    @property
    def sessions(self) -> tuple[str, ...]:
        """In which something is still to be put, in order; the live one is the last."""
        return tuple(dict.fromkeys([*(u.session for u in self._pending.units if u.session != self.live), self.live]))

    # transactions

    async def run(self) -> None:
        """Commit for ever: a period after the first put, or at once when enough is gathered."""
        while True:
            await self._work.wait()
            if self._pending.is_empty:
                self._work.clear()
                continue
            wait_s = self._due_s() - self._clock.monotonic_s()
            if wait_s > 0:
                self._urgent.clear()
                await until(self._urgent, self._clock, wait_s)
                continue
            await self.commit_some()
            if self.fault or self._pending.units:
                await self.pause()

    async def commit_some(self) -> None:
        """One transaction that begins after this was called; also when the caller is cancelled, it ends."""
        await self.until_idle()
        if self._working is None and not self._pending.is_empty:
            self._working = asyncio.ensure_future(self._commit_once())
        await self.until_idle()

    @property
    def is_idle(self) -> bool:
        """No transaction is on its way."""
        return self._working is None

    async def until_idle(self) -> None:
        """Wait for the transaction that is on its way, if there is one."""
        if self._working is not None:
            await asyncio.shield(self._working)

    def notice(self) -> None:
        """See what the thread did to the file; a new file's sessions are new, too."""
        self.state = self._keeper.state
        if self.generation == self._keeper.generation:
            return
        self.generation = self._keeper.generation
        names = {name: self._new_session() for name in {self.live, *(u.session for u in self._pending.units)}}
        self.live = names[self.live]
        self._pending.change(lambda unit: replace(unit, session=names[unit.session]))
        self._renewed()
        self.tell()

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it in the file's thread.  Raises what it raises, and `NotReady` when the file was let go of."""
        if self._thread is None:
            return work(*args, **kwargs)
        if self._is_let_go:
            raise NotReady("the spool is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    async def close(self) -> None:
        """Commit what is gathered, once more, and let go of the file."""
        for _ in range(CLOSE_TRIES):
            await self.commit_some()
        if self._pending.units:
            self._keeper.report(f"{self._pending.readings} readings could not be kept: {self.fault or 'full'}")
        await self.call(self._keeper.close)
        self._is_let_go = True
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    # waiting

    def wake(self) -> None:
        """There is something to commit."""
        self._work.set()
        self._urgent.set()

    def tell(self) -> None:
        """Something changed: whoever pauses looks again."""
        told, self.news = self.news, asyncio.Event()
        told.set()

    async def pause(self) -> None:
        """Until something changed, or it is time to try again."""
        await until(self.news, self._clock, min(RETRY_S_MAX, RETRY_S * 2.0 ** min(self._faults, 10)))

    # inside

    async def _commit_once(self) -> None:
        try:
            outcome = await self.call(self._keeper.commit, self._pending.group(self.live), self.generation)
            if outcome.generation != self.generation:  # a new file, to which all of it is still to go
                self.notice()
                outcome = await self.call(self._keeper.commit, self._pending.group(self.live), self.generation)
        finally:
            self._working = None
        before = len(self._pending.units), len(self._pending.ended)
        self._pending.done(outcome.taken, outcome.ended, self._clock)
        self.state, self.fault = outcome.state, outcome.fault
        self._faults = self._faults + 1 if self.fault else 0
        self.is_full = outcome.is_full
        self.notice()
        if before != (len(self._pending.units), len(self._pending.ended)):
            self.tell()  # not when nothing moved: two that wait to try again would wake each other for ever

    def _due_s(self) -> float:
        """When the next transaction is, by the monotonic clock."""
        pending = self._pending
        if pending.size_bytes >= self._settings.commit_bytes_max or len(pending.ended) >= FREES_MAX:
            return 0.0
        dues = [pending.first_put_s + self._settings.commit_period_s] if pending.units else []
        return min([*dues, pending.first_end_s + FREES_WAIT_S] if pending.ended else dues, default=0.0)
