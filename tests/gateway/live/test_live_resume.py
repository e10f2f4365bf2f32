"""Nothing is lost and nothing told twice, wherever a reader breaks off: random logs, random times, random cuts."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.live.catch_up import CatchUp
from gateway.live.events import ANOMALY, PULSE, READINGS
from gateway.live.follower import Follower
from gateway.live.marks import Mark
from gateway.live.outbox import Outbox
from gateway.live.reader import Reader
from gateway.live.ring import Ring
from gateway.live.stream import Place, Stream, Wanted
from telemetry.clock import ManualClock
from telemetry.logs.memory import Config, MemoryLog
from telemetry.ports import Entry
from tests.gateway.live.live_entries import anomaly_entry, batch_entry, series, shown

DEVICES = ("a", "b", "c", "d")
SENSORS = ("acceleration", "location", "battery", "network")
PARTITIONS = 2
VALUES: dict[str, Any] = {
    "acceleration": {"x": [1.0]},
    "location": {"latitude": [1.0], "longitude": [2.0]},
    "battery": {"level": [0.5]},
    "network": {"text": ["no number"]},
}

Step = tuple[str, Any]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("batch"), st.tuples(st.integers(0, 3), st.lists(st.integers(0, 3), max_size=3))),
        st.tuples(st.just("anomaly"), st.integers(0, 3)),
        st.tuples(st.just("time"), st.sampled_from([0.1, 0.6, 1.2])),
        st.tuples(st.just("read"), st.integers(1, 6)),
        st.tuples(st.just("cut"), st.none()),
    ),
    max_size=60,
)


@dataclass
class Page:
    """A client that keeps the last id, and what it was told."""

    last_id: str = ""
    readings: list[tuple[str, int, str]] = field(default_factory=list)
    anomalies: list[str] = field(default_factory=list)
    batches: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)

    def hear(self, frame: bytes) -> None:
        """One event."""
        lines = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
        self.last_id, data = lines["id"], orjson.loads(lines["data"])
        match lines["event"]:
            case "readings":
                self.readings.append((data["device"], data["seq"], data["sensor"]))
            case "anomaly":
                self.anomalies.append(data["id"])
            case "pulse":
                self.batches[data["device"]] += data["batches"]
                self.counted[data["device"]] += data["readings"]
            case other:
                assert other == "hello"


class Gateway:
    """A follower that is fed by hand, and one reader."""

    def __init__(self, wanted: Wanted, page: Page, cut: int | None = None) -> None:
        self.left = cut
        self.clock = ManualClock()
        self.wanted, self.page = wanted, page
        self.follower = Follower(MemoryLog(Config()), self.clock, lambda *_: False, 2**30)
        zero = dict.fromkeys(range(PARTITIONS), 0)
        self.follower.place = Place(dict(zero), dict(zero))
        self.follower.ring = Ring(self.follower.place, 2**30)
        self.reader = Reader(Stream(wanted, self.follower.place, Outbox(2**30), shown), self.clock)
        self.reader.stream.greet(0)
        self.follower.readers.add(self.reader)
        self.page.hear(self.reader.stream.outbox.take(1))

    async def read(self, n: int) -> None:
        """As `Reader.next` does, an event at a time."""
        self.reader.stream.turn(self.clock.monotonic_s())
        for _ in range(n):
            if self.left == 0:
                self.left = None
                await self.reconnect()
            frame = self.reader.stream.outbox.take(1)
            if not frame:
                return
            self.page.hear(frame)
            self.left = None if self.left is None else self.left - 1

    async def reconnect(self) -> None:
        """What waited is thrown away; a new reader goes on from the page's last id."""
        self.follower.readers.clear()
        mark = Mark.parse(self.page.last_id)
        assert mark is not None
        own = Place(dict(mark.batches), dict(mark.anomalies))
        self.reader = Reader(Stream(self.wanted, own, Outbox(2**30), shown), self.clock)
        self.reader.stream.resume(mark, self.clock.monotonic_s())
        self.reader.stream.greet(0, mark)
        await CatchUp(self.follower, self.reader, 10**6).run(mark)


SCRIPT: list[Step] = [
    ("batch", (0, [0, 1, 3, 0])),
    ("batch", (1, [2])),
    ("batch", (0, [0, 2])),
    ("anomaly", 1),
    ("batch", (2, [1])),
    ("batch", (2, [0])),
    ("batch", (1, [0, 0])),
    ("time", 0.5),
    ("batch", (3, [0])),
    ("anomaly", 0),
    ("batch", (3, [])),
    ("time", 0.6),  # the window closes, with a pulse of each device
    ("batch", (0, [0])),
    ("batch", (1, [0])),
    ("batch", (0, [0])),
]


@pytest.mark.parametrize("kinds", [{READINGS, PULSE, ANOMALY}, {PULSE}, {READINGS}], ids=lambda k: "-".join(sorted(k)))
@pytest.mark.parametrize("is_quick", [True, False], ids=["quick", "lazy"])
def test_no_event_is_lost_or_repeated_at_each_cut_of_a_script(kinds: set[str], is_quick: bool) -> None:
    wanted = Wanted(frozenset(kinds), frozenset(DEVICES))
    for cut in range(40):
        asyncio.run(_run(_eager(SCRIPT) if is_quick else [*SCRIPT, ("cut", None)], wanted, cut))


def _eager(steps: list[Step]) -> list[Step]:
    """Reading after each step."""
    return [step for pair in ((step, ("read", 100)) for step in steps) for step in pair]


@settings(max_examples=60, deadline=None)
@given(
    STEPS,
    st.sampled_from([{READINGS, PULSE, ANOMALY}, {PULSE}, {READINGS, PULSE}, {READINGS, ANOMALY}]),
    st.none() | st.sets(st.sampled_from(DEVICES), min_size=1),
    st.none() | st.sets(st.sampled_from(SENSORS), min_size=1),
)
def test_no_event_is_lost_or_repeated_at_any_cut(
    steps: list[Step], kinds: set[str], devices: set[str] | None, sensors: set[str] | None
) -> None:
    wanted = Wanted(frozenset(kinds), devices and frozenset(devices), sensors and frozenset(sensors))
    asyncio.run(_run(steps, wanted))


async def _run(steps: list[Step], wanted: Wanted, cut: int | None = None) -> None:
    """Told and read as the steps say, and cut off once after `cut` events; then compared with what was written."""
    page = Page()
    gateway = Gateway(wanted, page, cut)
    hand_on = gateway.follower._hand_on
    written: list[Entry] = []
    offsets: Counter[tuple[str, int]] = Counter()
    readings: list[tuple[str, int, str]] = []
    for what, how in steps:
        if what == "batch":
            device, parts = DEVICES[how[0]], [SENSORS[k] for k in how[1]]
            partition, seq = how[0] % PARTITIONS, len(written)
            made = [series(sensor, 1, **VALUES[sensor]) for sensor in parts]
            at = offsets["b", partition]
            written.append(batch_entry(device, seq, made, partition=partition, offset=at, decoded=bool(seq % 2)))
            offsets["b", partition] += 1
            if wanted.has(device) and READINGS in wanted.kinds:
                told = (s for s in parts if s != "network" and (wanted.sensors is None or s in wanted.sensors))
                readings += [(device, seq, sensor) for sensor in told]
            hand_on(written[-1])
        elif what == "anomaly":
            partition = how % PARTITIONS
            at = offsets["a", partition]
            written.append(anomaly_entry(DEVICES[how], len(written), partition=partition, offset=at))
            offsets["a", partition] += 1
            hand_on(written[-1])
        elif what == "time":
            await gateway.clock.advance(how)
        elif what == "read":
            await gateway.read(how)
        else:
            await gateway.reconnect()
    await gateway.read(10**6 if cut is not None else 0)
    await gateway.clock.advance(10)
    await gateway.read(10**6)
    assert sorted(page.readings) == sorted(readings)
    batches = [e for e in written if e.topic == "batches" and PULSE in wanted.kinds and wanted.has(e.key)]
    assert page.batches == Counter(e.key for e in batches)
    counted: Counter[str] = Counter()
    for entry in batches:
        counted[entry.key] += int(entry.headers["readings"])
    assert +page.counted == +counted
    anomalies = [e for e in written if e.topic == "anomalies" and ANOMALY in wanted.kinds and wanted.has(e.key)]
    assert sorted(page.anomalies) == sorted(e.headers["id"] for e in anomalies)
