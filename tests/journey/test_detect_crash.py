"""Detection is killed with -9 at every step between an output and its commit, and at random: the same anomalies as an
undisturbed run, bit for bit, each once."""

import asyncio
import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from telemetry.logs.sqlite import Config, SqliteLog
from telemetry.ports import BATCHES
from tests.journey.disturbed import found, records
from tests.journey.processes import Process, free_port

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

FAILPOINTS = {
    "detect.before_flush": 2,
    "detect.after_outputs": 3,
    "detect.after_states": 2,
    "detect.after_marker": 2,
    "detect.after_flush": 3,
    "detect.after_commit": 2,
}
WAIT_S = 90.0
COMPILE_WAIT_S = 240.0  # the first start on a machine compiles the detectors


async def _fill(folder: Path) -> None:
    log = SqliteLog(Config(), folder)
    await log.start()
    await log.append(BATCHES, records())
    await log.close()


async def _found(folder: Path) -> tuple[dict[str, bytes], int, bool]:
    """The anomalies, their records, and whether the group has committed all batches."""
    log = SqliteLog(Config(), folder)
    await log.start()
    anomalies, told = await found(log)
    is_done = await log.committed(BATCHES, "detect") == await log.ends(BATCHES)
    await log.close()
    return anomalies, told, is_done


def _detect(folder: Path) -> Process:
    """The consumer alone, in small steps: a checkpoint every few batches."""
    port = free_port()
    steps = {
        "consumers.health_port": port,
        "consumers.flush_bytes_max": 40_000,  # about a dozen batches
        "consumers.checkpoint_s": 0.02,
        "consumers.states_max": 3,  # of four devices: one is always on the shelf
        "store": "memory",
    }
    sets = [part for path, value in steps.items() for part in ("--set", f"{path}={value}")]
    arguments = ["consume", "detect", "--data-dir", str(folder), *sets]
    return Process(arguments, f"http://127.0.0.1:{port}/readyz", folder.parent / f"{folder.name}.log", COMPILE_WAIT_S)


def _finish(process: Process, folder: Path) -> tuple[dict[str, bytes], int]:
    """Run until everything is committed, then end well."""
    import httpx

    process.start()
    deadline_s = time.monotonic() + WAIT_S
    url = process.ready_url
    while (state := httpx.get(url, timeout=10).json()["detect"]) != {"ready": True, "lag": 0, "failing": ""}:
        assert time.monotonic() < deadline_s, f"{state}: {process.log_tail()}"
        time.sleep(0.1)
    process.stop()  # saves, and commits
    anomalies, told, is_done = asyncio.run(_found(folder))
    assert is_done
    return anomalies, told


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, bytes]]:
    """The log before anything read it, and what an undisturbed run finds in it."""
    home = tmp_path_factory.mktemp("detect")
    asyncio.run(_fill(home / "log"))
    shutil.copytree(home / "log", home / "undisturbed")
    anomalies, told = _finish(_detect(home / "undisturbed"), home / "undisturbed")
    kinds = {body.split(b'"kind":"')[1].split(b'"')[0] for body in anomalies.values()}
    assert kinds >= {b"stuck", b"silence", b"outlier"}, kinds
    assert any(b'"is_live":false' in body for body in anomalies.values()), "the backlog's fault was found, too"
    assert told > len(anomalies)
    return home / "log", anomalies


def test_every_failpoint_then_the_same_anomalies(expected: tuple[Path, Mapping[str, bytes]], tmp_path: Path) -> None:
    log, anomalies = expected
    shutil.copytree(log, tmp_path / "data")
    process = _detect(tmp_path / "data")
    for name, count in FAILPOINTS.items():
        process.start({name: count})
        process.wait_killed(WAIT_S)
    after, _ = _finish(process, tmp_path / "data")
    assert after == anomalies


def test_kills_at_any_time_then_the_same_anomalies(expected: tuple[Path, Mapping[str, bytes]], tmp_path: Path) -> None:
    log, anomalies = expected
    shutil.copytree(log, tmp_path / "data")
    process = _detect(tmp_path / "data")
    for _ in range(3):
        process.start()
        time.sleep(random.uniform(0.1, 1.5))
        process.kill()
    after, _ = _finish(process, tmp_path / "data")
    assert after == anomalies
