"""`sensorline edge run`, `status` and `aside` as processes: what is in their memory, how they end, what they prove."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import status_socket
from edge.folder_lock import FolderLock
from sensorline.edge_main import EXIT_WAIT_S
from simulator import ledger
from simulator.ledger import End
from simulator.verify import verify
from tests.sensorline.program import environment, invoke, sensorline
from tests.simulator.running_station import Running as Station
from tests.simulator.running_station import station

HEAVY = [
    "typer",
    "rich",
    "pygments",
    "click",
    "pydantic_settings",
    "fastapi",
    "starlette",
    "pyarrow",
    "aiokafka",
    "elasticsearch",
    "duckdb",
    "river",
    "prometheus_client",
    "uvicorn",
    "paho",
    "sqlalchemy",
    "gateway",
    "consumers",
]
NAME = "pi-1"


def write_edge(folder: Path, url: str, token: str, *, sources: str = "", more: str = "") -> None:
    """An edge's file and token, everything quick."""
    path = folder / "edge.token"
    path.touch(mode=0o600)
    path.write_text(token)
    (folder / "edge.toml").write_text(
        f'device = "{NAME}"\n[adapters.http]\nurl = "{url}"\n[batch]\nperiod_s = 0.05\n'
        f"[spool]\ncommit_period_s = 0.02\n[clock]\nunsynchronised_wait_s = 0\n{more}\n"
        + (sources or '[sources.host]\ntype = "system"\nevery_s = 0.1\n')
    )


@contextlib.contextmanager
def edge_run(folder: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A running `edge run --json`, which has said that it is ready unless it ended before."""
    program = [sys.executable, "-P", "-m", "sensorline.edge_main", "--json", *arguments]
    with (folder / "stderr.log").open("a") as log:
        process = subprocess.Popen(
            program, cwd=folder, env=environment(**variables), stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert process.stdout is not None
        process.ready = json.loads(process.stdout.readline() or "null")  # type: ignore[attr-defined]
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


@contextlib.asynccontextmanager
async def site(tmp_path: Path, **edge: Any) -> AsyncIterator[Station]:
    """A station that knows the device, and the edge's files."""
    async with station(tmp_path / "station") as running:
        issued = await running.services.enrolment.enrol(NAME)
        write_edge(tmp_path, running.url, issued.token, **edge)
        yield running


def ask(folder: Path, what: str = "status") -> Any:
    return status_socket.ask(folder / "edge-data", what)


async def until_acknowledged(folder: Path, readings: int) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(Exception):
                found: dict[str, Any] = await asyncio.to_thread(ask, folder)
                if sum(lane["acknowledged_readings"] for lane in found["lanes"].values()) >= readings:
                    return found
            await asyncio.sleep(0.05)


def test_the_light_process_imports_nothing_heavy(tmp_path: Path) -> None:
    write_edge(tmp_path, "http://127.0.0.1:9", "sl_x")
    program = (
        "import sys, threading, time, os, pathlib\n"
        "from sensorline import edge_main\n"
        "def look():\n"
        "    while not pathlib.Path('edge-data/agent.sock').exists(): time.sleep(0.05)\n"
        f"    print([m for m in {HEAVY!r} if m in sys.modules], 'httpx' in sys.modules, flush=True)\n"
        "threading.Thread(target=look, daemon=True).start()\n"
        "edge_main.main(['--for', '0.5'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "[] False", done.stderr
    imported = f"import sys, edge.agent; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", imported], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


def test_httpx_works_without_its_command_line() -> None:
    program = "import sys; sys.modules['httpx._main'] = None; import httpx; print(httpx.AsyncClient, httpx.main)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert "AsyncClient" in done.stdout


async def test_an_edge_proves_itself(tmp_path: Path) -> None:
    async with site(tmp_path) as running:
        with edge_run(tmp_path, "--ledger", "edge.jsonl") as process:
            status = await until_acknowledged(tmp_path, 10)
            assert status["pid"] == process.pid
            assert stat.S_IMODE((tmp_path / "edge-data" / "agent.sock").stat().st_mode) == 0o600
            shown = (await asyncio.to_thread(sensorline, tmp_path, "edge", "status")).stdout
            assert all(word in shown for word in (NAME, status["session"], "system", "running"))
            assert invoke(tmp_path, "edge", "status")[0]["session"] == status["session"]
            assert invoke(tmp_path, "edge", "aside") == [{"aside": []}]
            process.send_signal(signal.SIGTERM)
            ended = json.loads((await asyncio.to_thread(process.communicate, timeout=15))[0])
            assert process.returncode == 0
        report = await verify(tmp_path / "edge.jsonl", running.url, running.key, wait_s=20)
    assert ended["spool"]["batches"] == 0
    assert report.is_clean
    assert report.stored == report.sent == report.generated >= 10
    assert not (tmp_path / "edge-data" / "agent.sock").exists()


@pytest.mark.crash
@pytest.mark.parametrize("failpoint", ["edge.before_commit=3", "edge.after_answer=2"])
async def test_killed_anywhere_and_started_again_it_still_proves_itself(tmp_path: Path, failpoint: str) -> None:
    async with site(tmp_path) as running:
        with edge_run(tmp_path, "--ledger", "edge.jsonl", SENSORLINE_FAILPOINTS=failpoint) as process:
            await asyncio.to_thread(process.wait, 20)
            assert process.returncode == -signal.SIGKILL
        with edge_run(tmp_path, "--ledger", "edge.jsonl") as process:
            await until_acknowledged(tmp_path, 5)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 15) == 0
        report = await verify(tmp_path / "edge.jsonl", running.url, running.key, wait_s=20)
        reasons = {b.reason for b in ledger.read(tmp_path / "edge.jsonl").values() if b.end is End.DROPPED}
    assert report.is_clean, report
    assert report.stored >= 5
    assert report.unsent == 0
    assert reasons == ({"crash_before_commit"} if failpoint.startswith("edge.before_commit") else set())


def test_status_without_an_agent_still_shows_the_spool(tmp_path: Path) -> None:
    write_edge(tmp_path, "http://127.0.0.1:9", "sl_x")
    before = sensorline(tmp_path, "edge", "status", code=1)
    assert "error: no agent runs" in before.stderr
    assert "0 batches" in before.stdout
    with edge_run(tmp_path, "--ledger", "l.jsonl", "--for", "1") as process:
        ended = json.loads(process.communicate(timeout=20)[0])
    assert ended["spool"]["readings"] > 0
    (found,) = invoke(tmp_path, "edge", "status", code=1)
    assert found["running"] is False
    assert found["spool"]["readings"] == ended["spool"]["readings"]
    assert found["spool"]["oldest_age_s"] >= 0
    assert invoke(tmp_path, "edge", "aside", "--retry", code=1) == []
    ends = {batch.end for batch in ledger.read(tmp_path / "l.jsonl").values()}
    assert ends == {End.UNSENT}


def test_run_becomes_the_agent_and_a_second_one_is_refused(tmp_path: Path) -> None:
    write_edge(tmp_path, "http://127.0.0.1:9", "sl_x")
    with FolderLock(tmp_path / "edge-data"):
        done = sensorline(tmp_path, "edge", "run", "--for", "1", code=1)
    assert f"another agent (process {os.getpid()})" in done.stderr
    assert "edge init" in sensorline(tmp_path, "edge", "run", "--config", "none.toml", code=1).stderr


STUCK = """
import time
from typing import Any
from edge.sources import Context, Options, Outlet, Source

class Config(Options):
    pass

class Stuck:
    async def run(self, outlet: Outlet) -> None:
        {how}

    async def check(self) -> str:
        return ""

def open(config: Any, context: Context) -> Source:
    return Stuck()
"""


@pytest.mark.parametrize(
    ("how", "code", "exit_wait_s"),
    [
        ("import asyncio; await asyncio.to_thread(time.sleep, 60)", 0, EXIT_WAIT_S),
        ("import asyncio; await asyncio.sleep(0.5); time.sleep(60)", 1, 1.5),  # it blocks the very loop
    ],
)
def test_whatever_hangs_it_ends_within_ten_seconds(tmp_path: Path, how: str, code: int, exit_wait_s: float) -> None:
    assert EXIT_WAIT_S < 10
    (tmp_path / "stuck.py").write_text(STUCK.format(how=how))
    write_edge(tmp_path, "http://127.0.0.1:9", "sl_x", sources='[sources.a]\ntype = "stuck"\n')
    program = (
        f"import edge.sources; edge.sources.__path__.append({str(tmp_path)!r})\n"
        "from sensorline import edge_main\n"
        f"edge_main.EXIT_WAIT_S = {exit_wait_s}\n"
        "edge_main.main(['--json'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["device"] == NAME
    time.sleep(0.7)  # until it hangs
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == code
    assert time.monotonic() - began_s < exit_wait_s + 0.2
    process.stdout.close()


def test_the_socket_answers_who_says_nothing_and_who_says_nonsense(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)  # longer than a socket's path may be
    deep.mkdir(parents=True)
    write_edge(deep, "http://127.0.0.1:9", "sl_x")
    with edge_run(deep):
        assert ask(deep)["device"] == NAME
        assert "ask one of" in ask(deep, "the way")["error"]
        fd = os.open(deep / "edge-data", os.O_RDONLY)
        for said in (b"", b"\xff\n", b"[1]\n", b"x" * 5000):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(f"/proc/self/fd/{fd}/agent.sock")
                client.sendall(said)
                client.shutdown(socket.SHUT_WR)
                answer = json.loads(client.makefile().readline())
                assert "device" in answer or "error" in answer
        os.close(fd)
