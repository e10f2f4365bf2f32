"""What was handed over against what is stored: the four figures that must be zero.  Pure.

All in readings.  A batch of the ledger is intact when its rebuilt content has the hash that was written down before
it was sent.

    lost_acked    acknowledged, yet neither stored, summarised, expired nor dead-lettered
    dup_stored    a reading's key more than once
    corrupt       stored with other content than was handed over, or never handed over at all
    unaccounted   handed over, yet neither stored, summarised, expired, dead-lettered, set aside, dropped nor still at
                  the sender

A batch that the store says it summarised (detail `windows`) has no rows to rebuild.  There the store's claim is the
witness: it must be of the hash that was handed over, and of as many readings; another hash or more readings are
`corrupt`, a claim that lacks is `lost_acked`, rows beside it are `dup_stored`.  So the zeros say that every batch came
into the store's hands whole and once; that its windows add up is not checked here.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from simulator.ledger import End, Handed
from telemetry.batch import BatchId


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch as it was rebuilt from the store: `rows` distinct keys, `doubled` rows beyond them."""

    content_hash: str
    rows: int
    doubled: int = 0


@dataclass(frozen=True, slots=True)
class Summarised:
    """A batch of which only windows are kept, by its claim: `readings` were not expired."""

    content_hash: str
    readings: int


@dataclass(frozen=True, slots=True)
class Found:
    """What the system says of the ledger's sessions."""

    stored: Mapping[BatchId, Stored] = field(default_factory=dict)
    expired: Mapping[BatchId, int] = field(default_factory=dict)  # readings, by the store's claims
    dead_lettered: Set[BatchId] = frozenset()
    duplicates_delivered: int = 0
    summarised: Mapping[BatchId, Summarised] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """The figures, in readings unless named otherwise; reports of different sessions add up.

    `sent` was acknowledged, `stored` is known to the ledger and there; `unchecked` is the part of `stored` whose
    batch is not whole (some of it expired or lost), so that its hash cannot be compared.
    """

    sent: int = 0
    stored: int = 0
    lost_acked: int = 0
    dup_stored: int = 0
    corrupt: int = 0
    unaccounted: int = 0
    generated: int = 0
    unchecked: int = 0
    expired: int = 0
    dead_lettered: int = 0
    set_aside: int = 0
    dropped: int = 0
    unsent: int = 0
    batches: int = 0
    duplicates_delivered: int = 0  # batches that reached the log more than once
    wait_s: float = 0.0
    summarised: int = 0  # known to the ledger, and kept as windows only

    @property
    def is_clean(self) -> bool:
        """True when all four figures are zero."""
        return not (self.lost_acked or self.dup_stored or self.corrupt or self.unaccounted)

    def __iadd__(self, other: "Report") -> "Report":
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))
        return self

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def reconcile(handed: Iterable[Handed], found: Found) -> Report:
    """Compare; `found` must cover the sessions of `handed`, and no other."""
    report = Report(duplicates_delivered=found.duplicates_delivered)
    known: set[BatchId] = set()
    for batch in handed:
        known.add(batch.id)
        _account(report, batch, found)
    report.corrupt += sum(s.readings for id_, s in found.summarised.items() if id_ not in known)
    for id_, stored in found.stored.items():
        report.dup_stored += stored.doubled
        if id_ not in known:
            report.corrupt += stored.rows
    return report


def _account(report: Report, batch: Handed, found: Found) -> None:
    report.batches += 1
    report.generated += batch.readings
    report.sent += batch.readings if batch.end is End.ACKNOWLEDGED else 0
    stored, summarised = found.stored.get(batch.id), found.summarised.get(batch.id)
    if summarised is not None:
        _account_summary(report, batch, summarised, found)
        return
    if stored is not None and (stored.rows > batch.readings or _is_altered(batch, stored)):
        report.corrupt += stored.rows
        return
    rows = stored.rows if stored is not None else 0
    report.stored += rows
    if 0 < rows < batch.readings:
        report.unchecked += rows
    expired = min(found.expired.get(batch.id, 0), batch.readings - rows)
    report.expired += expired
    _absent(report, batch, batch.readings - rows - expired, is_dead=batch.id in found.dead_lettered)


def _account_summary(report: Report, batch: Handed, summarised: Summarised, found: Found) -> None:
    rows = found.stored.get(batch.id)
    report.dup_stored += rows.rows if rows is not None else 0
    expired = found.expired.get(batch.id, 0)
    if summarised.content_hash != batch.content_hash or summarised.readings + expired > batch.readings:
        report.corrupt += summarised.readings
        return
    report.summarised += summarised.readings
    report.expired += expired
    absent = batch.readings - summarised.readings - expired
    _absent(report, batch, absent, is_dead=batch.id in found.dead_lettered)


def _is_altered(batch: Handed, stored: Stored) -> bool:
    return stored.rows == batch.readings and stored.content_hash != batch.content_hash


def _absent(report: Report, batch: Handed, absent: int, *, is_dead: bool) -> None:
    """Readings that the store lacks and that did not expire: which end do they have?"""
    if is_dead:
        report.dead_lettered += absent
    elif batch.end is End.SET_ASIDE:
        report.set_aside += absent
    elif batch.end is End.UNSENT:
        report.unsent += absent
    elif batch.end is End.DROPPED:
        report.dropped += absent
    else:
        report.unaccounted += absent
        report.lost_acked += absent if batch.end is End.ACKNOWLEDGED else 0
