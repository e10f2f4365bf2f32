"""What people say of anomalies: seen it, real or false, a note.  In the compacted topic `labels`:

    <anomaly id>                      {acknowledged, verdict, note, by, at_ns, device, kind}
    acknowledged/<device>/<kind>      {id, at_ns}    the last acknowledgement of that kind on that device

The gateway writes it, its answers show it, and the alert consumer stays silent about what somebody has seen.
"""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Literal, Protocol, TypeAlias

import msgspec

from telemetry.anomaly import Anomaly, Ns
from telemetry.clock import Clock
from telemetry.errors import LogUnavailable, Malformed
from telemetry.ports import LABELS, Entry, Log, Record

NOTE_CHARS_MAX = 1_000
Verdict: TypeAlias = Literal["real", "false"]
Note: TypeAlias = Annotated[str, msgspec.Meta(max_length=NOTE_CHARS_MAX)]


class Label(msgspec.Struct, frozen=True):
    """What an operator said last of an anomaly, and when, UTC nanoseconds."""

    acknowledged: bool
    verdict: Verdict | None
    note: Note
    by: str
    at_ns: Ns
    device: str
    kind: str

    @property
    def is_settled(self) -> bool:
        """Nobody needs to hear of that anomaly any more."""
        return self.acknowledged or self.verdict == "false"


class Acknowledged(msgspec.Struct, frozen=True):
    """Which anomaly of a device and kind somebody acknowledged last, and when."""

    id: str
    at_ns: Ns


class View(Protocol):
    """What is read of a table (`telemetry.table.Table`)."""

    def get(self, key: str) -> Entry | None:
        """The last record of a key."""
        ...

    def scan(self, prefix: str = "", *, after: str | None = None, limit: int = 1_000) -> list[Entry]:
        """A page of entries by key."""
        ...

    async def sync(self, timeout_s: float) -> None:
        """Read on to the topic's end."""
        ...


_LABEL = msgspec.json.Decoder(Label)
_ACKNOWLEDGED = msgspec.json.Decoder(Acknowledged)


def encode(label: Label) -> bytes:
    """As JSON."""
    return msgspec.json.encode(label)


def decode(value: bytes) -> Label:
    """Read back; raises `Malformed`."""
    try:
        return _LABEL.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"this is no label: {e}") from e


class Labels:
    """Look-ups over the local copy of the topic."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def sync(self, timeout_s: float) -> None:
        """See what was said until now; raises `LogUnavailable` or `NotReady`."""
        await self._view.sync(timeout_s)

    def of(self, anomaly_id: str) -> Label | None:
        """What was said of it last; raises `Malformed` for a record that another version wrote."""
        entry = self._view.get(anomaly_id)
        return None if entry is None or entry.value is None else decode(entry.value)

    def acknowledged(self, device: str, kind: str) -> Acknowledged | None:
        """The last acknowledgement of that kind on that device."""
        entry = self._view.get(_quiet_key(device, kind))
        if entry is None or entry.value is None:
            return None
        try:
            return _ACKNOWLEDGED.decode(entry.value)
        except msgspec.MsgspecError as e:
            raise Malformed(f"this is no acknowledgement: {e}") from e

    def keys_of(self, device: str) -> list[str]:
        """Every key that speaks of a device; looks through all labels."""
        quiet = [e.key for e in self._entries(_quiet_key(device, ""))]
        return quiet + [e.key for e in self._entries("") if "/" not in e.key and _is_of(e, device)]

    def _entries(self, prefix: str) -> Iterator[Entry]:
        page = self._view.scan(prefix)
        while page:
            yield from page
            page = self._view.scan(prefix, after=page[-1].key)


class Labelling:
    """The one writer of labels in a process; what it wrote is seen by its `Labels` when it returns."""

    def __init__(self, log: Log, labels: Labels, clock: Clock, *, wait_s: float = 10.0) -> None:
        self.labels = labels
        self._log = log
        self._clock = clock
        self._wait_s = wait_s
        self._one_at_a_time = asyncio.Lock()

    async def put(self, anomaly: Anomaly, *, acknowledged: bool, verdict: Verdict | None, note: str, by: str) -> Label:
        """Say this of it, in place of what was said before; raises `LogUnavailable` or `NotReady`."""
        label = Label(acknowledged, verdict, note, by, self._clock.now_ns(), anomaly.device, anomaly.kind)
        async with self._one_at_a_time:
            await self.labels.sync(self._wait_s)
            await self._append([Record(anomaly.id, encode(label)), *self._quiet(anomaly, label)])
        return label

    async def forget(self, device: str) -> None:
        """Nothing that was said of this device's anomalies is kept; raises `LogUnavailable` or `NotReady`."""
        async with self._one_at_a_time:
            await self.labels.sync(self._wait_s)
            keys = self.labels.keys_of(device)
            if keys:
                await self._append([Record(key, None) for key in keys])

    def _quiet(self, anomaly: Anomaly, label: Label) -> list[Record]:
        """What becomes of the acknowledgement of its kind on its device."""
        key = _quiet_key(anomaly.device, anomaly.kind)
        if label.acknowledged:
            return [Record(key, msgspec.json.encode(Acknowledged(anomaly.id, label.at_ns)))]
        last = self.labels.acknowledged(anomaly.device, anomaly.kind)
        return [Record(key, None)] if last is not None and last.id == anomaly.id else []

    async def _append(self, records: list[Record]) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._log.append(LABELS, records)
        except TimeoutError as e:
            raise LogUnavailable("the log did not take the label in time", retry_after_s=1.0) from e
        await self.labels.sync(self._wait_s)


def _quiet_key(device: str, kind: str) -> str:
    return f"acknowledged/{device}/{kind}"


def _is_of(entry: Entry, device: str) -> bool:
    try:
        return decode(entry.value or b"").device == device
    except Malformed:
        return False
