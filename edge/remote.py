"""Downloaded settings at the edge: checked, tried, kept or rolled back; the far end is `telemetry/device_settings.py`.

    offer -> check -> keep as "on trial" -> apply -> probation -> in force
                |                             |          |
                '-> failed                    '----------'-> the ones before, failed

What is on disk always says which settings to start with, so a crash anywhere leaves the old or the new ones.  A trial
that a crash cut short is begun again once; the second time it counts as failed, for it may have been the cause.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from edge.remote_state import State, load, save
from edge.settings import EdgeSettings, SourceSettings
from telemetry import adapters
from telemetry.clock import Clock
from telemetry.errors import Invalid, Misconfigured, SensorlineError
from telemetry.remote_settings import NO_CHANGES, Changes, Report, Versioned, one_line

logger = logging.getLogger(__name__)

PROBATION_S = 60.0
STARTS_MAX = 2  # of the agent with settings on trial
RATES = ("rate_hz", "every_s")


class Applies(Protocol):
    """What is needed of the agent."""

    async def apply(self, changes: Changes) -> None:
        """Run with these changes over the file from now on (`overlay`), without a restart.

        Sources whose settings stay as they are keep running; what a stopped source had read is not lost.  Raises
        `SensorlineError` or `OSError` when it cannot be done; the caller then applies the changes of before.
        """
        ...


class Remote:
    """The downloaded settings of one edge.  `changes` are those to start the agent with; `run` does the rest."""

    def __init__(self, folder: Path, file: EdgeSettings, clock: Clock, *, probation_s: float = PROBATION_S) -> None:
        """`folder` is the edge's data folder, `file` its settings as read.

        Raises `OSError` when what is kept there cannot be read.
        """
        self._folder = folder
        self._file = file
        self._clock = clock
        self._probation_s = probation_s
        kept = load(folder)
        self._state = _begin(kept, file)
        if self._state != kept:
            self._keep(self._state)  # a full disk must not keep an edge from starting
        self._probation_ends_s = clock.monotonic_s() + probation_s
        self._offered: object = None
        self._trouble: str | None = None
        self._woken = asyncio.Event()
        self._told: str | None = None

    @property
    def changes(self) -> Versioned:
        """What lies over the file now."""
        return self._state.trial or self._state.in_force

    @property
    def report(self) -> str:
        """For `Beside.settings` of each batch."""
        return Report(in_force=self.changes.version, failed=self._state.failed, reason=self._state.reason).text

    def offer(self, document: object) -> None:
        """Take the `settings` of a receipt; costs nothing when that version is known.  The latest one counts."""
        version = document.get("version") if isinstance(document, Mapping) else None
        if version in (self.changes.version, self._state.failed):
            return
        self._offered = document
        self._woken.set()

    def source_failed(self, name: str, reason: str) -> None:
        """A source raised: while settings that concern it are on trial, they are rolled back."""
        if self._state.trial is None or name not in self._touched(self._state.trial):
            return
        self._trouble = f"source {name}: {reason}"
        self._woken.set()

    async def run(self, agent: Applies) -> None:
        """Take up what is offered, for ever.  A stop in good order does not count against settings on trial."""
        try:
            while True:
                await self.turn(agent)
                await self._wait()
        finally:
            if self._state.trial is not None:
                self._keep(self._state.model_copy(update={"starts": 0}))

    async def turn(self, agent: Applies) -> None:
        """Do what is due now: roll back, confirm, or try what was offered."""
        self._woken.clear()
        trial = self._state.trial
        if trial is not None and self._trouble is not None:
            await self._roll_back(agent, trial, self._trouble)
        elif trial is not None and self._clock.monotonic_s() >= self._probation_ends_s:
            self._probation_ends_s += self._probation_s  # of the next try, should the disk not take it
            if self._keep(self._state.model_copy(update={"in_force": trial, "trial": None, "starts": 0})):
                logger.info("settings %d are in force", trial.version)
        offered, self._offered = self._offered, None
        if offered is not None:
            await self._take(agent, offered)

    async def _take(self, agent: Applies, document: object) -> None:
        try:
            wanted = Versioned.parse(document)
        except Invalid as e:
            self._refuse(document, e.message)
            return
        if wanted.version in (self.changes.version, self._state.failed):
            return
        try:
            check(self._file, wanted)
        except Misconfigured as e:
            self._fail(wanted.version, e.message)
            return
        on_trial = State(in_force=self._state.in_force, trial=wanted, starts=1)
        if not self._keep(on_trial):
            return  # a disk that takes nothing is no fault of the settings: they will be offered again
        self._trouble = None
        self._probation_ends_s = self._clock.monotonic_s() + self._probation_s
        logger.info("settings %d are on trial for %g s", wanted.version, self._probation_s)
        try:
            await agent.apply(wanted)
        except (SensorlineError, OSError) as e:
            await self._roll_back(agent, wanted, str(e))

    async def _roll_back(self, agent: Applies, trial: Versioned, reason: str) -> None:
        self._trouble = None
        before = self._state.in_force
        self._fail(trial.version, reason)
        try:
            await agent.apply(before)
        except (SensorlineError, OSError) as e:
            # They ran before, so each source is tried again by its supervisor; the report already says what failed.
            logger.error("settings %d could not be taken up again: %s", before.version, e)  # noqa: TRY400 - the text says it all

    def _fail(self, version: int, reason: str) -> None:
        """Mark it, durably if the disk takes it; settings on trial that are others stay on trial."""
        logger.error("settings %d failed: %s", version, reason)
        over = {"trial": None, "starts": 0} if self._is_trial(version) else {}
        marked = self._state.model_copy(update={**over, "failed": version, "reason": one_line(reason)})
        self._keep(marked)
        self._state = marked

    def _is_trial(self, version: int) -> bool:
        return self._state.trial is not None and self._state.trial.version == version

    def _refuse(self, document: object, reason: str) -> None:
        """A document that is none: under its version, if it has one, else it can only be told here."""
        version = document.get("version") if isinstance(document, Mapping) else None
        try:
            named = Versioned.parse({"version": version}).version
        except Invalid:
            if reason != self._told:
                logger.error("what came as settings is refused: %s", reason)  # noqa: TRY400 - no fault of ours
                self._told = reason
            return
        self._fail(named, reason)

    def _touched(self, trial: Versioned) -> set[str]:
        before = overlay(self._file, self._state.in_force).sources
        return {name for name, source in overlay(self._file, trial).sources.items() if source != before[name]}

    def _keep(self, state: State) -> bool:
        """Save it and go by it; False when it could not be saved.  Rare and small, so it is written here and now."""
        try:
            save(self._folder, state)
        except OSError as e:
            logger.error("the state of downloaded settings could not be saved in %s: %s", self._folder, e)  # noqa: TRY400 - the text says it all
            return False
        self._state = state
        return True

    async def _wait(self) -> None:
        """Until something was offered or failed, or the probation is over."""
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(self._woken.wait())]
        if self._state.trial is not None:
            left_s = max(0.0, self._probation_ends_s - self._clock.monotonic_s())
            waits.append(asyncio.create_task(self._clock.sleep(left_s)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def overlay(file: EdgeSettings, changes: Changes) -> EdgeSettings:
    """The file's settings with these over them; raises `Misconfigured` for a source that the file lacks."""
    sources = dict(file.sources)
    for name, change in changes.sources.items():
        if name not in sources:
            raise Misconfigured(f"there is no source {name} in the edge's file", path=f"sources.{name}")
        sources[name] = SourceSettings.model_validate({**sources[name].model_dump(), **change.given})
    period = {} if changes.batch_period_s is None else {"period_s": changes.batch_period_s}
    return file.model_copy(update={"sources": sources, "batch": file.batch.model_copy(update=period)})


def check(file: EdgeSettings, changes: Changes) -> None:
    """Raises `Misconfigured` when this edge cannot run with them, as far as that can be said without trying."""
    effective = overlay(file, changes)
    for name, change in changes.sources.items():
        source = effective.sources[name]
        if not source.enabled:
            continue
        module = adapters.load("edge.sources", source.type)
        foreign = [rate for rate in RATES if rate in change.given and rate not in module.Config.model_fields]
        if foreign:
            raise Misconfigured(f"source {name} ({source.type}) has no {foreign[0]}", path=f"sources.{name}")
        try:
            adapters.configure(module, name, source.options)
        except Misconfigured as e:
            raise Misconfigured(f"source {name}: {e.message.removeprefix('setting ')}", path=e.path) from e


def _begin(kept: State, file: EdgeSettings) -> State:
    """What to start with: a trial is begun again once, and what does not fit the file any more is left out."""
    if kept.trial is not None and kept.starts >= STARTS_MAX:
        why = f"the agent ended {kept.starts} times while these settings were on trial"
        kept = _without(kept, kept.trial, why)
    for versioned in filter(None, (kept.trial, kept.in_force)):
        try:
            check(file, versioned)
        except Misconfigured as e:
            logger.error("settings %d do not fit the edge's file: %s", versioned.version, e.message)  # noqa: TRY400 - the text says it all
            kept = _without(kept, versioned, e.message)
    return kept if kept.trial is None else kept.model_copy(update={"starts": kept.starts + 1})


def _without(kept: State, failed: Versioned, reason: str) -> State:
    """Back to what was in force before the trial, or else to the file alone."""
    in_force = kept.in_force if failed is kept.trial else NO_CHANGES
    return State(in_force=in_force, failed=failed.version, reason=one_line(reason))
