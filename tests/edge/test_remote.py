"""Downloaded settings at the edge: tried, confirmed, rolled back, and the same after a crash anywhere."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edge.sources
from edge import remote_state
from edge.remote import PROBATION_S, Remote, overlay
from edge.remote_state import FILE, State
from edge.settings import EdgeSettings, parse
from telemetry.clock import ManualClock
from telemetry.errors import Misconfigured
from telemetry.remote_settings import Changes, Versioned

SAMPLER = """
from edge.sources import Options
class Config(Options):
    rate_hz: float = 10.0
    address: int = 0x68
def open(config, context): ...
"""
POLLER = SAMPLER.replace("rate_hz", "every_s")
FAST: dict[str, Any] = {"version": 1, "batch_period_s": 2.0, "sources": {"imu": {"rate_hz": 50.0}}}
OFF: dict[str, Any] = {"version": 2, "sources": {"weather": {"enabled": False}}}


@pytest.fixture(autouse=True)
def _kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two kinds of source in the port's folder: one samples, one polls."""
    folder = tmp_path / "kinds"
    folder.mkdir()
    (folder / "kind_sampler.py").write_text(SAMPLER)
    (folder / "kind_poller.py").write_text(POLLER)
    monkeypatch.setattr(edge.sources, "__path__", [*edge.sources.__path__, str(folder)])
    yield
    for name in ("kind_sampler", "kind_poller"):
        sys.modules.pop(f"edge.sources.{name}", None)


class Agent:
    """Does as it is told, and remembers; `broken` are versions that it cannot run."""

    def __init__(self, *broken: int) -> None:
        self.applied: list[int] = []
        self.broken = set(broken)
        self.told = asyncio.Event()

    async def apply(self, changes: Changes) -> None:
        assert isinstance(changes, Versioned)
        self.applied.append(changes.version)
        self.told.set()
        if changes.version in self.broken:
            raise Misconfigured("no such bus")


def settings(tmp_path: Path, **sources: dict[str, Any]) -> EdgeSettings:
    here: dict[str, Any] = {"imu": {"type": "kind_sampler"}, "weather": {"type": "kind_poller", "every_s": 60}}
    return parse({"device": "pi", "sources": sources or here}, folder=tmp_path)


def opened(tmp_path: Path, clock: ManualClock | None = None, **sources: dict[str, Any]) -> Remote:
    return Remote(tmp_path / "data", settings(tmp_path, **sources), clock or ManualClock())


async def test_new_settings_are_tried_confirmed_and_kept(tmp_path: Path) -> None:
    clock, agent = ManualClock(), Agent()
    remote = opened(tmp_path, clock)
    assert remote.report == "0"
    remote.offer(FAST)
    await remote.turn(agent)
    assert (remote.report, agent.applied) == ("1", [1])
    remote.offer(FAST)
    await remote.turn(agent)
    assert agent.applied == [1], "what is known is not taken again"
    assert remote_state.load(tmp_path / "data").in_force.version == 0
    await clock.advance(PROBATION_S)
    await remote.turn(agent)
    assert remote_state.load(tmp_path / "data") == State(in_force=Versioned.parse(FAST))
    assert opened(tmp_path).changes == Versioned.parse(FAST)


def test_the_file_shows_through_where_nothing_lies_over_it(tmp_path: Path) -> None:
    file = settings(tmp_path)
    over = overlay(file, Versioned.parse(FAST | {"sources": {**FAST["sources"], **OFF["sources"]}}))
    assert (over.batch.period_s, over.batch.size_bytes_max) == (2.0, file.batch.size_bytes_max)
    assert over.sources["imu"].options == {"rate_hz": 50.0}
    assert (over.sources["weather"].enabled, over.sources["weather"].options) == (False, {"every_s": 60})
    assert overlay(file, Changes()) == file


@pytest.mark.parametrize(
    ("document", "report"),
    [
        ({"version": 3, "data_dir": "/"}, "0 failed=3 settings data_dir: Extra inputs are not permitted"),
        ({"version": 3, "sources": {"gps": {}}}, "0 failed=3 there is no source gps in the edge's file"),
        ({"version": 3, "sources": {"imu": {"every_s": 5}}}, "0 failed=3 source imu (kind_sampler) has no every_s"),
        ({"version": 3, "sources": {"weather": {"rate_hz": 5}}},
         "0 failed=3 source weather (kind_poller) has no rate_hz"),
    ],
    ids=repr,
)  # fmt: skip
async def test_what_cannot_be_is_refused_untried_and_said(tmp_path: Path, document: Any, report: str) -> None:
    agent, remote = Agent(), opened(tmp_path)
    remote.offer(document)
    await remote.turn(agent)
    assert (remote.report, agent.applied) == (report, [])
    assert opened(tmp_path).report == report, "a restart remembers, or it would be handed down again"
    remote.offer({"version": 4})
    await remote.turn(agent)
    assert (remote.report, agent.applied) == ("4", [4])


@pytest.mark.parametrize("document", [{"version": "x"}, {}, [], "text", {"version": True}, 7], ids=repr)
async def test_what_has_no_version_changes_nothing(tmp_path: Path, document: object) -> None:
    agent, remote = Agent(), opened(tmp_path)
    remote.offer(document)
    await remote.turn(agent)
    assert (remote.report, agent.applied) == ("0", [])


async def test_settings_that_cannot_be_applied_are_rolled_back(tmp_path: Path) -> None:
    agent, remote = Agent(1), opened(tmp_path)
    remote.offer(FAST)
    await remote.turn(agent)
    assert (agent.applied, remote.report) == ([1, 0], "0 failed=1 no such bus")
    assert remote_state.load(tmp_path / "data").trial is None


async def test_a_source_that_fails_on_trial_rolls_back(tmp_path: Path) -> None:
    clock, agent = ManualClock(), Agent()
    remote = opened(tmp_path, clock)
    remote.offer(FAST)
    await remote.turn(agent)
    remote.source_failed("weather", "the server is down")
    await remote.turn(agent)
    assert (agent.applied, remote.report) == ([1], "1"), "these settings do not concern that source"
    remote.source_failed("imu", "FIFO overflow at\n50 Hz")
    await remote.turn(agent)
    assert (agent.applied, remote.report) == ([1, 0], "0 failed=1 source imu: FIFO overflow at 50 Hz")
    remote.offer(FAST)
    await remote.turn(agent)
    assert agent.applied == [1, 0], "what failed is not taken again"
    assert opened(tmp_path).report == remote.report


async def test_a_source_that_fails_long_after_is_its_own_affair(tmp_path: Path) -> None:
    clock, agent = ManualClock(), Agent()
    remote = opened(tmp_path, clock)
    remote.offer(FAST)
    await remote.turn(agent)
    await clock.advance(PROBATION_S)
    await remote.turn(agent)
    remote.source_failed("imu", "unplugged")
    await remote.turn(agent)
    assert (remote.report, agent.applied) == ("1", [1])


async def test_a_newer_version_on_trial_falls_back_to_the_last_good_one(tmp_path: Path) -> None:
    agent, remote = Agent(3), opened(tmp_path)
    remote.offer(FAST)
    await remote.turn(agent)
    remote.offer(OFF)
    await remote.turn(agent)
    remote.offer({"version": 3, "sources": {"imu": {"rate_hz": 1.0}}})
    await remote.turn(agent)
    assert agent.applied == [1, 2, 3, 0], "1 and 2 never came through their probation"
    assert remote.report == "0 failed=3 no such bus"


async def test_a_bad_document_does_not_end_another_s_trial(tmp_path: Path) -> None:
    clock, agent = ManualClock(), Agent()
    remote = opened(tmp_path, clock)
    remote.offer(FAST)
    await remote.turn(agent)
    remote.offer({"version": 2, "sources": {"gps": {}}})
    await remote.turn(agent)
    assert remote.report.startswith("1 failed=2 ")
    await clock.advance(PROBATION_S)
    await remote.turn(agent)
    kept = remote_state.load(tmp_path / "data")
    assert (kept.in_force.version, kept.trial, kept.failed) == (1, None, 2)


async def test_it_runs_by_itself_and_a_stop_in_good_order_keeps_the_trial(tmp_path: Path) -> None:
    clock, agent = ManualClock(), Agent()
    for _ in range(5):  # stopped in good order each time: no suspicion falls on the settings
        remote = opened(tmp_path, clock)
        running = asyncio.create_task(remote.run(agent))
        remote.offer(FAST)
        async with asyncio.timeout(5):
            await agent.told.wait()
            await asyncio.sleep(0)
        assert remote.report == "1"
        running.cancel()
        await asyncio.wait([running])
    remote = opened(tmp_path, clock)
    running = asyncio.create_task(remote.run(agent))
    async with asyncio.timeout(5):
        while remote_state.load(tmp_path / "data").trial is not None:
            await clock.advance(PROBATION_S / 4)
            await asyncio.sleep(0)
    assert remote_state.load(tmp_path / "data").in_force.version == 1
    running.cancel()
    await asyncio.wait([running])


async def test_a_trial_that_ends_in_a_crash_is_begun_again_once(tmp_path: Path) -> None:
    remote = opened(tmp_path)
    remote.offer(FAST)
    await remote.turn(Agent())
    assert opened(tmp_path).report == "1"
    third = opened(tmp_path)
    assert third.report == "0 failed=1 the agent ended 2 times while these settings were on trial"
    assert third.changes == Versioned(version=0)


async def test_what_no_longer_fits_the_file_is_left_out(tmp_path: Path) -> None:
    clock = ManualClock()
    remote = opened(tmp_path, clock)
    remote.offer(FAST)
    await remote.turn(Agent())
    await clock.advance(PROBATION_S)
    await remote.turn(Agent())
    now = opened(tmp_path, weather={"type": "kind_poller"})
    assert (now.report, now.changes.given) == ("0 failed=1 there is no source imu in the edge's file", {})


def test_a_file_of_garbage_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for garbage in (b"", b"\xff\x00", b'{"v":9}', b"[]", b"x" * 100_000):
        (tmp_path / "data" / FILE).write_bytes(garbage)
        assert opened(tmp_path).report == "0"
        assert (tmp_path / "data" / "remote.unreadable").read_bytes() == garbage


async def test_a_full_disk_neither_stops_an_edge_nor_blames_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    remote, agent = opened(tmp_path), Agent()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        remote.offer(FAST)
        await remote.turn(agent)
        assert (remote.report, agent.applied) == ("0", [])
    remote.offer(FAST)
    await remote.turn(agent)
    assert (remote.report, agent.applied) == ("1", [1])


CRASHING = """
import sys
from pathlib import Path
from edge.remote_state import State, load, save
from telemetry.remote_settings import Versioned
folder = Path(sys.argv[1])
state = load(folder)
for version in range(state.in_force.version + 1, 50):
    save(folder, State(in_force=Versioned(version=version)))
    print(version, flush=True)
"""


@pytest.mark.crash
@pytest.mark.parametrize("point", ["before_sync", "before_replace", "after_replace"])
def test_a_crash_while_saving_leaves_the_old_or_the_new(tmp_path: Path, point: str) -> None:
    for times in (1, 4):
        armed = os.environ | {"SENSORLINE_FAILPOINTS": f"edge.remote_{point}={times}"}
        command = [sys.executable, "-c", CRASHING, str(tmp_path)]
        before = remote_state.load(tmp_path).in_force.version
        done = subprocess.run(command, env=armed, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        said = [int(line) for line in done.stdout.split()]
        kept = remote_state.load(tmp_path)
        last = said[-1] if said else before
        assert kept.in_force.version == last + (1 if point == "after_replace" else 0)
