"""The alert consumer: what detection found, from its topic to people.

Only live anomalies that open or get more severe (and, if wanted, close) are told, each at most once at each rank.
Delivery outside is at least once: a record is committed after every channel has told it or has given it up by name.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from consumers import checkpoints
from consumers.alert_memory import Memory
from consumers.alerting import RANKS, Alert, Alerting, Due, Event, Item
from consumers.alerts import Channel
from consumers.letters import letter
from consumers.outbox import Done, Outbox
from telemetry import metrics
from telemetry.anomaly import Anomaly, Samples, Severity, decode
from telemetry.clock import Clock
from telemetry.errors import Malformed
from telemetry.labels import Labels
from telemetry.outcome import Reason
from telemetry.ports import ANOMALIES, DEADLETTERS, Entry, Log, Record
from telemetry.records import anomaly_record
from telemetry.settings import Alerts

logger = logging.getLogger(__name__)

SYNC_WAIT_S = 10.0


class Alerter:
    """Tells people, with a memory of what was told (`consumers.runner.Stateful`)."""

    name = "alert"

    def __init__(
        self,
        log: Log,
        settings: Alerts,
        channels: Mapping[str, Channel],
        clock: Clock,
        *,
        labels: Labels,
        is_deleted: Callable[[str, int], bool],
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self._log = log
        self._settings = settings
        self._clock = clock
        self._labels = labels
        self._is_deleted = is_deleted
        self._refresh = refresh
        self._memory = Memory(log, tuple(channels))
        self._alerting = Alerting(settings)
        self._outbox = Outbox(channels, settings, clock, self._wanted)
        self._letters: list[Record] = []
        self._seen: dict[int, int] = {}  # the next offset by partition
        self._durable: dict[int, int] = {}

    # --- consumers.runner.Stateful

    async def adopt(self, partitions: frozenset[int]) -> Mapping[int, int]:
        """Load what was told; reading begins at what the group committed."""
        await self._memory.load(partitions)
        return {}

    def release(self, partitions: frozenset[int]) -> None:
        """Whoever has them now tells what is held of them."""
        self._outbox.drop(partitions)
        self._alerting.drop(partitions)
        self._memory.drop(partitions)
        for partition in partitions:
            self._seen.pop(partition, None)
            self._durable.pop(partition, None)

    async def process(self, entries: Sequence[Entry]) -> None:
        """Tell what is new in these; raises `Retryable` when the log must be tried again."""
        await self._look()
        for entry in entries:
            self._take(entry)
            self._seen[entry.partition] = max(entry.offset + 1, self._seen.get(entry.partition, 0))
        await self._work()

    async def save(self, partitions: frozenset[int] | None = None) -> None:
        """Tell what its time has come for, and write down what was told."""
        if self._is_due():
            await self._look()
        await self._work()

    def is_save_due(self) -> bool:
        """Whether something is to be told or tried again now."""
        return self._is_due()

    def committable(self) -> Mapping[int, int]:
        """Up to the first record that some channel has yet to tell."""
        return dict(self._durable)

    def uncommitted(self) -> int:
        """Records that wait for their alert."""
        return sum(upto - self._durable.get(partition, upto) for partition, upto in self._seen.items())

    # --- what is told

    def _take(self, entry: Entry) -> None:
        try:
            one = decode(entry.value or b"")
        except Malformed as e:  # the consumer that puts them into the store makes the dead letter
            metrics.alerts_withheld.labels("undecodable").inc()
            logger.warning("%s/%d@%d raises no alert: %s", entry.topic, entry.partition, entry.offset, e.message)
            return
        if one.device != entry.key or not one.is_live or self._is_deleted(one.device, one.received_ns):
            return
        item = self._item(one, entry)
        is_replay = self._memory.is_replay(one.id, one.version, entry.offset)
        if item is not None and not self._is_withheld(one, is_replay) and self._memory.wants(item):
            self._send(self._alerting.take(item, self._clock.monotonic_s()))
        if not one.is_open:
            self._memory.over(one.id, entry.offset)

    def _item(self, one: Anomaly, entry: Entry) -> Item | None:
        slim = msgspec.structs.replace(one, samples=Samples())
        known = self._memory.of(one.id)
        if not one.is_open and known is not None and self._settings.on_close:
            return Item(slim, Event.CLOSED, entry.partition, entry.offset)
        if RANKS[one.severity] < RANKS[Severity(self._settings.severity_min)]:
            return None
        return Item(slim, Event.OPENED if known is None else Event.RAISED, entry.partition, entry.offset)

    def _is_withheld(self, one: Anomaly, is_replay: bool) -> bool:
        if one.updated_ns < self._old_ns() and not is_replay:
            metrics.alerts_withheld.labels("old").inc()
            return True
        if self._is_settled(one):
            metrics.alerts_withheld.labels("acknowledged").inc()
            return True
        return False

    def _old_ns(self) -> int:
        return self._clock.now_ns() - round(self._settings.age_s_max * 1e9)

    def _is_settled(self, one: Anomaly) -> bool:
        """Somebody has seen it, or one of its kind on that device not long ago."""
        try:
            label = self._labels.of(one.id)
            if label is not None and label.is_settled:
                return True
            last = self._labels.acknowledged(one.device, one.kind)
        except Malformed as e:
            logger.warning("a label of anomaly %s cannot be read: %s", one.id, e.message)
            return False
        return last is not None and self._clock.now_ns() - last.at_ns < self._settings.ack_quiet_s * 1e9

    def _send(self, due: Due) -> None:
        if due.counted:
            metrics.alerts_withheld.labels("limited").inc(len(due.counted))
            self._memory.told(due.counted)
        for alert in due.alerts:
            for done in self._outbox.add(alert):
                self._done(done)

    def _wanted(self, channel: str, alert: Alert) -> Alert | None:
        """What of it that channel has yet to tell, and nobody has seen or deleted meanwhile."""
        items = [i for i in alert.items if self._memory.lacks(channel, i) and not self._is_gone(i.anomaly)]
        return alert.of(items) if items or alert.more else None

    def _is_gone(self, one: Anomaly) -> bool:
        return self._is_settled(one) or self._is_deleted(one.device, one.received_ns)

    def _done(self, done: Done) -> None:
        self._memory.told(done.alert.items, [done.channel], is_lost=bool(done.given_up))
        if done.given_up:
            detail = f"{done.channel}: {done.given_up}"
            now_ns = self._clock.now_ns()
            self._letters += [letter(_entry(i), Reason.UNDELIVERED, detail, now_ns) for i in done.alert.items]

    # --- turns

    def _is_due(self) -> bool:
        now_s = self._clock.monotonic_s()
        dues = (self._alerting.due_s, self._outbox.due_s)
        return any(due_s is not None and due_s <= now_s for due_s in dues)

    async def _look(self) -> None:
        """See who was deleted and what was said until now."""
        await self._refresh()
        await self._labels.sync(SYNC_WAIT_S)

    async def _work(self) -> None:
        """Send what is due; then write down what was told, and only then may it be committed."""
        now_s = self._clock.monotonic_s()
        self._alerting.withdraw({i.anomaly.id for i in self._alerting.held(now_s) if self._is_gone(i.anomaly)})
        self._send(self._alerting.due(now_s))
        await self._outbox.work(self._done)
        positions = self._positions()
        if self._letters:
            await self._log.append(DEADLETTERS, self._letters)
            self._letters = []
        records = self._memory.records(self._durable, self._old_ns())
        if records:
            await checkpoints.append(self._log, records)
            self._memory.kept(records)
        self._durable = positions

    def _positions(self) -> dict[int, int]:
        positions = dict(self._seen)
        for item in (*self._alerting.held(), *self._outbox.waiting()):
            if item.partition in positions:
                positions[item.partition] = min(positions[item.partition], item.offset)
        return positions


def _entry(item: Item) -> Entry:
    """The anomaly's record, without samples: so many alerts may wait that they would fill the memory."""
    record = anomaly_record(item.anomaly)
    at = (ANOMALIES.name, item.partition, item.offset)
    return Entry(*at, record.key, record.value, record.headers, item.anomaly.updated_ns)
