"""The edge's disk is full, or what is on it is deleted: four zeros, and what was dropped is counted and announced."""

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge._spool import look
from simulator.ledger import End
from tests.faults.tcp_proxy import TcpProxy
from tests.journey.edge_site import (
    Edge,
    Recording,
    Station,
    aside,
    assert_replayed_once,
    edge,
    eventually,
    four_zeros,
    readings,
    station,
    stored,
)

pytestmark = [pytest.mark.timeout(180)]

SPOOL_BYTES = 2**20  # the least that may be set
NOISE = 110_000  # readings; a spool so small holds about 70,000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with station(tmp_path_factory.mktemp("site")) as running_:
        yield running_


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording.write(tmp_path_factory.mktemp("noise") / "noise.csv", NOISE, noise=True)


def read_by(status: dict[str, Any]) -> int:
    """Readings that its sources handed over."""
    return sum(source["readings"] for source in status["sources"].values())


def is_read(status: dict[str, Any]) -> bool:
    return bool(status["sources"]["drive"]["state"] == "finished")


def open_readings(pi: Edge) -> int:
    """On its disk, and not known to be anywhere else."""
    return sum(batch.readings for batch in pi.handed() if batch.end is None)


async def test_a_full_spool_drops_the_oldest_and_says_how_much(
    running: Station, noise: Recording, tmp_path: Path
) -> None:
    async with TcpProxy(running.port, is_refusing=True).run() as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        full = {"size_bytes_max": SPOOL_BYTES, "on_full": "drop_oldest"}
        with edge(running, tmp_path, device="pi-drops", recording=noise, url=url, spool=full) as pi:
            await aside(pi.start)
            waiting = await aside(pi.until, is_read)
            assert waiting["spool"]["dropped"]["drop_oldest"] > NOISE // 10
            proxy.is_refusing = False
            last = await aside(pi.delivered)
            report = await aside(four_zeros, running, pi)
            sessions = await aside(running.sessions, pi.device)
    dropped = last["spool"]["dropped"]
    assert dropped.keys() == {"drop_oldest"}
    assert sum(session["dropped_readings"] for session in sessions) == dropped["drop_oldest"]
    assert report["stored"] == read_by(last) - dropped["drop_oldest"], "read = stored + dropped"
    assert 0 < report["dropped"] == report["generated"] - report["stored"] <= dropped["drop_oldest"]
    assert all(session["missing_batches"] == 0 for session in sessions), "each seq is there, or its tombstone"


@pytest.mark.crash
@pytest.mark.real  # takes half a minute: it is started up to six times, with a full spool
async def test_an_agent_that_is_killed_before_it_commits_a_drop_has_not_dropped(
    running: Station, noise: Recording, tmp_path: Path
) -> None:
    """What the ledger was told of a transaction that never was is not its last word."""
    async with TcpProxy(running.port, is_refusing=True).run() as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        full = {"size_bytes_max": SPOOL_BYTES, "on_full": "drop_oldest", "commit_period_s": 0.3}
        with edge(running, tmp_path, device="pi-undrops", recording=noise, speed=300, url=url, spool=full) as pi:
            pi.settings["lanes"] = {"backlog_bytes_per_s": 1e8}
            await aside(pi.start)
            await aside(pi.until, lambda status: status["spool"]["dropped"])
            await aside(pi.stop)
            for kill in (3, 4, 5, 6):  # the one that it makes then may be of the machine's own reading only
                await aside(pi.start, {"edge.before_commit": kill})
                await aside(pi.wait_killed)
                if undone := {b.id for b in pi.handed() if b.end is End.DROPPED} & look.ids(pi.data_dir):
                    break
            pi.settings["spool"]["size_bytes_max"] = 16 * SPOOL_BYTES  # so that nothing need be dropped any more
            await aside(pi.start)
            proxy.is_refusing = False
            last = await aside(pi.delivered)
            await aside(four_zeros, running, pi)
            sessions = await aside(running.sessions, pi.device)
            times = (await aside(stored, running, pi.device, "acceleration"))["t"].to_numpy()
    assert sum(session["dropped_readings"] for session in sessions) == last["spool"]["dropped"]["drop_oldest"] > 0
    assert all(session["missing_batches"] == 0 for session in sessions)
    assert len(np.unique(times)) == len(times), "a reading came twice"
    assert last["sources"]["drive"]["readings"] > 0, "the replay was over before the last kill"
    assert undone, "no transaction that it was killed in dropped anything"
    assert {batch.end for batch in pi.handed() if batch.id in undone} == {End.ACKNOWLEDGED}


async def test_a_full_spool_that_blocks_holds_its_sources_and_drops_nothing(
    running: Station, noise: Recording, tmp_path: Path
) -> None:
    async with TcpProxy(running.port, is_refusing=True).run() as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        full = {"size_bytes_max": SPOOL_BYTES, "on_full": "block", "commit_bytes_max": 2**16}
        with edge(running, tmp_path, device="pi-blocks", recording=noise, url=url, spool=full) as pi:
            await aside(pi.start)
            waiting = await aside(pi.until, lambda status: status["spool"]["is_full"])
            assert not is_read(waiting)
            proxy.is_refusing = False
            last = await aside(pi.delivered)
            report = await aside(four_zeros, running, pi)
            sessions = await aside(running.sessions, pi.device)
            await aside(assert_replayed_once, running, pi.device, noise)
    assert last["spool"]["dropped"] == {}
    assert report["stored"] == report["generated"] == read_by(last)
    assert sum(session["dropped_readings"] for session in sessions) == 0


def test_a_disk_that_takes_no_byte_more_is_waited_for(running: Station, tmp_path: Path) -> None:
    """A limit of file sizes, set and lifted from outside, fails each write that makes a file longer."""
    recording = Recording.write(tmp_path / "walk.csv", 3_000)
    with edge(running, tmp_path, device="pi-full", recording=recording, speed=10) as pi:
        pi.start()
        pi.acknowledged(300)
        assert pi.popen is not None
        _, hard = resource.prlimit(pi.popen.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pi.popen.pid, resource.RLIMIT_FSIZE, (4096, hard))
        pi.until(lambda status: any("IOError" in report for report in status["spool"]["reports"]))
        resource.prlimit(pi.popen.pid, resource.RLIMIT_FSIZE, (hard, hard))
        last = pi.delivered()
        assert last["spool"]["dropped"] == {}
        report = four_zeros(running, pi)
        assert report["stored"] == report["generated"] - report["dropped"]
        assert_replayed_once(running, pi.device, recording)


async def test_a_spool_that_is_deleted_under_a_running_agent_is_carried_into_a_new_one(
    running: Station, tmp_path: Path
) -> None:
    """The agent has the deleted file open: what was on it lives on in a new file, and new readings in a new session."""
    recording = Recording.write(tmp_path / "walk.csv", 3_000)
    async with TcpProxy(running.port, is_refusing=True).run() as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        with edge(running, tmp_path, device="pi-torn", recording=recording, speed=10, url=url) as pi:
            await aside(pi.start)
            await aside(pi.until, lambda status: status["spool"]["readings"] > 1_000)
            before = {batch.id.session for batch in pi.handed()}
            shutil.rmtree(pi.data_dir)
            proxy.is_refusing = False
            # its socket is gone with the folder: the ledger tells when all is out
            await aside(eventually, lambda: readings(pi.handed(), End.ACKNOWLEDGED) >= len(recording), pi.log_tail)
            last = await aside(pi.stop)
            report = await aside(four_zeros, running, pi)
            await aside(assert_replayed_once, running, pi.device, recording)
    assert report["stored"] == report["generated"], "nothing was lost with the folder"
    assert {batch.id.session for batch in pi.handed()} > before == {before.copy().pop()}
    assert last["session"] not in before
    assert any("was deleted" in told for told in last["spool"]["reports"])


@pytest.mark.parametrize("ending", [pytest.param("kill", marks=pytest.mark.crash), "stop"])
async def test_a_spool_that_is_deleted_between_two_runs_costs_what_was_only_there(
    running: Station, tmp_path: Path, ending: str
) -> None:
    """What the gateway had not acknowledged is lost with the disk, and the ledger says so; the replay's cursor is, too,
    so that the next run brings the whole recording, under ids that were never used."""
    recording = Recording.write(tmp_path / "walk.csv", 3_000)
    async with TcpProxy(running.port).run() as proxy:
        url, name = f"http://127.0.0.1:{proxy.port}", f"pi-{ending}"
        with edge(running, tmp_path, device=name, recording=recording, speed=10, url=url) as pi:
            await aside(pi.start)
            await aside(pi.acknowledged, 300)
            proxy.is_refusing = True
            proxy.cut()  # the edge keeps its connection
            await aside(eventually, lambda: open_readings(pi) > 500, pi.log_tail)
            await aside(pi.kill if ending == "kill" else pi.stop)
            first = {batch.id.session for batch in pi.handed()}
            only_there = readings(pi.handed(), End.UNSENT)
            shutil.rmtree(pi.data_dir)
            proxy.is_refusing = False
            await aside(pi.start)
            await aside(pi.delivered)
            report = await aside(four_zeros, running, pi)
            table = await aside(stored, running, name, "acceleration")
    lost = [batch for batch in pi.handed() if batch.end is End.DROPPED]
    assert {batch.reason for batch in lost} == {"spool_lost"}
    assert {batch.id.session for batch in lost} == first
    assert report["dropped"] == sum(batch.readings for batch in lost) >= 500
    assert report["dropped"] == only_there or ending == "kill"
    again = {batch.id.session for batch in pi.handed()} - first
    assert len(again) == 1, "one new session, no id again"
    assert np.array_equal(np.unique(table["t"].to_numpy()), recording.times)
    assert len(table.filter(np.isin(table["session"].to_pylist(), list(again)))) == len(recording)
