"""What becomes an alert, and when.  Pure: the caller brings anomalies and the time.

The first thing of a device is told at once; what follows within `group_s` is told together at the end of that time.
A device, and all of them together, have so many alerts (token buckets); what is over is counted, and told as a number
once there is an alert again.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from telemetry.anomaly import Anomaly, Severity
from telemetry.settings import Alerts

LISTED_MAX = 20  # anomalies that one alert lists; more are counted
HELD_MAX = 10_000  # that wait in all groups; more are counted
KEY_CHARS = 32
CLOSED = 4
EVERYBODY = ""  # the group of all devices together
RANKS: Mapping[Severity, int] = {Severity.INFO: 1, Severity.WARNING: 2, Severity.CRITICAL: 3}


class Event(StrEnum):
    """What happened to an anomaly."""

    OPENED = "opened"
    RAISED = "raised"  # more severe than it was told before
    CLOSED = "closed"


class Kind(StrEnum):
    """What an alert is."""

    FIRST = "first"
    SUMMARY = "summary"  # what followed it
    MORE = "more"  # with nothing but numbers of what was over the limits
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Item:
    """An anomaly to be told, without its samples, and where its record is."""

    anomaly: Anomaly
    event: Event
    partition: int
    offset: int

    @property
    def rank(self) -> int:
        """Higher says more: an anomaly is told at most once at each rank."""
        return CLOSED if self.event is Event.CLOSED else RANKS[self.anomaly.severity]


@dataclass(frozen=True, slots=True)
class Alert:
    """One message to people.  `device` is "" where it is about several; `more` counts what is not listed, by kind."""

    key: str  # the same whenever the same is told
    kind: Kind
    device: str
    items: tuple[Item, ...]
    more: Mapping[str, int] = field(default_factory=dict)
    more_severity: Severity = Severity.INFO  # the worst of what is not listed

    @property
    def severity(self) -> Severity:
        """The worst in it."""
        ranks = [RANKS[item.anomaly.severity] for item in self.items] + [RANKS[self.more_severity]]
        return next(s for s, rank in RANKS.items() if rank == max(ranks))

    def of(self, items: Sequence[Item]) -> "Alert":
        """The same with only these items."""
        if len(items) == len(self.items):
            return self
        return alert(self.kind, self.device, items, more=self.more, more_severity=self.more_severity, salt=self.key)


def alert(
    kind: Kind,
    device: str,
    items: Sequence[Item],
    *,
    more: Mapping[str, int] | None = None,
    more_severity: Severity = Severity.INFO,
    salt: str = "",
) -> Alert:
    """Made with its key; `salt` tells apart what has no items."""
    parts = [str(kind), device, salt, *sorted(f"{item.anomaly.id}:{item.rank}" for item in items)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:KEY_CHARS]
    return Alert(key, kind, device, tuple(items), dict(more or {}), more_severity)


class Bucket:
    """A token bucket, kept as the time at which it will be full again (GCRA)."""

    __slots__ = ("_depth_s", "_full_at_s", "_step_s")

    def __init__(self, *, per_hour: float, burst: int) -> None:
        self._step_s = 3600 / per_hour
        self._depth_s = burst * self._step_s
        self._full_at_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Until there is a token; 0 = now."""
        over_s = max(self._full_at_s, now_s) + self._step_s - now_s - self._depth_s
        return over_s if over_s > 1e-9 else 0.0

    def take(self, now_s: float) -> None:
        """Take a token that is there."""
        self._full_at_s = max(self._full_at_s, now_s) + self._step_s

    def is_full(self, now_s: float) -> bool:
        """Nothing of it is used."""
        return self._full_at_s <= now_s


@dataclass(slots=True)
class Counted:
    """What was over the limits or the list."""

    kinds: Counter[str] = field(default_factory=Counter)
    severity: Severity = Severity.INFO
    salt: str = ""  # follows from all that was counted

    def add(self, item: Item) -> None:
        """One more."""
        self.kinds[item.anomaly.kind] += 1
        self._note(item.anomaly.severity, f"{item.anomaly.id}:{item.rank}")

    def merge(self, other: "Counted") -> None:
        """All of that, too."""
        if other.kinds:
            self.kinds.update(other.kinds)
            self._note(other.severity, other.salt)

    def _note(self, severity: Severity, what: str) -> None:
        if RANKS[severity] > RANKS[self.severity]:
            self.severity = severity
        self.salt = hashlib.sha256(f"{self.salt}{what}".encode()).hexdigest()


@dataclass(slots=True)
class Group:
    """What is held of one device, until its time; or, of all devices, what was over their common limit."""

    device: str
    due_s: float
    items: dict[str, Item] = field(default_factory=dict)  # by the anomaly's id: its last event is told
    counted: Counted = field(default_factory=Counted)

    @property
    def is_empty(self) -> bool:
        """Nothing to tell."""
        return not self.items and not self.counted.kinds


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be sent now, and what was only counted: that is told too, as a number."""

    alerts: tuple[Alert, ...] = ()
    counted: tuple[Item, ...] = ()

    def __add__(self, other: "Due") -> "Due":
        return Due(self.alerts + other.alerts, self.counted + other.counted)


Quiet: TypeAlias = Collection[str]


class Alerting:
    """Groups and limits.  Holds at most `LISTED_MAX` items of a device lately heard of, `HELD_MAX` in all."""

    def __init__(self, settings: Alerts) -> None:
        self._settings = settings
        self._groups: dict[str, Group] = {}
        self._buckets: dict[str, Bucket] = {}
        self._held = 0
        self._all = Bucket(per_hour=settings.per_hour, burst=settings.burst)

    @property
    def due_s(self) -> float | None:
        """When `due` has something to do next."""
        return min((group.due_s for group in self._groups.values()), default=None)

    def held(self, due_s: float = math.inf) -> Iterator[Item]:
        """Items that wait for their group's time, if that is until then."""
        for group in self._groups.values():
            if group.due_s <= due_s:
                yield from group.items.values()

    def take(self, item: Item, now_s: float) -> Due:
        """Tell it: now, with its group later, or as one of a number."""
        device = item.anomaly.device
        group = self._groups.get(device)
        if group is None:
            group = self._groups[device] = Group(device, now_s)
            return self._put(group, item) + self._close(group, now_s, Kind.FIRST)
        return self._put(group, item)

    def due(self, now_s: float) -> Due:
        """What its time has come for."""
        found = Due()
        for group in [g for g in self._groups.values() if g.due_s <= now_s]:
            found += self._close(group, now_s, Kind.SUMMARY)
        self._buckets = {device: bucket for device, bucket in self._buckets.items() if not bucket.is_full(now_s)}
        return found

    def withdraw(self, anomaly_ids: Collection[str]) -> list[Item]:
        """Somebody has seen these: they are not told any more."""
        found = []
        for group in self._groups.values():
            found += [group.items.pop(id_) for id_ in list(group.items) if id_ in anomaly_ids]
        self._held -= len(found)
        return found

    def drop(self, partitions: Collection[int]) -> None:
        """Another process tells what is held of these partitions."""
        for device, group in list(self._groups.items()):
            if any(item.partition in partitions for item in group.items.values()):
                self._held -= len(group.items)
                del self._groups[device]

    def _put(self, group: Group, item: Item) -> Due:
        is_new = item.anomaly.id not in group.items
        if not is_new or (len(group.items) < LISTED_MAX and self._held < HELD_MAX):
            group.items[item.anomaly.id] = item
            self._held += is_new
            return Due()
        group.counted.add(item)
        return Due(counted=(item,))

    def _close(self, group: Group, now_s: float, kind: Kind) -> Due:
        """Send what is held, if the limits let it; else count it and wait until they do."""
        if group.is_empty:
            del self._groups[group.device]
            return Due()
        bucket = self._bucket(group.device)
        wait_s = bucket.wait_s(now_s)
        if wait_s == 0 and self._all.wait_s(now_s) == 0:
            bucket.take(now_s)
            self._all.take(now_s)
            return Due(alerts=(self._told(group, now_s, kind),))
        items = self._emptied(group)
        if wait_s > 0 or group.device == EVERYBODY:  # the device's own limit
            for item in items:
                group.counted.add(item)
            group.due_s = now_s + max(wait_s, self._all.wait_s(now_s), 1.0)
        else:
            self._count_for_all(items, group, now_s)
        return Due(counted=items)

    def _told(self, group: Group, now_s: float, kind: Kind) -> Alert:
        counted = group.counted
        kind = kind if group.items else Kind.MORE
        items = self._emptied(group)
        made = alert(kind, group.device, items, more=counted.kinds, more_severity=counted.severity, salt=counted.salt)
        group.counted = Counted()
        group.due_s = now_s + self._settings.group_s
        return made

    def _emptied(self, group: Group) -> tuple[Item, ...]:
        items = tuple(group.items.values())
        self._held -= len(items)
        group.items.clear()
        return items

    def _count_for_all(self, items: Sequence[Item], group: Group, now_s: float) -> None:
        """Over the common limit: in the number for all devices, so that not each of them waits in line."""
        everybody = self._groups.setdefault(EVERYBODY, Group(EVERYBODY, now_s))
        everybody.due_s = max(everybody.due_s, now_s + max(1.0, self._all.wait_s(now_s)))
        for item in items:
            everybody.counted.add(item)
        everybody.counted.merge(group.counted)
        group.counted = Counted()
        group.due_s = now_s + self._settings.group_s

    def _bucket(self, device: str) -> Bucket:
        if device == EVERYBODY:
            return self._buckets.setdefault(device, Bucket(per_hour=self._settings.per_hour, burst=1))
        made = Bucket(per_hour=self._settings.device_per_hour, burst=self._settings.device_burst)
        return self._buckets.setdefault(device, made)
