"""The agent: opens everything of an edge, keeps it going, applies new settings, and stops within 10 s.

    sources -> pump -> spool -> two lanes -> transport        each source under a keeper of its own
                                   |
                          remote settings, clock watch, status socket

A source may fail as it likes.  What fails here beyond a source (the disk, a bug of ours) ends the agent: whoever
started it starts it again, and the spool has everything that was committed.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from ulid import ULID

from edge import opening, status, status_socket
from edge.bad_rows import BadRows
from edge.batcher import CutLimits
from edge.credentials import TokenFile
from edge.crew import Crew, Equipment
from edge.folder_lock import FolderLock
from edge.gauge import Gauge
from edge.journal import Journal, NoJournal
from edge.pump import Pump, Stamping
from edge.remote import Remote, overlay
from edge.sender import Sender, Way
from edge.settings import EdgeSettings
from edge.spool import Spool
from edge.spooled import Lane, Spooled
from edge.timing import epochs
from edge.timing.holding import Holding, Rotate, Settle
from edge.timing.stamping import Stamper
from edge.transports import Transport
from telemetry.beside import Beside
from telemetry.clock import Clock, SystemClock
from telemetry.remote_settings import Changes

logger = logging.getLogger(__name__)

TICK_S = 1.0
ASIDE_LISTED_MAX = 200
STOP_WAIT_S = 9.0  # all of it
LAST_TRY_S = 2.0
CLOSE_WAIT_S = 1.5  # kept for the spool's end


@dataclass(frozen=True, slots=True)
class Fittings:
    """What a simulation or a test puts in place of the machine's own."""

    clock: Clock | None = None
    random: Random | None = None
    journal: Journal | None = None
    transport: Transport | None = None
    stamper: Stamper | None = None
    vfs: str | None = None
    inline: bool = False  # the spool's SQLite in the event loop
    new_session: Callable[[], str] = lambda: str(ULID())
    extras: Mapping[str, Any] | None = None  # for the sources' `Context`
    on_locked: Callable[[], None] = lambda: None  # the data folder is this agent's; the spool is not open yet
    on_closed: Callable[[], None] = lambda: None  # the spool is closed; the data folder is still this agent's


class Agent:
    """One edge.  `run` is its whole life; `apply` and `status` are for while it runs."""

    def __init__(self, settings: EdgeSettings, fittings: Fittings | None = None) -> None:
        self._file = settings
        self._settings = settings
        self._fittings = fittings or Fittings()
        self._clock: Clock = self._fittings.clock or SystemClock()
        self._random = self._fittings.random or Random()
        self._gauge = Gauge()
        self._started_ns = self._clock.now_ns()
        self._applying = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.last_status: dict[str, Any] = {}  # once it has ended

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._file.path(self._file.data_dir)

    async def run(self, stop: asyncio.Event, *, on_ready: Callable[[], None] | None = None) -> None:
        """Until `stop` is set.  Raises `Misconfigured` at the start, and what breaks the spool at any time."""
        async with AsyncExitStack() as stack:
            stack.enter_context(FolderLock(self.folder))
            self._fittings.on_locked()
            stack.callback(self._fittings.on_closed)
            await self._open(stack)
            asks = {"status": self._asked_status, "aside": self._asked_aside, "retry_aside": self._asked_retry}
            await stack.enter_async_context(status_socket.serving(self.folder, asks))
            if on_ready is not None:
                on_ready()
            await self._until_stopped(stop)

    async def apply(self, changes: Changes) -> None:
        """Run with these changes over the file from now on; see `edge.remote.Applies`."""
        async with self._applying:
            wanted = overlay(self._file, changes)
            await self._crew.change(wanted.sources)
            self._pump.set_period(wanted.batch.period_s)
            self._settings = wanted

    def status(self) -> dict[str, Any]:
        """How everything is; see `edge.status`."""
        now_s, now_ns, depth = self._clock.monotonic_s(), self._clock.now_ns(), self.spool.depth()
        rates = self._gauge.rates(now_s, depth.size_bytes, depth.commits)
        return {
            "running": True,
            "pid": os.getpid(),
            "device": self._file.device,
            "session": self.spool.session,
            "transport": self._file.transport,
            "started_ns": self._started_ns,
            "now_ns": now_ns,
            "spool": status.spool(depth, self._file.spool, self.folder, now_ns, rates),
            **status.lanes(self._way.news),
            "sources": self._crew.report(),
            "clock": {
                "synchronised": self._stamper.epoch.synchronised,
                "offset_s": round((self._stamper.now_ns() - now_ns) / 1e9, 6),
                "holding": self._holding.is_holding,
            },
            "settings": self._remote.report,
            "batch_period_s": self._settings.batch.period_s,
        }

    async def _open(self, stack: AsyncExitStack) -> None:
        file, clock, fit = self._file, self._clock, self._fittings
        self._token = None if fit.transport else TokenFile(file.path(file.token_file))
        self._transport = fit.transport or opening.transport(file, self._token or str, clock)
        self._remote = Remote(self.folder, file, clock)
        self._settings = overlay(file, self._remote.changes)
        self._stamper = fit.stamper or Stamper.of_machine(clock, step_s=file.clock.step_s)
        is_set, up_s = self._stamper.epoch.synchronised, clock.monotonic_s()  # since the machine's start
        wait_s = max(
            0.0, file.clock.unsynchronised_wait_s - up_s
        )  # a machine that is up for long is set by nobody soon
        self._holding = Holding(is_set=is_set, wait_s=wait_s, now_s=up_s)
        batch = self._settings.batch
        limits = CutLimits(batch.size_bytes_max, batch.readings_max, batch.period_s)
        self.spool = await Spool.open(
            self.folder,
            file.spool,
            device=file.device,
            clock=clock,
            limits=limits,
            epoch=self._stamper.epoch,
            vfs=fit.vfs,
            journal=fit.journal or NoJournal(),
            inline=fit.inline,
            new_session=fit.new_session,
        )
        stack.push_async_callback(self.spool.close)  # also when the rest cannot be opened
        self._pump = Pump(self.spool, clock, limits, self._stamping)
        self._bad_rows = BadRows(self.folder, clock)
        stack.callback(self._bad_rows.close)
        self._way = Way(
            self.spool,
            self._transport,
            clock,
            self._random,
            file.lanes,
            beside=self._beside,
            on_settings=self._remote.offer,
            new_session=lambda: self.spool.rotate(self._stamper.epoch),
        )
        self._crew = Crew(
            Equipment(
                clock,
                self._random,
                file.folder,
                self._pump,
                self._stamper,
                self._bad_rows,
                cursor=self.spool.cursor,
                on_failed=self._remote.source_failed,
                extras=fit.extras or {},
            )
        )

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        self._senders = [self._task(Sender(lane, self._way).run(), f"{lane} lane") for lane in Lane]
        self._remote_task = self._task(self._remote.run(self), "remote settings")
        self._writers = [self._task(self._pump.run(), "pump"), self._task(self.spool.run(), "spool")]
        self._task(self._watch(), "watch")
        self._crew.start(self._settings.sources)
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait((stopped, *self._tasks), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            ended = [task for task in self._tasks if task.done() and not task.cancelled()]
            broken = next((error for task in ended if (error := task.exception()) is not None), None)
            await self._stop(is_broken=broken is not None)
        if broken is not None:
            raise broken

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        return task

    async def _stop(self, *, is_broken: bool) -> None:
        """In the order of the journey; each step has a deadline, and none stops the next."""
        ends_s = asyncio.get_running_loop().time() + STOP_WAIT_S
        await _within("sources", ends_s - CLOSE_WAIT_S, self._crew.stop())
        if not is_broken:
            await _within("the last readings", ends_s - 2 * CLOSE_WAIT_S, self._keep_all())
            await _within("the last try", ends_s - CLOSE_WAIT_S, self._last_try())
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=max(0.1, min(1.0, ends_s - asyncio.get_running_loop().time())))
        self.last_status = self.status() | {"running": False}
        await _within("the transport", ends_s - CLOSE_WAIT_S / 2, self._transport.close())
        await _within("the spool", ends_s, self.spool.close())

    async def _keep_all(self) -> None:
        await self._pump.flush()
        await self.spool.commit()

    async def _last_try(self) -> None:
        """Until live data is out, a lane fails, or the time is over."""
        failed = {lane: news.tries_failed for lane, news in self._way.news.items()}
        self._way.poke()
        ends_s = asyncio.get_running_loop().time() + LAST_TRY_S
        while asyncio.get_running_loop().time() < ends_s:
            depth, live = self.spool.depth(), self._way.news[Lane.LIVE]
            if not depth.live_batches or live.alarm or live.tries_failed > failed[Lane.LIVE]:
                return
            await asyncio.sleep(0.02)

    async def _watch(self) -> None:
        """Once a second: the clock, the token's file, how full the spool is."""
        while True:
            self._watch_clock()
            if self._token is not None and self._token.refresh():
                self._way.poke()
            depth = self.spool.depth()
            self._gauge.look(self._clock.monotonic_s(), depth.size_bytes, depth.commits)
            await self._clock.sleep(TICK_S)

    def _watch_clock(self) -> None:
        """What was read before a change and is not cut yet still belongs to the epoch before: no wait in here."""
        before = self._stamper.epoch
        change = self._stamper.poll()
        now = self._stamper.epoch
        match self._holding.next(change, self._clock.monotonic_s()):
            case Settle(shift_ns):
                logger.info("the clock is %s; drafts become batches, %+.3f s", _word(now.synchronised), shift_ns / 1e9)
                self._pump.then(partial(self.spool.settle, shift_ns, now), before)
            case Rotate():
                logger.warning("the clock was set: %s; a new session", change)
                self._pump.then(partial(_do, self.spool.rotate, now), before)

    def _stamping(self) -> Stamping:
        return Stamping(self._stamper.epoch, self._holding.is_holding)

    def _beside(self, batch: Spooled) -> Beside:
        return epochs.beside(batch.epoch, self._stamper.epoch, self._stamper.now_ns(), settings=self._remote.report)

    async def _asked_status(self) -> dict[str, Any]:
        return self.status()

    async def _asked_aside(self) -> dict[str, Any]:
        return {"aside": status.aside(await self.spool.aside(ASIDE_LISTED_MAX))}

    async def _asked_retry(self) -> dict[str, Any]:
        return {"retried": await self.spool.retry_aside()}


async def _do(work: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> None:
    await work(*arguments)


def _word(is_synchronised: bool) -> str:
    return "synchronised" if is_synchronised else "still not synchronised"


async def _within(what: str, ends_s: float, work: Coroutine[Any, Any, None]) -> None:
    """Wait for it until then, and leave what hangs even when cancelled; whatever happens, the next step must come."""
    task = asyncio.create_task(work, name=f"stopping {what}")
    await asyncio.wait((task,), timeout=max(0.1, ends_s - asyncio.get_running_loop().time()))
    if not task.done():
        task.cancel()
        logger.error("stopping: %s took too long and was left", what)
    elif error := task.exception():
        logger.error("stopping: %s failed", what, exc_info=error)
