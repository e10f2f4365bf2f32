"""All sources of the agent: started, stopped and changed one by one, what stays the same left alone."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from edge import opening
from edge.bad_rows import BadRows
from edge.outlet import Counts, SourceOutlet
from edge.pump import Pump
from edge.settings import SourceSettings
from edge.sources import Context, Source
from edge.supervise import Keeper, State
from edge.timing.stamping import Stamper, View
from telemetry.clock import Clock


@dataclass(frozen=True, slots=True)
class Equipment:
    """What every source is opened with; `cursor` is where the spool says that a source got to."""

    clock: Clock
    random: Random
    folder: Path
    pump: Pump
    stamper: Stamper
    bad_rows: BadRows
    cursor: Callable[[str], str | None]
    on_failed: Callable[[str, str], None]
    extras: Mapping[str, Any]


@dataclass(slots=True)
class _Member:
    """What is known of a source beyond one task of it."""

    settings: SourceSettings
    keeper: Keeper | None = None
    counts: Counts = field(default_factory=Counts)
    restarts: int = 0  # of former keepers
    cursor: str | None = None


class Crew:
    """The sources by name."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment
        self._members: dict[str, _Member] = {}

    def start(self, wanted: Mapping[str, SourceSettings]) -> None:
        """Begin with all that are enabled.  One that cannot be opened says so in its state."""
        for name, settings in wanted.items():
            member = self._members[name] = _Member(settings)
            if settings.enabled:
                self._begin(name, member)

    async def change(self, wanted: Mapping[str, SourceSettings]) -> None:
        """Go over to these settings.  Raises `Misconfigured` before anything was changed."""
        changed = {name: new for name, new in wanted.items() if self._members[name].settings != new}
        for name, settings in changed.items():
            if settings.enabled:
                self._make(name, settings, self._equipment.stamper.view(), None)
        for name, settings in changed.items():
            member = self._members[name]
            await self._end(member)
            member.settings = settings
            if settings.enabled:
                self._begin(name, member)

    async def stop(self) -> None:
        """Stop all, at once, within a keeper's deadline."""
        await asyncio.gather(*(self._end(member) for member in self._members.values()))

    def report(self) -> dict[str, dict[str, Any]]:
        """How each source is, for people."""
        return {name: _report(member) for name, member in self._members.items()}

    def _begin(self, name: str, member: _Member) -> None:
        equipment = self._equipment
        view = equipment.stamper.view()
        outlet = SourceOutlet(name, equipment.pump, equipment.bad_rows, member.counts, view.take)
        outlet.cursor = member.cursor or equipment.cursor(name)

        def make() -> Source:
            return self._make(name, member.settings, view, outlet.cursor)

        member.keeper = Keeper(
            name, make, outlet, clock=equipment.clock, random=equipment.random, on_failed=equipment.on_failed
        )
        member.keeper.start()

    def _make(self, name: str, settings: SourceSettings, view: View, cursor: str | None) -> Source:
        equipment = self._equipment
        return opening.source(
            settings, Context(name, equipment.clock, view, equipment.folder, cursor, equipment.extras)
        )

    async def _end(self, member: _Member) -> None:
        keeper = member.keeper
        if keeper is None:
            return
        await keeper.stop()
        member.restarts += keeper.restarts
        keeper.restarts = 0
        member.cursor = keeper.outlet.cursor


def _report(member: _Member) -> dict[str, Any]:
    keeper = member.keeper
    stopped = State.STOPPED if member.settings.enabled else "off"
    return {
        "type": member.settings.type,
        "state": str(keeper.state if keeper is not None and member.settings.enabled else stopped),
        "readings": member.counts.readings,
        "restarts": member.restarts + (keeper.restarts if keeper is not None else 0),
        "last_error": keeper.last_error if keeper is not None else "",
        "last_error_ns": keeper.last_error_ns if keeper is not None else None,
        "bad": dict(member.counts.bad),
        "lost": dict(member.counts.lost),
    }
