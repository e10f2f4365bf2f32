"""Faults against the embedded engine over real sockets: a lost reply, a phone that shuffles and repeats, poison, a
deletion, an end under load, a full disk, a disk that no longer syncs."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import httpx
import numpy as np
import pytest

from consumers.completeness import LATE_SEQS
from consumers.runner import Runner
from simulator import fleet as fleets
from simulator import speak
from simulator.fleet import FleetConfig
from simulator.speak import Spoken
from simulator.verify import verify
from telemetry.batch import Series
from telemetry.ports import BATCHES, Item, Record, Written
from telemetry.settings import Consumers
from tests.faults.tcp_proxy import TcpProxy
from tests.journey import faults
from tests.journey.faults import Person, person, post
from tests.journey.processes import Process, assert_four_zeros, environment, fleet, free_port
from tests.simulator.running_station import Running, station

LOST_REPLIES = 6
POISON = Record("d", b"\xff\x00 no batch at all", {"session": "s1", "seq": "99"})


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with station(tmp_path / "data", engine="embedded", requests_per_s=1000, requests_burst=1000) as station_:
        yield station_


@pytest.fixture
async def operator(running: Running) -> AsyncIterator[Person]:
    async with person(running.url, running.key) as operator_:
        yield operator_


async def test_a_reply_that_is_lost_after_the_write_is_sent_twice_and_stored_once(
    running: Running, tmp_path: Path
) -> None:
    """The second send reaches another gateway, which cannot know: the batch is in the log twice."""
    first = int(running.url.rsplit(":", 1)[1])
    async with faults.another_gateway(running.engine) as second, TcpProxy(first).run() as proxy:
        proxy.drop_replies(LOST_REPLIES, faults.every_second(faults.is_ingest))  # the retry's reply passes
        drop = proxy.drop_reply

        def drop_and_turn(chunk: bytes) -> bool:
            if not drop(chunk):
                return False
            proxy.target_port = second if proxy.target_port == first else first
            return True

        proxy.drop_reply = drop_and_turn
        url, ledger = f"http://127.0.0.1:{proxy.port}", tmp_path / "ledger.jsonl"
        result = await fleets.run(FleetConfig(url, ledger, devices=1, seconds=12, speed=20, key=running.key))
        report = await verify(ledger, running.url, running.key)
    assert_four_zeros(report.to_dict())
    assert proxy.dropped == result.tally.retries == LOST_REPLIES
    assert report.duplicates_delivered == LOST_REPLIES


async def test_the_same_gateway_knows_a_batch_whose_reply_was_lost(running: Running, tmp_path: Path) -> None:
    async with TcpProxy(int(running.url.rsplit(":", 1)[1])).run() as proxy:
        proxy.drop_replies(LOST_REPLIES, faults.is_ingest)
        url, ledger = f"http://127.0.0.1:{proxy.port}", tmp_path / "ledger.jsonl"
        result = await fleets.run(FleetConfig(url, ledger, devices=4, seconds=6, speed=20, key=running.key))
    report = await verify(ledger, running.url, running.key)
    assert_four_zeros(report.to_dict())
    assert proxy.dropped == result.tally.retries == LOST_REPLIES
    assert 0 < result.tally.duplicates <= LOST_REPLIES  # batches: one may have lost its reply more than once
    assert report.duplicates_delivered == 0


async def test_a_gateway_that_stalls_is_left_and_answered_later(running: Running, tmp_path: Path) -> None:
    async with TcpProxy(int(running.url.rsplit(":", 1)[1]), latency_s=0.01).run() as proxy:
        url, ledger = f"http://127.0.0.1:{proxy.port}", tmp_path / "ledger.jsonl"
        config = FleetConfig(url, ledger, devices=2, seconds=10, speed=5, key=running.key, deadline_s=0.5)
        sending = asyncio.create_task(fleets.run(config))
        await faults.eventually(lambda: ledger.exists() and ledger.stat().st_size > 500)
        proxy.stall()
        await asyncio.sleep(1.0)  # the fault itself: it lasts so long
        proxy.flow()
        result = await asyncio.wait_for(sending, 60)
    assert result.tally.retries > 0
    assert_four_zeros((await verify(ledger, running.url, running.key)).to_dict())


def shuffled(spoken: list[Spoken], random: Random) -> list[Spoken]:
    """Three in ten come up to 15 places later."""
    places = [k + (random.uniform(1, 15) if random.random() < 0.3 else 0) for k in range(len(spoken))]
    return [spoken[k] for k in sorted(range(len(spoken)), key=lambda k: places[k])]


async def test_shuffled_and_repeated_messages_are_stored_once_and_counted(running: Running, operator: Person) -> None:
    random = Random(11)
    token = await operator.enrol("phone")
    sent = shuffled(faults.messages("phone", 60), random)
    seen: set[int] = set()
    repeated = reordered = late = 0
    async with faults.another_gateway(running.engine) as second:
        for spoken in sent:
            assert (await post(operator.client, spoken, token)).status_code == 200
            behind = max(seen, default=-1) - spoken.expected.seq
            seen.add(spoken.expected.seq)
            reordered += behind > 0
            late += behind > LATE_SEQS
            if random.random() < 0.2:
                again = await post(operator.client, spoken, token, random.choice(("", f"http://127.0.0.1:{second}")))
                assert again.status_code == 200
                repeated += not again.json()["duplicate"]  # the other gateway did not know it
    await operator.caught_up()
    (session,) = (await operator.ask("GET", "/v1/completeness", params={"device": "phone"}))["sessions"]
    figures = {name: session[f"{name}_batches"] for name in ("received", "missing", "duplicate", "reordered", "late")}
    expected = {"received": 60, "missing": 0, "duplicate": repeated, "reordered": reordered, "late": late}
    assert figures == expected
    assert min(repeated, reordered, late) > 0
    assert await operator.hashes("phone") == faults.expected(sent)
    assert (await operator.ask("GET", "/v1/stats"))["readings"] == sum(s.expected.readings for s in sent)


async def test_poison_falls_out_alone_and_what_the_store_refused_is_replayed_once_it_is_mended(
    running: Running, operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await operator.enrol("d")
    sent = faults.batches("d", 8)
    store = running.engine.store
    write = store.write

    async def trips_over_seq_2(items: list[Item]) -> list[Written]:
        if any(item.batch.seq == 2 for item in items):
            raise ZeroDivisionError("a fault of the store's")
        return await write(items)

    monkeypatch.setattr(store, "write", trips_over_seq_2)
    for spoken in sent[:4]:
        assert (await post(operator.client, spoken, token)).status_code == 200
    ((_, poisoned),) = await running.engine.log.append(BATCHES, [POISON])
    for spoken in sent[4:]:
        assert (await post(operator.client, spoken, token)).status_code == 200
    await operator.caught_up()
    assert set(await operator.hashes("d")) == {0, 1, 3, 4, 5, 6, 7}, "the partition moved on"
    listed = (await operator.ask("GET", "/v1/deadletters"))["deadletters"]
    assert {(x["reason"], x["offset"]) for x in listed} == {("undecodable", poisoned), ("store_refused", 2)}
    assert all(letter["detail"] and not letter["replayed"] for letter in listed)

    monkeypatch.setattr(store, "write", write)
    (refused,) = [letter["id"] for letter in listed if letter["reason"] == "store_refused"]
    done = await operator.ask("POST", "/v1/deadletters/replay", json={"ids": [refused]})
    assert done == {"replayed": 1, "skipped": 0, "left": 0}
    await operator.caught_up()
    assert await operator.hashes("d") == faults.expected(sent)
    listed = (await operator.ask("GET", "/v1/deadletters"))["deadletters"]
    assert {x["reason"]: x["replayed"] for x in listed} == {"undecodable": False, "store_refused": True}


async def test_a_deleted_device_is_gone_at_once_and_a_replay_of_the_log_does_not_bring_it_back(
    running: Running, operator: Person
) -> None:
    tokens = {device: await operator.enrol(device) for device in ("gone", "stays")}
    for device, token in tokens.items():
        for spoken in faults.batches(device, 5):
            assert (await post(operator.client, spoken, token)).status_code == 200
    await operator.caught_up()
    stays = await operator.hashes("stays")
    deleted = await operator.ask("DELETE", "/v1/devices/gone")
    assert deleted["rows"] == sum(s.expected.readings for s in faults.batches("gone", 5))
    for path in (
        "claims",
        "completeness",
        "export?format=csv",
        "readings?sensor=gravity&from=0&to=2000000000000000000",
    ):
        answer = await operator.client.get(
            f"/v1/{path}{'&' if '?' in path else '?'}device=gone", headers={"authorization": f"Bearer {running.key}"}
        )
        assert answer.status_code == 404, f"{path}: {answer.status_code}"
    assert (await post(operator.client, faults.batches("gone", 1)[0], tokens["gone"])).status_code == 401

    engine = running.engine
    again = engine.processor("index")
    again.name = "again"  # type: ignore[misc]  # a group that begins at the log's beginning
    runner = Runner(engine.log, BATCHES, again, Consumers(flush_wait_s=0.1), engine.clock)
    task = asyncio.create_task(runner.run())
    async with asyncio.timeout(faults.WAIT_S):
        while await engine.log.committed(BATCHES, "again") != await engine.log.ends(BATCHES):
            await asyncio.sleep(0.05)
    runner.stop()
    await asyncio.wait_for(task, 10)
    assert [rows async for rows in engine.store.export("gone")] == []
    assert await engine.store.claims("gone") == []
    assert await engine.store.completeness("gone") == []
    assert await operator.hashes("stays") == stays
    assert [d["device"] for d in (await operator.ask("GET", "/v1/devices"))["devices"]] == ["stays"]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Process]:
    port = free_port()
    arguments = ["up", "--data-dir", str(tmp_path / "data"), "--port", str(port)]
    process = Process(arguments, f"http://127.0.0.1:{port}/readyz", tmp_path / "up.log")
    try:
        yield process
    finally:
        if process.popen and process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait(20)


@pytest.mark.crash
def test_sigterm_under_load_ends_it_within_ten_seconds_and_loses_nothing(up: Process, tmp_path: Path) -> None:
    up.start()
    with fleet(up.ready_url.removesuffix("/readyz"), tmp_path / "data", devices=20) as running:
        wait_for_lines(running.ledger, 100)
        assert up.stop() < 10
        up.start()
        running.finish(60)
        assert_four_zeros(running.verify())


def wait_for_lines(ledger: Path, more: int) -> None:
    """Until the fleet has written so many more: it is in the middle of something."""
    before = ledger.read_bytes().count(b"\n") if ledger.exists() else 0
    deadline_s = time.monotonic() + 30
    while not ledger.exists() or ledger.read_bytes().count(b"\n") < before + more:
        assert time.monotonic() < deadline_s, "the fleet hands nothing over"
        time.sleep(0.02)


def wait_until_ready(process: Process) -> None:
    """Of a process that was started otherwise."""
    deadline_s = time.monotonic() + 40
    while not process._is_ready():
        assert time.monotonic() < deadline_s, f"not ready: {process.log_tail()}"
        time.sleep(0.05)


def noise(device: str, seq: int, readings: int = 4_000) -> Spoken:
    """A batch that compresses badly."""
    rng = np.random.default_rng(seq)
    values = {axis: rng.uniform(-90, 90, readings).astype(np.float32) for axis in "xyz"}
    t = faults.BEGIN_NS + seq * 10**9 + np.arange(readings, dtype=np.int64) * 100_000
    return speak.native(device, "s1", seq, [Series.of("gravity", t, values)])


async def fill(device: str, asking: Person, token: str, first: int) -> tuple[list[Spoken], httpx.Response]:
    """Send until it is refused; what was acknowledged, and the refusal."""
    kept: list[Spoken] = []
    for seq in range(first, first + 200):
        spoken = noise(device, seq)
        answer = await post(asking.client, spoken, token)
        if answer.status_code != 200:
            return kept, answer
        kept.append(spoken)
    raise AssertionError("the log never got full")


@pytest.mark.crash
async def test_a_full_log_is_a_507_corrupts_nothing_and_takes_again_once_it_is_pruned(
    up: Process, tmp_path: Path
) -> None:
    """The consumers go on while it is full: they must, or nothing could ever be pruned."""
    arguments = [*up.arguments, "--set", "adapters.sqlite.size_bytes_max=3000000"]
    up.arguments = arguments
    await asyncio.to_thread(up.start)
    key = (tmp_path / "data" / "operator.key").read_text().strip()
    async with person(up.ready_url.removesuffix("/readyz"), key) as operator:
        token = await operator.enrol("d")
        kept, refusal = await fill("d", operator, token, 0)
        assert refusal.status_code == 507, refusal.text
        assert refusal.json()["type"].endswith(":log_full")
        assert int(refusal.headers["retry-after"]) > 0
        assert len(kept) > 10
        for _ in range(3):
            assert (await post(operator.client, noise("d", len(kept)), token)).status_code == 507
        await operator.caught_up()
        assert await operator.hashes("d") == faults.expected(kept)
        assert await asyncio.to_thread(up.stop) < 10
        assert faults.wal_is_intact(tmp_path / "data")

        up.arguments = [*arguments, "--set", "retention.log_hours=0.0001", "--set", "retention.check_s=0.5"]
        await asyncio.to_thread(up.start)
        async with asyncio.timeout(faults.WAIT_S):
            while (await post(operator.client, noise("d", len(kept)), token)).status_code == 507:
                await asyncio.sleep(0.1)
        kept.append(noise("d", len(kept)))
        await operator.caught_up()
        assert await operator.hashes("d") == faults.expected(kept)
    assert await asyncio.to_thread(up.stop) < 10
    assert faults.wal_is_intact(tmp_path / "data")


@pytest.mark.crash
def test_a_disk_that_no_longer_syncs_ends_the_process_and_what_was_acknowledged_is_there(
    up: Process, tmp_path: Path
) -> None:
    trigger = tmp_path / "fail"
    command = [sys.executable, "-m", "tests.faults.failing_disk", str(trigger), *up.arguments]
    root = Path(__file__).parents[2]
    with up.log_file.open("ab") as log:
        failing = subprocess.Popen(command, stdout=log, stderr=log, env=environment(), cwd=root)
    try:
        wait_until_ready(up)
        with fleet(up.ready_url.removesuffix("/readyz"), tmp_path / "data", devices=5) as running:
            wait_for_lines(running.ledger, 40)
            trigger.touch()
            assert failing.wait(15) not in (0, -9), up.log_tail()
            assert "the log is broken" in up.log_tail()
            up.start()  # on a disk that works again
            running.finish(60)
            assert_four_zeros(running.verify())
    finally:
        if failing.poll() is None:
            failing.kill()
            failing.wait(20)
