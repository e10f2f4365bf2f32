"""Detection on real Kafka by two members that are killed with -9, hang and move: the same anomalies as one undisturbed
member finds, bit for bit, each once."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from sensorline.servers import Servers
from telemetry.logs import open_log
from telemetry.ports import BATCHES, Log
from tests.journey.disturbed import found, records
from tests.journey.processes import Process, free_port

pytestmark = [pytest.mark.real, pytest.mark.crash, pytest.mark.timeout(420, func_only=True)]

PARTITIONS = 3
WAIT_S = 120.0
COMPILE_WAIT_S = 240.0  # the first start on a machine compiles the detectors
FAILPOINTS = {"detect.after_outputs": 3, "detect.after_states": 2, "detect.after_marker": 2, "detect.after_flush": 2}


@dataclass
class Site:
    """Topics of their own, filled with the same records, and the members that read them."""

    folder: Path
    bootstrap: str
    prefix: str = field(default_factory=lambda: f"detect-{uuid4().hex[:8]}-")
    members: list[Process] = field(default_factory=list)

    def options(self) -> dict[str, object]:
        return {"bootstrap": self.bootstrap, "prefix": self.prefix, "partitions": PARTITIONS, "session_timeout_s": 6.0}

    async def open(self) -> Log:
        log = open_log("kafka", self.options(), self.folder)
        await log.start()
        return log

    async def fill(self) -> None:
        log = await self.open()
        await log.append(BATCHES, records())
        await log.close()

    def member(self) -> Process:
        """One more, in small steps: a checkpoint every few batches."""
        name, port = f"{self.prefix}{len(self.members)}", free_port()
        config = self.folder / f"{name}.toml"
        adapter = "\n".join(f"{k} = {v!r}".replace("'", '"') for k, v in self.options().items())
        config.write_text(
            f'data_dir = "{self.folder / name}"\nlog = "kafka"\nstore = "memory"\n'
            f"[consumers]\nflush_bytes_max = 40000\ncheckpoint_s = 0.05\nstates_max = 2\nhealth_port = {port}\n"
            f"[adapters.kafka]\n{adapter}\n"
        )
        arguments = ["consume", "detect", "--config", str(config)]
        process = Process(arguments, f"http://127.0.0.1:{port}/readyz", self.folder / f"{name}.log", COMPILE_WAIT_S)
        self.members.append(process)
        return process

    def finished(self) -> dict[str, bytes]:
        """Wait until all is committed, then the anomalies."""
        return asyncio.run(self._finished())

    async def _finished(self) -> dict[str, bytes]:
        log = await self.open()
        try:
            ends = {p: end for p, end in (await log.ends(BATCHES)).items() if end}
            deadline_s = time.monotonic() + WAIT_S
            while (done := await log.committed(BATCHES, "detect")) | ends != done:
                assert time.monotonic() < deadline_s, f"{done} of {ends}: {[m.log_tail() for m in self.members]}"
                await asyncio.sleep(0.3)
            return (await found(log))[0]
        finally:
            await log.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def sites(servers: Servers, folder: Path) -> Iterator[list[Site]]:
    both = [Site(folder, servers.bootstrap), Site(folder, servers.bootstrap)]
    for site in both:
        asyncio.run(site.fill())
    try:
        yield both
    finally:
        for process in (m for site in both for m in site.members):
            if process.popen and process.popen.poll() is None:
                process.popen.kill()
                process.popen.wait(20)


def owns_some(process: Process) -> None:
    """Until it has taken part: a member says that partitions are here."""
    deadline_s = time.monotonic() + WAIT_S
    before = process.log_file.read_text().count("are here")
    while process.log_file.read_text().count("are here") <= before:
        assert time.monotonic() < deadline_s, process.log_tail()
        assert httpx.get(process.ready_url, timeout=30).status_code in (200, 503)
        time.sleep(0.1)


def test_killed_hung_and_moved_members_find_what_an_undisturbed_one_finds(sites: list[Site]) -> None:
    calm, stormy = sites
    calm.member().start()
    expected = calm.finished()
    calm.members[0].stop()
    assert len(expected) >= 4

    first, second = stormy.member(), stormy.member()
    for name, count in FAILPOINTS.items():
        first.start({name: count})
        first.wait_killed(WAIT_S)
    second.start()  # beside nobody yet: it waits until the dead one's session runs out
    first.start()  # and now a rebalance
    assert first.popen is not None
    os.kill(first.popen.pid, signal.SIGSTOP)  # a zombie that holds what it polled
    found_by_second = stormy.finished()
    os.kill(first.popen.pid, signal.SIGCONT)
    owns_some(first)
    assert found_by_second == expected
    second.kill()
    assert stormy.finished() == expected
    first.stop()
    assert stormy.finished() == expected
