"""What every log promises, written once.  A suite that imports these tests supplies the fixture `bench`."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from telemetry.errors import Invalid, LogUnavailable, Misconfigured, TooLarge
from telemetry.logs._records import VALUE_BYTES_MAX
from telemetry.ports import AUDIT, BATCHES, CHECKPOINTS, DEVICES, Entry, Log, Reader, Record, Topic
from telemetry.table import Table

TOPICS = (AUDIT, BATCHES, CHECKPOINTS, DEVICES)
PATIENCE_S = 30.0
MIB = 2**20


class Opener(Protocol):
    """How a suite makes its log, not started; called again for the same data (unless it is in memory)."""

    def __call__(self, topics: Sequence[Topic]) -> Log: ...


@dataclass
class Bench:
    """One test's log: how it is made, and what this adapter cannot do."""

    make: Opener
    outlives_process: bool = True
    prunes: bool = True
    many_partitions: bool = False
    opened: list[Log] = field(default_factory=list)

    async def open(self) -> Log:
        """A started log over this test's data."""
        log = self.make(TOPICS)
        self.opened.append(log)
        await log.start()
        return log

    async def close(self) -> None:
        """Let go of all."""
        for log in self.opened:
            await log.close()


def record(key: str, value: bytes | str | None, **headers: str) -> Record:
    return Record(key, value.encode() if isinstance(value, str) else value, headers)


async def read(reader: Reader, n: int, *, records_max: int = 1000, bytes_max: int = 64 * MIB) -> list[Entry]:
    """Poll until `n` entries came; fails when more come with them, or not enough in time."""
    entries: list[Entry] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(entries) < n:
            entries += await reader.poll(records_max=records_max, bytes_max=bytes_max, wait_s=1.0)
    assert len(entries) == n
    return entries


async def nothing_more(reader: Reader) -> None:
    assert await reader.poll(records_max=10, bytes_max=MIB, wait_s=0.3) == []


def after(entries: Sequence[Entry]) -> dict[int, int]:
    """The positions to commit once these entries are done."""
    positions: dict[int, int] = {}
    for entry in entries:
        positions[entry.partition] = max(positions.get(entry.partition, 0), entry.offset + 1)
    return positions


def values(entries: Sequence[Entry]) -> list[bytes | None]:
    return [entry.value for entry in entries]


async def owned(*readers: Reader) -> None:
    """Wait until each of these members owns something, polling as a consumer does."""
    async with asyncio.timeout(PATIENCE_S):
        while not all(reader.assignment() for reader in readers):
            for reader in readers:
                await reader.poll(records_max=1, bytes_max=1, wait_s=0.1)


# --- append ---------------------------------------------------------------------------------------------------


async def test_what_is_appended_is_read_back_whole(bench: Bench) -> None:
    log = await bench.open()
    before_ns = time.time_ns()
    sent = [record("a", b"\x00\xff", seq="1", hash="x y"), record("b", b""), record("a", b"z" * 10_000)]
    positions = await log.append(BATCHES, sent)
    reader = await log.follow(BATCHES)
    entries = {(e.partition, e.offset): e for e in await read(reader, 3)}
    for given, position in zip(sent, positions, strict=True):
        entry = entries[position]
        assert (entry.topic, entry.key, entry.value) == ("batches", given.key, given.value)
        assert dict(entry.headers) == dict(given.headers)
        assert before_ns - 10**9 < entry.appended_ns <= time.time_ns() + 10**9
    assert positions[0].partition == positions[2].partition
    assert positions[0].offset < positions[2].offset


async def test_a_record_goes_where_it_must(bench: Bench) -> None:
    log = await bench.open()
    for partition in await log.ends(CHECKPOINTS):
        record_ = Record("the same key", b"v", partition=partition)
        assert [p.partition for p in await log.append(CHECKPOINTS, [record_])] == [partition]
    with pytest.raises(Invalid, match="partition 99"):
        await log.append(CHECKPOINTS, [Record("a", b"v"), Record("b", b"v", partition=99)])


async def test_an_empty_append_is_nothing(bench: Bench) -> None:
    log = await bench.open()
    ends = await log.ends(BATCHES)
    assert await log.append(BATCHES, []) == []
    assert await log.ends(BATCHES) == ends


async def test_keys_and_headers_may_be_any_text(bench: Bench) -> None:
    log = await bench.open()
    texts = ["", "Ünïcödé", "日本語", "🛰️" * 10, "a'b\"c;--", "\x00null\x00", "\u202eabc", "x" * 3000]
    await log.append(DEVICES, [record(text, b"v", header=text) for text in texts])
    entries = await read(await log.follow(DEVICES), len(texts))
    assert [(e.key, e.headers["header"]) for e in entries] == [(t, t) for t in texts]


async def test_half_a_surrogate_is_refused_before_anything_is_written(bench: Bench) -> None:
    log = await bench.open()
    ends = await log.ends(BATCHES)
    with pytest.raises(Invalid):
        await log.append(BATCHES, [record("fine", b"v"), record("\ud800", b"v")])
    with pytest.raises(Invalid):
        await log.append(BATCHES, [record("fine", b"v", header="\udfff")])
    assert await log.ends(BATCHES) == ends


async def test_a_record_over_the_limit_is_refused_and_one_at_the_limit_is_not(bench: Bench) -> None:
    log = await bench.open()
    with pytest.raises(TooLarge):
        await log.append(BATCHES, [record("d", bytes(VALUE_BYTES_MAX + MIB))])
    whole = bytes(range(256)) * (VALUE_BYTES_MAX // 256)
    await log.append(BATCHES, [record("d", whole)])
    assert values(await read(await log.follow(BATCHES), 1, bytes_max=1)) == [whole]


async def test_order_is_kept_by_key_under_fifty_appenders(bench: Bench) -> None:
    log = await bench.open()

    async def appender(k: int) -> list[tuple[int, int]]:
        places: list[tuple[int, int]] = []
        for i in range(0, 10, 2):
            places += await log.append(BATCHES, [record(f"d{k}", f"{i}"), record(f"d{k}", f"{i + 1}")])
        return places

    places = await asyncio.gather(*(appender(k) for k in range(50)))
    entries = await read(await log.follow(BATCHES), 500)
    for k in range(50):
        mine = [e for e in entries if e.key == f"d{k}"]
        assert values(mine) == [str(i).encode() for i in range(10)]
        assert [(e.partition, e.offset) for e in mine] == places[k]
    assert len({(e.partition, e.offset) for e in entries}) == 500


async def test_a_topic_the_log_does_not_have_is_named(bench: Bench) -> None:
    log = await bench.open()
    for call in (log.append(Topic("nowhere"), [record("a", b"")]), log.follow(Topic("nowhere"))):
        with pytest.raises(Misconfigured, match="nowhere"):
            await call


# --- groups ---------------------------------------------------------------------------------------------------


async def test_a_group_resumes_after_its_commit(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", str(i)) for i in range(5)])
    first = await log.reader(BATCHES, "index")
    entries = await read(first, 5)
    await first.commit(after(entries[:3]))
    await first.close()
    again = await log.reader(BATCHES, "index")
    assert values(await read(again, 2)) == [b"3", b"4"]
    assert await log.committed(BATCHES, "index") == after(entries[:3])


async def test_what_was_not_committed_comes_again(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", str(i)) for i in range(3)])
    first = await log.reader(BATCHES, "index")
    assert len(await read(first, 3)) == 3
    await first.close()
    assert values(await read(await log.reader(BATCHES, "index"), 3)) == [b"0", b"1", b"2"]
    assert await log.committed(BATCHES, "index") == {}


async def test_groups_do_not_see_each_other(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", b"1"), record("d", b"2")])
    index, ledger = await log.reader(BATCHES, "index"), await log.reader(BATCHES, "ledger")
    await index.commit(after(await read(index, 2)))
    assert values(await read(ledger, 2)) == [b"1", b"2"]
    assert await log.committed(BATCHES, "ledger") == {}


async def test_a_group_gives_a_record_to_one_member_and_a_closed_members_part_to_another(bench: Bench) -> None:
    log = await bench.open()
    one = await log.reader(BATCHES, "index")
    await owned(one)
    await log.append(BATCHES, [record(f"d{i}", b"1") for i in range(20)])
    taken = await read(one, 20)
    await one.commit(after(taken))
    two = await log.reader(BATCHES, "index")
    await nothing_more(two)
    await one.close()
    await log.append(BATCHES, [record(f"d{i}", b"2") for i in range(20)])
    assert values(await read(two, 20)) == [b"2"] * 20


async def test_two_members_share_the_partitions(bench: Bench, request: pytest.FixtureRequest) -> None:
    if not bench.many_partitions:
        request.applymarker(pytest.mark.xfail(strict=True, raises=TimeoutError, reason="one partition, one owner"))
    log = await bench.open()
    one = await log.reader(BATCHES, "index")
    gone: list[frozenset[int]] = []

    async def note(partitions: frozenset[int]) -> None:
        gone.append(partitions)

    one.on_revoked(note)
    await owned(one)
    two = await log.reader(BATCHES, "index")
    async with asyncio.timeout(PATIENCE_S if bench.many_partitions else 1.0):
        await asyncio.gather(*(_settle_in(reader, two) for reader in (one, two)))
    assert one.assignment() & two.assignment() == frozenset()
    assert one.assignment() | two.assignment() == frozenset(await log.ends(BATCHES))
    await log.append(BATCHES, [record(f"d{i}", str(i)) for i in range(60)])
    parts = await asyncio.gather(*(_read_for(reader, 3.0) for reader in (one, two)))
    assert sorted(e.key for part in parts for e in part) == sorted(f"d{i}" for i in range(60))
    for reader, part in zip((one, two), parts, strict=True):
        assert {e.partition for e in part} <= reader.assignment()
    assert gone


async def _settle_in(reader: Reader, newcomer: Reader) -> None:
    while not newcomer.assignment():
        assert await reader.poll(records_max=10, bytes_max=MIB, wait_s=0.1) == []


async def _read_for(reader: Reader, wait_s: float) -> list[Entry]:
    entries: list[Entry] = []
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        entries += await reader.poll(records_max=100, bytes_max=MIB, wait_s=0.2)
    return entries


async def test_committing_what_one_does_not_own_is_no_error(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", b"1")])
    reader = await log.reader(BATCHES, "index")
    await read(reader, 1)
    await reader.commit({4_000: 1})
    await reader.commit({})
    assert 4_000 not in await log.committed(BATCHES, "index")


# --- reading --------------------------------------------------------------------------------------------------


async def test_seek_reads_again(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", str(i)) for i in range(4)])
    reader = await log.reader(BATCHES, "index")
    entries = await read(reader, 4)
    await reader.seek({entries[1].partition: entries[1].offset})
    assert values(await read(reader, 3)) == [b"1", b"2", b"3"]
    await nothing_more(reader)


async def test_seek_forgets_what_was_fetched_ahead(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", str(i)) for i in range(4)])
    reader = await log.reader(BATCHES, "index")
    first = await read(reader, 1, records_max=1)
    await reader.seek({first[0].partition: first[0].offset})
    assert values(await read(reader, 4)) == [b"0", b"1", b"2", b"3"]


async def test_following_starts_where_it_is_told_and_commits_nothing(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", str(i)) for i in range(4)])
    whole = await log.follow(BATCHES)
    entries = await read(whole, 4)
    await whole.commit(after(entries))
    part = await log.follow(BATCHES, {entries[2].partition: entries[2].offset})
    assert values(await read(part, 2)) == [b"2", b"3"]
    assert part.assignment() == frozenset(await log.ends(BATCHES))
    assert values(await read(await log.follow(BATCHES), 4)) == [b"0", b"1", b"2", b"3"]


async def test_a_poll_gives_no_more_than_asked(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", bytes([i]) * 1000) for i in range(10)])
    reader = await log.follow(BATCHES)
    sizes: list[int] = []
    seen: list[Entry] = []
    while len(seen) < 10:
        entries = await reader.poll(records_max=3, bytes_max=2_500, wait_s=5.0)
        assert len(entries) <= 3
        assert sum(len(e.value or b"") for e in entries) <= 2_500
        sizes.append(len(entries))
        seen += entries
    assert values(seen) == [bytes([i]) * 1000 for i in range(10)]
    assert max(sizes) == 2


async def test_a_record_larger_than_asked_comes_alone(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", b"1"), record("d", bytes(3 * MIB)), record("d", b"3")])
    reader = await log.follow(BATCHES)
    polls = [[len(e.value or b"") for e in await read(reader, 1, records_max=10, bytes_max=1000)] for _ in range(3)]
    assert polls == [[1], [3 * MIB], [1]]


async def test_a_poll_waits_for_an_append_and_not_longer(bench: Bench) -> None:
    log = await bench.open()
    reader = await log.reader(BATCHES, "index")
    await owned(reader)
    started = time.monotonic()
    assert await reader.poll(records_max=10, bytes_max=MIB, wait_s=0.3) == []
    assert 0.2 < time.monotonic() - started < 3.0
    waiting = asyncio.create_task(reader.poll(records_max=10, bytes_max=MIB, wait_s=20.0))
    await asyncio.sleep(0.1)
    started = time.monotonic()
    await log.append(BATCHES, [record("d", b"news")])
    assert values(await waiting) == [b"news"]
    assert time.monotonic() - started < 5.0


async def test_a_poll_that_may_not_wait_still_lets_others_run(bench: Bench) -> None:
    log = await bench.open()
    reader = await log.reader(BATCHES, "index")
    await owned(reader)
    other = asyncio.create_task(asyncio.sleep(0))
    for _ in range(3):
        assert await reader.poll(records_max=10, bytes_max=MIB, wait_s=0.0) == []
    assert other.done()


async def test_lag_counts_what_is_not_committed(bench: Bench) -> None:
    log = await bench.open()
    reader = await log.reader(BATCHES, "index")
    await log.append(BATCHES, [record("d", str(i)) for i in range(6)])
    entries = await read(reader, 6)
    assert await reader.lag() == 6
    await reader.commit(after(entries[:4]))
    assert await reader.lag() == 2
    await reader.commit(after(entries))
    assert await reader.lag() == 0


async def test_begins_ends_and_positions_meet(bench: Bench) -> None:
    log = await bench.open()
    assert await log.begins(BATCHES) == await log.ends(BATCHES)
    assert set((await log.ends(BATCHES)).values()) == {0}
    positions = await log.append(BATCHES, [record(f"d{i}", b"v") for i in range(9)])
    ends = await log.ends(BATCHES)
    assert sum(ends.values()) == 9
    assert all(offset < ends[partition] for partition, offset in positions)
    assert set((await log.begins(BATCHES)).values()) == {0}
    reader = await log.follow(BATCHES)
    assert set((await reader.position()).values()) == {0}
    await read(reader, 9)
    assert await reader.position() == ends
    assert await log.committed(BATCHES, "nobody") == {}


async def test_a_topic_of_one_partition_has_one(bench: Bench) -> None:
    log = await bench.open()
    assert set(await log.ends(DEVICES)) == {0}


# --- end and beginning ----------------------------------------------------------------------------------------


async def test_what_was_acknowledged_is_there_after_reopening(bench: Bench) -> None:
    if not bench.outlives_process:
        pytest.skip("this log forgets, and says so")
    log = await bench.open()
    await log.append(BATCHES, [record("d", str(i), n=str(i)) for i in range(10)])
    reader = await log.reader(BATCHES, "index")
    entries = await read(reader, 10)
    await reader.commit(after(entries[:7]))
    await reader.close()
    await log.close()
    log = await bench.open()
    assert [(e.value, e.headers["n"]) for e in await read(await log.follow(BATCHES), 10)] == [
        (str(i).encode(), str(i)) for i in range(10)
    ]
    assert values(await read(await log.reader(BATCHES, "index"), 3)) == [b"7", b"8", b"9"]
    (position,) = await log.append(BATCHES, [record("d", b"next")])
    assert position.offset == entries[-1].offset + 1


async def test_closing_twice_is_fine_and_a_closed_log_says_so(bench: Bench) -> None:
    log = await bench.open()
    reader = await log.follow(BATCHES)
    await reader.close()
    await reader.close()
    await log.close()
    await log.close()
    with pytest.raises(LogUnavailable):
        await log.append(BATCHES, [record("d", b"v")])
    with pytest.raises(LogUnavailable):
        await reader.poll(records_max=1, bytes_max=1, wait_s=0.0)


async def test_starting_again_changes_nothing(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", b"v")])
    await log.start()
    assert values(await read(await log.follow(BATCHES), 1)) == [b"v"]


# --- compacted topics -----------------------------------------------------------------------------------------


async def _table(log: Log, topic: Topic = CHECKPOINTS, **options: Any) -> Table:
    return await Table.open(log, topic, timeout_s=PATIENCE_S, **options)


def contents(table: Table) -> Mapping[str, bytes | None]:
    return {e.key: e.value for e in table.scan()}


async def test_a_table_holds_the_last_of_each_key_when_it_opens(bench: Bench) -> None:
    log = await bench.open()
    for version in (b"1", b"2", b"3"):
        await log.append(CHECKPOINTS, [record(f"k{i}", version + b"-" + str(i).encode()) for i in range(8)])
    await log.append(CHECKPOINTS, [record("k3", None), record("k5", None)])
    await log.append(CHECKPOINTS, [record("k5", b"back", why="replay")])
    table = await _table(log)
    expected = {f"k{i}": b"3-" + str(i).encode() for i in range(8) if i != 3} | {"k5": b"back"}
    assert contents(table) == expected
    assert table.get("k3") is None
    entry = table.get("k5")
    assert entry is not None
    assert (entry.topic, entry.key, dict(entry.headers)) == ("checkpoints", "k5", {"why": "replay"})
    assert table.get("nothing") is None
    await table.close()
    await table.close()


async def test_a_table_follows(bench: Bench) -> None:
    log = await bench.open()
    table = await _table(log, DEVICES)
    assert contents(table) == {}
    version = table.version
    await log.append(DEVICES, [record("d", b"1")])
    await table.sync(PATIENCE_S)
    assert contents(table) == {"d": b"1"}
    assert table.version > version
    version = table.version
    await log.append(DEVICES, [record("d", None)])
    await table.sync(PATIENCE_S)
    assert contents(table) == {}
    assert table.version > version
    await table.close()


async def test_a_quiet_table_stays_current(bench: Bench) -> None:
    log = await bench.open()
    table = await _table(log, DEVICES)
    for _ in range(6):
        await asyncio.sleep(0.4)
        assert table.age_s() < 2.0
    await table.close()


async def test_a_table_is_scanned_by_prefix_in_pages(bench: Bench) -> None:
    log = await bench.open()
    keys = [f"pi/{i:03}" for i in range(25)] + ["pi", "pj", "p", "", "ü/1", "ü/2", "v"]
    await log.append(CHECKPOINTS, [record(key, key.upper()) for key in keys])
    table = await _table(log)
    pages: list[list[str]] = []
    after_key: str | None = None
    while page := table.scan("pi/", after=after_key, limit=10):
        pages.append([e.key for e in page])
        after_key = page[-1].key
    assert pages == [keys[:10], keys[10:20], keys[20:25]]
    assert [e.key for e in table.scan("ü")] == ["ü/1", "ü/2"]
    assert [e.key for e in table.scan()] == sorted(keys, key=str.encode)
    await table.close()


async def test_a_table_opened_later_holds_the_same(bench: Bench) -> None:
    log = await bench.open()
    early = await _table(log)
    for i in range(40):
        await log.append(CHECKPOINTS, [record(f"k{i % 7}", None if i % 5 == 0 else str(i))])
    await early.sync(PATIENCE_S)
    late = await _table(log)
    assert contents(early) == contents(late)
    assert contents(late)
    await early.close()
    await late.close()


# --- retention ------------------------------------------------------------------------------------------------

LATER_NS = 2**62


async def test_pruning_keeps_what_somebody_has_yet_to_read(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", str(i)) for i in range(10)])
    assert await log.prune(BATCHES, before_ns=LATER_NS) == 0  # nobody has read anything
    index, ledger = await log.reader(BATCHES, "index"), await log.reader(BATCHES, "ledger")
    entries = await read(index, 10)
    await index.commit(after(entries))
    await ledger.commit(after((await read(ledger, 10))[:4]))
    dropped = await log.prune(BATCHES, before_ns=LATER_NS)
    begins = await log.begins(BATCHES)
    if not bench.prunes:
        assert dropped == 0
        return
    assert dropped == 4
    assert begins == {0: 4}
    assert values(await read(await log.follow(BATCHES), 6)) == [str(i).encode() for i in range(4, 10)]


async def test_pruning_waits_for_those_it_is_told_of_and_for_nobody_else(bench: Bench) -> None:
    log = await bench.open()
    if not bench.prunes:
        assert await log.prune(BATCHES, before_ns=LATER_NS, groups=["index"]) == 0
        return
    await log.append(BATCHES, [record("d", str(i)) for i in range(10)])
    for group, upto in (("index", 8), ("switched-off", 2)):
        reader = await log.reader(BATCHES, group)
        await reader.commit(after((await read(reader, 10))[:upto]))
    assert await log.prune(BATCHES, before_ns=LATER_NS, groups=["index", "new"]) == 0  # it has yet to begin
    assert await log.prune(BATCHES, before_ns=LATER_NS, groups=["index"]) == 8
    assert await log.begins(BATCHES) == {0: 8}
    assert await log.prune(BATCHES, before_ns=LATER_NS, groups=[]) == 2


async def test_pruning_an_archive_waits_for_no_reader(bench: Bench) -> None:
    log = await bench.open()
    await log.append(AUDIT, [record("a", b"1"), record("a", b"2")])
    assert await log.prune(AUDIT, before_ns=LATER_NS) == (2 if bench.prunes else 0)


async def test_pruning_keeps_what_is_young(bench: Bench) -> None:
    log = await bench.open()
    await log.append(BATCHES, [record("d", b"v")])
    reader = await log.reader(BATCHES, "index")
    entries = await read(reader, 1)
    await reader.commit(after(entries))
    assert await log.prune(BATCHES, before_ns=entries[0].appended_ns) == 0


async def test_pruning_never_touches_the_last_of_a_key(bench: Bench) -> None:
    log = await bench.open()
    await log.append(CHECKPOINTS, [record("a", b"1"), record("b", b"1"), record("b", None)])
    assert await log.prune(CHECKPOINTS, before_ns=LATER_NS) == 0  # the tombstone is not a day old
    table = await _table(log)
    assert contents(table) == {"a": b"1"}
    await table.close()
