"""States that survive: the same outputs and the same bits, wherever polls cut and wherever the process died."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from consumers import checkpoints
from consumers.keyed import Keyed
from consumers.operator import Arrival
from consumers.processor import Stateful
from telemetry import metrics
from telemetry.clock import ManualClock
from telemetry.errors import LogUnavailable, StoreUnavailable
from telemetry.logs.memory import Config, MemoryLog
from telemetry.ports import BATCHES, CHECKPOINTS, Entry, Position, Record, Topic
from tests.consumers.keyed_world import T0_NS, Adder, Adders, Gone, Heap, Said, Told, keyed, record

S = 10**9
ZERO = frozenset({0})
BYTES = 2**30
UNHURRIED = settings(deadline=None, max_examples=100, phases=(Phase.explicit, Phase.reuse, Phase.generate))


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


class MortalLog(MemoryLog):
    """Dies around an append of checkpoints when its countdown ends: before it, or after it was durable."""

    def __init__(self) -> None:
        super().__init__(Config())
        self.appends_left: int | None = None
        self.error: BaseException = Crash()
        self.is_after = False

    async def append(self, topic: Topic, records: Sequence[Record]) -> list[Position]:
        if topic is not CHECKPOINTS or self.appends_left is None:
            return await super().append(topic, records)
        self.appends_left -= 1
        if self.appends_left > 0:
            return await super().append(topic, records)
        self.appends_left = None
        if self.is_after:
            await super().append(topic, records)
        raise self.error


async def entries_of(log: MemoryLog, topic: Topic = BATCHES, offset: int = 0) -> list[Entry]:
    return await log.read(topic, offset, records_max=10**6, bytes_max=BYTES) if log.end(topic) > offset else []


async def states_of(log: MemoryLog) -> dict[str, tuple[Any, ...]]:
    """What the checkpoints say of each device; how far its partition was when it last changed is not its state."""
    states = {}
    for entry in await entries_of(log, CHECKPOINTS):
        if "@" not in entry.key and entry.value is not None:
            s = checkpoints.thaw(entry.value)
            states[s.device] = (s.received_ns, s.asked_ns, str(s.order), s.operator)
    return states


records = st.builds(
    lambda device, session, seq, at_s, age_s, dropped: (device, session, seq, at_s, age_s, dropped),
    st.sampled_from("abcde"),
    st.sampled_from("pqr"),
    st.integers(0, 9),
    st.integers(0, 40),
    st.sampled_from([0.5, 0.5, 0.5, 400.0]),
    st.sampled_from([False, False, False, True]),
)


def stream(drawn: Sequence[tuple[str, str, int, int, float, bool]]) -> list[Record]:
    """Records whose receive time goes on by what was drawn."""
    made, at_ns = [], T0_NS
    for device, session, seq, later_s, age_s, dropped in drawn:
        at_ns += later_s * S
        made.append(record(device, session, seq, at_ns, at_ns - round(age_s * S), dropped=dropped))
    return made


async def undisturbed(made: Sequence[Record]) -> tuple[list[Said], dict[str, tuple[Any, ...]]]:
    log, heap = MemoryLog(Config()), Heap()
    await log.append(BATCHES, made)
    consumer = keyed(log, heap, checkpoint_s=10**6)
    await consumer.adopt(ZERO)
    await consumer.process(await entries_of(log))
    await consumer.save()
    consumer.close()
    return heap.distinct(), await states_of(log)


@UNHURRIED
@given(st.lists(records, min_size=1, max_size=60), st.lists(st.integers(1, 9), max_size=30), st.integers(1, 3))
def test_cuts_saves_and_evictions_change_no_bit(
    drawn: list[tuple[str, str, int, int, float, bool]], cuts: list[int], hot_max: int
) -> None:
    async def run() -> None:
        made = stream(drawn)
        expected = await undisturbed(made)
        log, heap = MemoryLog(Config()), Heap()
        await log.append(BATCHES, made)
        consumer = keyed(log, heap, states_max=hot_max, checkpoint_s=1e-9)
        await consumer.adopt(ZERO)
        left = await entries_of(log)
        for cut in [*cuts, len(left)]:
            await consumer.process(left[:cut])
            left = left[cut:]
        await consumer.save()
        assert len(consumer.states) <= hot_max
        assert sorted(heap.written) == expected[0]  # each once even in what was written
        assert await states_of(log) == expected[1]
        consumer.close()

    asyncio.run(run())


deaths = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.sampled_from(["crash", "save", "sink", "log", "append"]),
        st.integers(1, 4),
        st.booleans(),
    ),
    max_size=12,
)


@UNHURRIED
@given(st.lists(records, min_size=1, max_size=60), deaths, st.integers(1, 4))
def test_a_process_that_dies_anywhere_says_the_same_once(
    drawn: list[tuple[str, str, int, int, float, bool]], script: list[tuple[int, str, int, bool]], hot_max: int
) -> None:
    async def run() -> None:
        made = stream(drawn)
        expected = await undisturbed(made)
        log, heap = MortalLog(), Heap()
        await log.append(BATCHES, made)
        consumer: Keyed[Said] | None = None
        at = 0
        for taken, what, countdown, is_after in [*script, (len(made), "end", 0, False)]:
            if consumer is None:
                consumer = keyed(log, heap, states_max=hot_max, checkpoint_s=10**6)
                at = (await consumer.adopt(ZERO))[0]
            if what == "sink":
                heap.script = [StoreUnavailable("the reply was lost")]
            if what in ("log", "append"):
                log.appends_left, log.is_after = countdown, is_after
                log.error = Crash() if what == "log" else LogUnavailable("no answer")
            try:
                await consumer.process((await entries_of(log, BATCHES, at))[:taken])
                at += taken
                if what in ("save", "end", "log"):
                    await consumer.save()
                has_died = what == "crash"
            except (StoreUnavailable, LogUnavailable):
                continue  # the same records again, as the runner does
            except Crash:
                has_died = True
            log.appends_left, heap.script = None, []
            if has_died:
                consumer.close()
                consumer = None
        if consumer is None or at < len(made):
            consumer = consumer or keyed(log, heap, checkpoint_s=10**6)
            await consumer.process(await entries_of(log, BATCHES, (await consumer.adopt(ZERO))[0]))
            await consumer.save()
        consumer.close()
        assert heap.distinct() == expected[0]
        assert await states_of(log) == expected[1]

    asyncio.run(run())


# --- one thing each


async def started(made: Sequence[Record], heap: Heap | None = None, **options: Any) -> tuple[MemoryLog, Keyed[Said]]:
    log = MemoryLog(Config())
    await log.append(BATCHES, made)
    consumer = keyed(log, heap or Heap(), **options)
    await consumer.adopt(ZERO)
    return log, consumer


def test_it_is_what_the_runner_takes_for_stateful() -> None:
    assert isinstance(keyed(MemoryLog(Config()), Heap()), Stateful)


async def test_nothing_is_committable_before_states_and_marker_are_durable() -> None:
    log, consumer = await started([record("a", "s", k, T0_NS + k * S) for k in range(5)], checkpoint_s=10**6)
    await consumer.process(await entries_of(log))
    assert consumer.committable() == {}
    assert consumer.uncommitted() == 5
    await consumer.save()
    assert consumer.committable() == {0: 5}
    assert [e.key for e in await entries_of(log, CHECKPOINTS)] == ["adder/a", "adder/@0"]
    assert not consumer.is_save_due()


async def test_states_are_saved_when_it_is_time() -> None:
    clock = ManualClock()
    log, consumer = await started([record("a", "s", k, T0_NS) for k in range(3)], clock=clock, checkpoint_s=10.0)
    entries = await entries_of(log)
    await consumer.process(entries[:1])
    assert consumer.committable() == {}
    await clock.advance(10.0)
    assert consumer.is_save_due()
    await consumer.process(entries[1:2])
    assert consumer.committable() == {0: 2}


async def test_a_devices_silence_is_heard_through_the_others_once() -> None:
    heap = Heap()
    made = [record("quiet", "s", 0, T0_NS), record("gone", "s", 0, T0_NS)]
    made += [record("busy", "s", k, T0_NS + k * 2 * S) for k in range(400)]
    made += [record("quiet", "s", 1, T0_NS + 800 * S)]
    log, consumer = await started(made, heap, states_max=1)
    await consumer.process(await entries_of(log))
    silent = [(said.device, said.what) for said in heap.distinct() if said.what in ("silent", "back")]
    assert silent == [("gone", "silent"), ("quiet", "back"), ("quiet", "silent")]


async def test_a_night_without_a_gateway_makes_nobody_silent() -> None:
    heap = Heap()
    made = [record(d, "s", k, T0_NS + k * S) for k in range(100) for d in "abc"]
    made += [record(d, "s", 100 + k, T0_NS + (50_000 + k) * S) for k in range(100) for d in "abc"]
    log, consumer = await started(made, heap)
    await consumer.process(await entries_of(log))
    assert not [said for said in heap.distinct() if said.what == "silent"]


async def test_a_deleted_devices_state_is_gone_and_a_new_one_of_that_name_starts_afresh() -> None:
    heap, gone = Heap(), Gone()
    made = [record("a", "s", 0, T0_NS), record("b", "s", 0, T0_NS), record("a", "s", 1, T0_NS + S)]
    made += [record("a", "t", 0, T0_NS + 9 * S), record("b", "s", 1, T0_NS + 9 * S)]
    log, consumer = await started(made, heap, gone=gone, states_max=1)
    entries = await entries_of(log)
    await consumer.process(entries[:2])
    await consumer.save()
    gone.delete("a", T0_NS + 5 * S)
    await consumer.process(entries[2:3])
    assert {e.key: e.value is None for e in await entries_of(log, CHECKPOINTS)} == {
        "adder/a": True,
        "adder/b": False,
        "adder/@0": False,
    }
    await consumer.process(entries[3:])
    assert [said.number for said in heap.distinct() if said.device == "a"] == [1]  # once more the first of its kind
    assert [said.number for said in heap.distinct() if said.device == "b"] == [1, 2]


class SlowToCompact(MemoryLog):
    """Keeps every checkpoint, as a broker does for a while."""

    async def append(self, topic: Topic, records: Sequence[Record]) -> list[Position]:
        return await super().append(Topic(topic.name), records)


async def test_an_outdated_record_of_a_zombie_is_ignored_and_written_over() -> None:
    log = SlowToCompact(Config())
    await log.append(BATCHES, [record("a", "s", k, T0_NS + k * S) for k in range(6)])
    entries = await entries_of(log)
    zombie, owner = keyed(log, Heap()), keyed(log, Heap())
    await zombie.adopt(ZERO)
    await zombie.process(entries[:2])
    await owner.adopt(ZERO)
    await owner.process(entries)
    await owner.save()
    good = await states_of(log)
    await zombie.save()  # nobody committed yet, so it cannot know
    assert await states_of(log) != good
    heir = keyed(log, Heap())
    assert await heir.adopt(ZERO) == {0: 6}
    assert await states_of(log) == good
    assert [e.key for e in (await entries_of(log, CHECKPOINTS))[-2:]] == ["adder/a", "adder/@0"]


async def test_a_member_that_hung_does_not_save_over_who_went_on() -> None:
    log, hung = await started([record("a", "s", k, T0_NS + k * S) for k in range(6)])
    await hung.process((await entries_of(log))[:2])
    reader = await log.reader(BATCHES, "adder")
    await reader.commit({0: 6})  # somebody else's
    await hung.save()
    assert await entries_of(log, CHECKPOINTS) == []
    assert hung.committable() == {}


async def test_states_of_another_log_are_not_used(caplog: pytest.LogCaptureFixture) -> None:
    log, consumer = await started([record("a", "s", k, T0_NS + k * S) for k in range(6)])
    await consumer.process(await entries_of(log))
    await consumer.save()
    other, heap = MemoryLog(Config()), Heap()
    await other.append(BATCHES, [record("a", "s", k, T0_NS + k * S) for k in range(3)])
    copies = [Record(e.key, e.value, e.headers) for e in await entries_of(log, CHECKPOINTS)]
    await other.append(CHECKPOINTS, copies)
    again = keyed(other, heap)
    assert await again.adopt(ZERO) == {0: 0}
    assert "of another log" in caplog.text
    await again.process(await entries_of(other))
    assert [said.number for said in heap.distinct()] == [1, 2, 3]


async def test_a_state_that_cannot_be_read_starts_afresh_and_is_counted() -> None:
    log, consumer = await started([record("a", "s", k, T0_NS + k * S) for k in range(40, 44)])
    entries = await entries_of(log)
    await consumer.process(entries[:2])
    await consumer.save()
    kept = next(e for e in await entries_of(log, CHECKPOINTS) if e.key == "adder/a")
    await log.append(CHECKPOINTS, [Record(kept.key, (kept.value or b"")[:-5], kept.headers)])
    before = metrics.states_lost.labels("adder", "unreadable")._value.get()
    heap = Heap()
    again = keyed(log, heap)
    assert await again.adopt(ZERO) == {0: 2}
    await again.process(entries[2:])
    assert [said.number for said in heap.distinct()] == [1, 2]
    assert metrics.states_lost.labels("adder", "unreadable")._value.get() == before + 1


class Stumbling(Adder):
    """Falls over one batch."""

    def apply(self, arrival: Arrival) -> list[Said]:
        if arrival.batch.seq == 2:
            raise ZeroDivisionError("a bug")
        return super().apply(arrival)


class StumblingOnes(Adders):
    def fresh(self, device: str) -> Adder:
        return Stumbling(Told(device))


async def test_a_batch_that_trips_the_operator_costs_its_devices_state_and_no_more() -> None:
    heap = Heap()
    made = [record(d, "s", k, T0_NS + k * S) for k in range(4) for d in ("a", "b") if d == "a" or k != 2]
    log, consumer = await started(made, heap, operators=StumblingOnes())
    await consumer.process(await entries_of(log))
    assert [said.number for said in heap.written if said.device == "a"] == [1, 2, 1]
    assert [said.what for said in heap.written if said.device == "b"] == ["live/0", "live/1"]


class Huge(Adder):
    """A state that no record can hold while it has a backlog."""

    def freeze(self) -> bytes:
        backlogs = sum(lane.startswith("backlog") for lane in self.told.sums)
        return super().freeze() + random.Random(1).randbytes(5 * 2**20 * backlogs)


class HugeOnes(Adders):
    def fresh(self, device: str) -> Adder:
        return Huge(Told(device))


async def test_a_state_that_no_record_can_hold_loses_its_oldest_backlogs() -> None:
    heap = Heap()
    made = [record("a", "live", 0, T0_NS)]
    made += [record("a", f"old{k}", 0, T0_NS + S, T0_NS - 500 * S) for k in range(3)]
    log, consumer = await started(made, heap, operators=HugeOnes())
    await consumer.process(await entries_of(log))
    await consumer.save()
    assert [said.what for said in heap.distinct() if said.what.startswith("end")] == ["end/old0", "end/old1"]
    assert consumer.committable() == {0: 4}


async def test_poison_records_are_passed_by() -> None:
    heap = Heap()
    good = record("a", "s", 1, T0_NS)
    poison = [Record("a", None), Record("a", b"{}", {"seq": "x"}), Record("a", b"{}", {**good.headers})]
    log, consumer = await started([record("a", "s", 0, T0_NS), *poison, record("a", "s", 2, T0_NS)], heap)
    await consumer.process(await entries_of(log))
    await consumer.save()
    assert [said.what for said in heap.distinct()] == ["live/0", "live/2"]
    assert consumer.committable() == {0: 5}


async def test_two_thousand_devices_with_a_few_readings_each_fit_into_a_small_memory() -> None:
    heap = Heap()
    devices = [f"d{k}" for k in range(2_000)]
    made = [record(d, "s", seq, T0_NS + (seq * 100 + k // 20) * S) for seq in range(3) for k, d in enumerate(devices)]
    log, consumer = await started(made, heap, states_max=100, checkpoint_s=10**6)
    await consumer.process(await entries_of(log))
    await consumer.save()
    assert len(consumer.states) <= 100
    assert len(consumer.states.shelf) == 2_000
    assert len([said for said in heap.distinct() if said.what.startswith("live")]) == 6_000
