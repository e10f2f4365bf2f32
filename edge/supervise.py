"""One source's life: opened, run, and after a failure opened again, with a growing wait; never the agent's end."""

import asyncio
import logging
from collections.abc import Callable
from enum import StrEnum
from random import Random

from edge.outlet import SourceOutlet
from edge.sources import Source
from telemetry.clock import Clock
from telemetry.errors import Misconfigured, SensorlineError

logger = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0
WAIT_S_MAX = 300.0
RAN_WELL_S = 60.0  # after so long a failure is a new one
STOP_WAIT_S = 2.0


class State(StrEnum):
    """How a source is."""

    RUNNING = "running"
    WAITING = "waiting"  # it failed, and will be opened again
    MISCONFIGURED = "misconfigured"  # until its settings change
    FINISHED = "finished"  # it came to its end, e.g. of a file
    STOPPED = "stopped"


class Keeper:
    """Keeps one source running.  `on_failed(name, reason)` is told of each failure."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Source],
        outlet: SourceOutlet,
        *,
        clock: Clock,
        random: Random,
        on_failed: Callable[[str, str], None] = lambda name, reason: None,
    ) -> None:
        self.name = name
        self.state = State.STOPPED
        self.restarts = 0
        self.last_error = ""
        self.last_error_ns: int | None = None
        self.outlet = outlet
        self._make = make
        self._clock = clock
        self._random = random
        self._on_failed = on_failed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self.state = State.RUNNING
        self._task = asyncio.create_task(self._run(), name=f"source {self.name}")

    async def stop(self) -> None:
        """Cancel it and wait `STOP_WAIT_S`; what hangs longer is left behind, its outlet shut."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=STOP_WAIT_S)
            if not task.done():
                logger.error("source %s does not stop: it is left behind", self.name)
        self.outlet.is_closed = True
        if self.state in (State.RUNNING, State.WAITING):
            self.state = State.STOPPED

    async def _run(self) -> None:
        attempt = 0
        while True:
            began_s = self._clock.monotonic_s()
            self.state = State.RUNNING
            try:
                await self._make().run(self.outlet)
            except Misconfigured as e:
                self.state = State.MISCONFIGURED
                self._failed(e)
                return
            except asyncio.CancelledError as e:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                self._failed(e)  # something inside the source was cancelled, not the source
            except Exception as e:  # noqa: BLE001 - a source is anybody's code: its bugs are its own, not the agent's
                self._failed(e)
            else:
                self.state = State.FINISHED
                logger.info("source %s is finished", self.name)
                return
            attempt = 0 if self._clock.monotonic_s() - began_s >= RAN_WELL_S else attempt
            self.state = State.WAITING
            await self._clock.sleep(wait_s(attempt, self._random))
            attempt += 1
            self.restarts += 1

    def _failed(self, error: BaseException) -> None:
        is_known = isinstance(error, SensorlineError | OSError)
        said = f"{type(error).__name__}: {error}" if not isinstance(error, SensorlineError) else error.message
        self.last_error = " ".join(said.split())[:500]
        self.last_error_ns = self._clock.now_ns()
        logger.warning("source %s failed: %s", self.name, self.last_error, exc_info=None if is_known else error)
        self._on_failed(self.name, self.last_error)


def wait_s(attempt: int, random: Random) -> float:
    """Seconds until the `attempt`-th restart (from 0): doubling, drawn from the upper half of its step."""
    step = min(WAIT_S_MAX, FIRST_WAIT_S * 2.0 ** min(attempt, 16))
    return max(FIRST_WAIT_S, random.uniform(step / 2, step))
