"""A small world for stateful consumers: an operator whose every bit depends on what it was told and in which order."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from consumers.keyed import Keyed
from consumers.operator import Arrival, Lane, Work
from telemetry.batch import Batch, Dropped, Series
from telemetry.clock import Clock, SystemClock
from telemetry.errors import Malformed
from telemetry.ports import Log, Record
from telemetry.records import batch_record
from telemetry.settings import Consumers

T0_NS = 1_763_800_000_000_000_000
S = 10**9
SETTINGS = Consumers(flush_wait_s=0.01, backoff_s=0.01, backoff_max_s=0.02, checkpoint_s=10**6)
SILENT_NS = 100 * S


class Said(msgspec.Struct, frozen=True, array_like=True, order=True):
    """What an operator says: an identity, and the bits that follow from all that came before."""

    device: str
    what: str
    number: int
    bits: str


class Told(msgspec.Struct, array_like=True):
    """An operator's whole state."""

    device: str
    sums: dict[str, float] = {}
    said: int = 0
    heard_ns: int = 0
    is_silent: bool = False


class Adder:
    """Adds up what it is told; never the same twice."""

    def __init__(self, told: Told) -> None:
        self.told = told

    def apply(self, arrival: Arrival) -> list[Said]:
        told = self.told
        said = []
        if told.is_silent:
            told.is_silent = False
            said.append(self._say("back", arrival.received_ns))
        told.heard_ns = max(told.heard_ns, arrival.received_ns)
        lane = "live" if arrival.lane is Lane.LIVE else f"{arrival.lane}/{arrival.batch.session}"
        total = told.sums.get(lane, told.sums.get("live", 0.1))
        for series in arrival.batch.series:
            for value in series.values["x"]:
                total = total * 1.0000001 + float(value or 0) / 3.0
        told.sums[lane] = total
        said.append(self._say(f"{lane}/{arrival.batch.seq}", struct.unpack("<q", struct.pack("<d", total))[0]))
        return said

    def end_session(self, session: str) -> list[Said]:
        total = self.told.sums.pop(f"backlog/{session}", 0.0)
        return [self._say(f"end/{session}", round(total * 1000))]

    def pass_time(self, received_ns: int) -> list[Said]:
        assert self.due_ns is not None
        assert received_ns >= self.due_ns
        self.told.is_silent = True
        return [self._say("silent", received_ns)]

    @property
    def due_ns(self) -> int | None:
        return None if self.told.is_silent else self.told.heard_ns + SILENT_NS

    @property
    def size_bytes(self) -> int:
        return 1_000

    def freeze(self) -> bytes:
        return msgspec.msgpack.encode(self.told)

    def _say(self, what: str, bits: int) -> Said:
        self.told.said += 1
        return Said(self.told.device, what, self.told.said, str(bits))


class Adders:
    """Makes them."""

    def fresh(self, device: str) -> Adder:
        return Adder(Told(device))

    def thaw(self, device: str, frozen: bytes) -> Adder:
        try:
            return Adder(msgspec.msgpack.decode(frozen, type=Told))
        except msgspec.MsgspecError as e:
            raise Malformed(str(e)) from e


@dataclass
class Heap:
    """A sink that keeps all it was ever given; `script` are failures, one a write."""

    written: list[Said] = field(default_factory=list)
    script: list[BaseException | None] = field(default_factory=list)

    async def write(self, outputs: Sequence[Said]) -> None:
        failure = self.script.pop(0) if self.script else None
        self.written.extend(outputs)
        if failure is not None:
            raise failure

    def distinct(self) -> list[Said]:
        """Each once; the same device and number must always have had the same content."""
        by_id: dict[tuple[str, int], Said] = {}
        for said in self.written:
            assert by_id.setdefault((said.device, said.number), said) == said
        return sorted(by_id.values())


@dataclass
class Gone:
    """Deletions that a test makes."""

    at_ns: dict[str, int] = field(default_factory=dict)
    version: int = 0

    def is_deleted(self, device: str, received_ns: int) -> bool:
        return received_ns <= self.at_ns.get(device, -1)

    def deleted(self) -> list[str]:
        return list(self.at_ns)

    def delete(self, device: str, at_ns: int) -> None:
        self.at_ns[device] = at_ns
        self.version += 1


def keyed(
    log: Log,
    sink: Heap,
    *,
    gone: Gone | None = None,
    clock: Clock | None = None,
    operators: Any = None,
    **settings: Any,
) -> Keyed[Said]:
    async def refresh() -> None:
        return None

    chosen = Consumers(**SETTINGS.model_dump() | settings)
    work = Work("adder", operators or Adders(), sink)
    return Keyed(log, work, chosen, clock or SystemClock(), deletions=gone or Gone(), refresh=refresh)


def batch(device: str, session: str, seq: int, at_ns: int, *, n: int = 3, dropped: bool = False) -> Batch:
    """Readings that end at `at_ns`."""
    if dropped:
        return Batch(device, session, seq, (), Dropped(5, "spool_full"))
    t = at_ns - np.arange(n, dtype=np.int64)[::-1] * 10_000_000
    return Batch(device, session, seq, (Series.of("gravity", t, {"x": np.sin(np.arange(n) + seq)}),))


def record(
    device: str, session: str, seq: int, received_ns: int, newest_ns: int | None = None, *, dropped: bool = False
) -> Record:
    """A batch received then; its newest reading is half a second old unless told."""
    at_ns = received_ns - S // 2 if newest_ns is None else newest_ns
    return batch_record(batch(device, session, seq, at_ns, dropped=dropped), received_ns=received_ns, dialect="native")
