"""The `Outlet` that the agent gives each source: counts, and passes on to the pump."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.bad_rows import BadRows
from edge.pump import Pump
from edge.sources import Bad
from telemetry.batch import Series


@dataclass(slots=True)
class Counts:
    """Of one source since the agent's start; `bad` are rows, `lost` readings, each by reason."""

    readings: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


class SourceOutlet:
    """One source's.  Once closed it takes nothing more: a source that could not be stopped has been replaced."""

    def __init__(self, name: str, pump: Pump, bad_rows: BadRows, counts: Counts) -> None:
        self._name = name
        self._pump = pump
        self._bad_rows = bad_rows
        self.counts = counts
        self.is_closed = False

    async def put(self, series: Sequence[Series], *, cursor: str | None = None) -> None:
        """See `Outlet.put`."""
        if self.is_closed:
            raise RuntimeError(f"source {self._name} was stopped and goes on")
        await self._pump.put(self._name, series, cursor)
        self.counts.readings += sum(map(len, series))

    def set_aside(self, rows: Sequence[Bad]) -> None:
        """See `Outlet.set_aside`."""
        self.counts.bad.update(str(row.reason) for row in rows)
        if rows:
            self._bad_rows.keep(self._name, rows)

    def lost(self, readings: int, reason: str) -> None:
        """See `Outlet.lost`."""
        self.counts.lost[reason] += readings
