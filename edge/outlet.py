"""The `Outlet` that the agent gives each source: counts, and passes on to the pump."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge.bad_rows import BadRows
from edge.pump import Pump
from edge.sources import Bad
from edge.timing.stamping import Taken
from telemetry.batch import Series


@dataclass(slots=True)
class Counts:
    """Of one source since the agent's start; `bad` are rows, `lost` readings, each by reason."""

    readings: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


class SourceOutlet:
    """One source's.  Once closed it takes nothing more: what could not be stopped has been left behind."""

    def __init__(self, name: str, pump: Pump, bad_rows: BadRows, counts: Counts, take: Callable[[], Taken]) -> None:
        """`take` is that of the source's stamp."""
        self._name = name
        self._pump = pump
        self._take = take
        self._bad_rows = bad_rows
        self.counts = counts
        self.cursor: str | None = None  # the last one handed over; on disk a little later
        self.is_closed = False

    async def put(self, series: Sequence[Series], *, cursor: str | None = None) -> None:
        """See `Outlet.put`."""
        readings = sum(map(len, series))
        try:
            await self._pump.put(self._name, series, cursor, self._enter)
        except asyncio.CancelledError:  # it waited for room: without a cursor nobody will read these again
            if cursor is None:
                self.lost(readings, "stopped_while_full")
            raise
        self.counts.readings += readings
        self.cursor = cursor or self.cursor

    def set_aside(self, rows: Sequence[Bad]) -> None:
        """See `Outlet.set_aside`."""
        self.counts.bad.update(str(row.reason) for row in rows)
        if rows:
            self._bad_rows.keep(self._name, rows)

    def lost(self, readings: int, reason: str) -> None:
        """See `Outlet.lost`."""
        self.counts.lost[reason] += readings

    def _enter(self) -> Taken:
        if self.is_closed:
            raise RuntimeError(f"source {self._name} was stopped and goes on")
        return self._take()
