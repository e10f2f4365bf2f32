"""What is gathered for the spool's next transaction: in memory, bounded by who puts into it."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from edge._spool.words import Encoded, Gap, Group, Part, Unit
from edge.spooled import Epoch
from telemetry.batch import BatchId
from telemetry.clock import Clock


class Pending:
    """Units in the order of their puts, and places whose batch has ended."""

    def __init__(self) -> None:
        self.units: deque[Unit] = deque()
        self.size_bytes = 0
        self.last = 0  # number of the newest unit
        self.ended: dict[int, BatchId] = {}
        self.reasons: dict[int, str] = {}  # of those that are set aside; the others are acknowledged
        self.first_put_s = self.first_end_s = 0.0
        self._readings: dict[int, int] = {}  # of ended places

    def add(
        self,
        session: str,
        parts: tuple[Part, ...],
        cursors: Mapping[str, str],
        epoch: Epoch,
        clock: Clock,
        *,
        is_draft: bool,
        drop: str = "",
    ) -> None:
        """One put; with `drop` only what it would have held is kept, as dropped for this reason."""
        if not self.units:
            self.first_put_s = clock.monotonic_s()
        self.last += 1
        unit = Unit(self.last, session, parts, cursors, epoch, clock.now_ns(), is_draft)
        unit = unit.as_gap(drop) if drop else unit
        self.units.append(unit)
        self.size_bytes += unit.size_bytes
        self._merge_last()

    def end(self, place: int, id_: BatchId, readings: int, reason: str | None, clock: Clock) -> None:
        """The batch there is acknowledged, or refused with this reason."""
        if not self.ended:
            self.first_end_s = clock.monotonic_s()
        self.ended[place] = id_
        self._readings[place] = readings
        if reason is not None:
            self.reasons[place] = reason

    def group(self, live: str) -> Group:
        """All of it, for a transaction."""
        freed = {place: id_ for place, id_ in self.ended.items() if place not in self.reasons}
        refused = {place: (self.ended[place], reason) for place, reason in self.reasons.items()}
        return Group(live, tuple(self.units), freed, refused)

    def done(self, taken: int, ended: tuple[int, ...], clock: Clock) -> None:
        """These are durable."""
        while self.units and self.units[0].number <= taken:
            self.size_bytes -= self.units.popleft().size_bytes
        for place in ended:
            self.ended.pop(place, None)
            self.reasons.pop(place, None)
            self._readings.pop(place, None)
        self.first_put_s = self.first_end_s = clock.monotonic_s()

    def drop_oldest(self, reason: str) -> bool:
        """Turn the oldest cuts into an announcement, which joins the one before; False when there are none."""
        for i, unit in enumerate(self.units):
            if any(isinstance(part, Encoded) for part in unit.parts):
                self._replace(i, unit.as_gap(reason))
                self._merge(i)
                return True
        return False

    def change(self, what: Callable[[Unit], Unit]) -> None:
        """Each unit is another one from now on."""
        self.units = deque(what(unit) for unit in self.units)
        self.size_bytes = sum(unit.size_bytes for unit in self.units)

    def waits(self, number: int) -> bool:
        """Whether a unit up to this one is not durable yet."""
        return bool(self.units) and self.units[0].number <= number

    @property
    def is_empty(self) -> bool:
        """Nothing to do."""
        return not self.units and not self.ended

    @property
    def drafts(self) -> int:
        """Units of them."""
        return sum(unit.is_draft for unit in self.units)

    @property
    def batches(self) -> int:
        """Cuts, drafts included."""
        return sum(isinstance(part, Encoded) for unit in self.units for part in unit.parts)

    def batches_of(self, session: str) -> int:
        """Cuts that will be of this session, drafts excluded."""
        units = (unit for unit in self.units if unit.session == session and not unit.is_draft)
        return sum(isinstance(part, Encoded) for unit in units for part in unit.parts)

    @property
    def readings(self) -> int:
        """Of all cuts."""
        return sum(p.readings for unit in self.units for p in unit.parts if isinstance(p, Encoded))

    @property
    def ended_readings(self) -> int:
        """Of batches that are still in the file and have ended."""
        return sum(self._readings.values())

    @property
    def dropped(self) -> dict[str, int]:
        """Readings by reason that the file does not know of yet."""
        counts: dict[str, int] = {}
        for gap in (p for unit in self.units for p in unit.parts if isinstance(p, Gap)):
            counts[gap.reason] = counts.get(gap.reason, 0) + gap.readings
        return counts

    @property
    def oldest_put_ns(self) -> int | None:
        """Of the first unit."""
        return self.units[0].put_ns if self.units else None

    def _merge_last(self) -> None:
        if len(self.units) > 1:
            self._merge(len(self.units) - 1)

    def _merge(self, i: int) -> None:
        """Join an announcement with one before it: as many drops as there may be take no more memory than one."""
        before, unit = self.units[i - 1] if i else None, self.units[i]
        if before is None or len(before.parts) != 1 or len(unit.parts) != 1:
            return
        ours, theirs = unit.parts[0], before.parts[0]
        if not isinstance(ours, Gap) or not isinstance(theirs, Gap) or ours.reason != theirs.reason:
            return
        if (before.session, before.is_draft) != (unit.session, unit.is_draft):
            return
        self._replace(
            i,
            replace(
                unit,
                parts=(Gap(ours.readings + theirs.readings, ours.reason),),
                cursors={**before.cursors, **unit.cursors},
                put_ns=before.put_ns,
            ),
        )
        self.size_bytes -= before.size_bytes
        del self.units[i - 1]

    def _replace(self, i: int, unit: Unit) -> None:
        self.size_bytes += unit.size_bytes - self.units[i].size_bytes
        self.units[i] = unit
