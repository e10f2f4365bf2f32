"""A station and an edge beside it, both as processes that a test may kill: the device's token, `edge.toml` with the
sources `system` and `replay`, and the recording that is replayed, so that the store can be compared with it."""

import asyncio
import io
import json
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tomli_w

from edge import status_socket
from simulator import ledger as ledgers
from simulator.ledger import End, Handed
from telemetry.errors import NotReady
from tests.journey.processes import COMMAND, Process, environment, free_port
from tests.sensorline.program import invoke

EDGE = (sys.executable, "-P", "-m", "sensorline.edge_main")
RUN = (str(COMMAND), "edge", "run")
WAIT_S = 30.0
POLL_S = 0.02
STEP_NS = 10_000_000
QUICK = {"batch": {"period_s": 0.05}, "spool": {"commit_period_s": 0.02}, "clock": {"unsynchronised_wait_s": 0.0}}

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """A CSV of accelerations at 100 Hz; no two rows are alike."""

    path: Path
    rows: Numbers  # columns: x, y, z as the store holds them
    times: npt.NDArray[np.int64]

    @classmethod
    def write(cls, path: Path, readings: int, *, noise: bool = False) -> "Recording":
        """An hour ago: younger than any retention.  With `noise` it does not compress: it fills a disk."""
        n = np.arange(readings)
        times = (time.time_ns() - 3_600 * 10**9) // 1_000 * 1_000 + n * STEP_NS
        values = np.random.default_rng(1).uniform(-90, 90, (readings, 3)) if noise else _waves(n)
        rows = values.astype(np.float32).astype(np.float64)
        lines = (f"{t},{x!r},{y!r},{z!r}" for t, (x, y, z) in zip(times.tolist(), rows.tolist(), strict=True))
        path.write_text("\n".join(("t,ax,ay,az", *lines)) + "\n")
        return cls(path, rows, times)

    def __len__(self) -> int:
        return len(self.times)

    def source(self, speed: float) -> dict[str, Any]:
        """Settings that replay it."""
        fields = {axis: f"a{axis}" for axis in "xyz"}
        columns = {"sensor": "acceleration", "time": "t", "time_unit": "ns", "fields": fields}
        return {"type": "replay", "path": str(self.path), "speed": speed, "times": "original", "map": columns}


def _waves(n: npt.NDArray[np.int64]) -> Numbers:
    return np.column_stack((n / 64, 9 * np.sin(n / 50), n % 97))


@dataclass(frozen=True)
class Station:
    """A running `sensorline up` and its operator's key."""

    process: Process
    data_dir: Path

    @property
    def url(self) -> str:
        return self.process.ready_url.removesuffix("/readyz")

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def key(self) -> str:
        return (self.data_dir / "operator.key").read_text().strip()

    @property
    def where(self) -> tuple[str, ...]:
        """For commands that ask it."""
        return "--url", self.url, "--data-dir", str(self.data_dir)

    def get(self, path: str, **asked: Any) -> httpx.Response:
        """What the API says to an operator."""
        headers = {"authorization": f"Bearer {self.key}"}
        answer = httpx.get(f"{self.url}{path}", params=asked, headers=headers, timeout=30)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
        return answer

    def sessions(self, device: str) -> list[dict[str, Any]]:
        """The completeness of each of a device's sessions, once the consumers have seen everything."""
        eventually(lambda: not any(self.get("/v1/stats").json()["lag"].values()), "the consumers are behind")
        found: list[dict[str, Any]] = self.get("/v1/completeness", device=device).json()["sessions"]
        return found


@contextmanager
def station(folder: Path, *sets: str) -> Iterator[Station]:
    """A started one, with a limit of requests that a test's small batches do not reach."""
    data_dir, port = folder / "station", free_port()
    given = ("gateway.limits.requests_per_s=2000", "gateway.limits.requests_burst=2000", *sets)
    options = [word for text in given for word in ("--set", text)]
    arguments = ["up", "--data-dir", str(data_dir), "--port", str(port), *options]
    process = Process(arguments, f"http://127.0.0.1:{port}/readyz", folder / "up.log")
    try:
        process.start()
        yield Station(process, data_dir)
    finally:
        if process.popen is not None and process.popen.poll() is None:
            process.popen.send_signal(signal.SIGCONT)
            process.popen.kill()
            process.popen.wait(20)


@dataclass
class Edge:
    """An edge's folder and its agent, which may be started again and again; all of its runs share one ledger."""

    folder: Path
    device: str
    settings: dict[str, Any]
    program: Sequence[str] = EDGE
    popen: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def data_dir(self) -> Path:
        return self.folder / "edge-data"

    @property
    def ledger(self) -> Path:
        """Beside the data folder: what happens to that leaves it alone."""
        return self.folder / "edge.jsonl"

    def start(self, failpoints: Mapping[str, int] | None = None, **variables: str) -> None:
        """Start, and wait until it answers or an armed failpoint has killed it."""
        (self.folder / "edge.toml").write_text(tomli_w.dumps(self.settings))
        armed = ",".join(f"{name}={count}" for name, count in (failpoints or {}).items())
        command = [*self.program, "--json", "--ledger", str(self.ledger)]
        with (self.folder / "edge.out").open("wb") as out, (self.folder / "edge.log").open("ab") as log:
            self.popen = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=out,
                stderr=log,
                env=environment(SENSORLINE_FAILPOINTS=armed, **variables),
            )
        eventually(lambda: self.popen.poll() is not None or self._answers(), self.log_tail)  # type: ignore[union-attr]
        code = self.popen.poll()
        assert code is None or (armed and code == -signal.SIGKILL), f"ended with {code}: {self.log_tail()}"

    def _answers(self) -> bool:
        try:
            return bool(self.status()["running"])
        except NotReady:
            return False

    def status(self) -> dict[str, Any]:
        """What it says of itself now; raises `NotReady`."""
        found: dict[str, Any] = status_socket.ask(self.data_dir)
        return found

    def until(self, condition: Callable[[dict[str, Any]], Any], within_s: float = WAIT_S) -> dict[str, Any]:
        """Its status, once that is so."""
        last: dict[str, Any] = {}

        def holds() -> bool:
            assert self.popen is not None
            assert self.popen.poll() is None, f"ended with {self.popen.poll()}: {self.log_tail()}"
            last.clear()
            last.update(self.status())
            return bool(condition(last))

        eventually(holds, lambda: f"{json.dumps(last)}\n{self.log_tail()}", within_s)
        return last

    def acknowledged(self, readings: int, within_s: float = WAIT_S) -> dict[str, Any]:
        """Its status, once so many readings of this run are acknowledged."""
        return self.until(lambda status: acknowledged(status) >= readings, within_s)

    def delivered(self, within_s: float = 60.0) -> dict[str, Any]:
        """Once the replay is over and acknowledged, end it; the last status, in which nothing waits."""
        self.until(lambda s: s["sources"]["drive"]["state"] == "finished" and s["spool"]["batches"] == 0, within_s)
        last = self.stop()
        assert last["spool"]["batches"] == 0, last
        return last

    def kill(self) -> None:
        """kill -9."""
        assert self.popen is not None
        self.popen.kill()
        self.popen.wait(20)

    def wait_killed(self, within_s: float = WAIT_S) -> None:
        """Until its failpoint has killed it."""
        assert self.popen is not None
        try:
            code = self.popen.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it passes no failpoint: {self.status()}\n{self.log_tail()}") from None
        assert code == -signal.SIGKILL, f"ended with {code}, not by its failpoint: {self.log_tail()}"

    def stop(self) -> dict[str, Any]:
        """SIGTERM; it ends well, and this is its last status."""
        assert self.popen is not None
        self.popen.terminate()
        code = self.popen.wait(20)
        assert code == 0, f"SIGTERM ended it with {code}: {self.log_tail()}"
        last: dict[str, Any] = json.loads((self.folder / "edge.out").read_text().splitlines()[-1])
        return last

    def handed(self) -> list[Handed]:
        """What the ledger says by now, in order."""
        return list(ledgers.read(self.ledger).values()) if self.ledger.exists() else []

    def log_tail(self) -> str:
        """What it said last."""
        return (self.folder / "edge.log").read_text(errors="replace")[-3000:]


@contextmanager
def edge(
    station: Station,
    folder: Path,
    *,
    device: str = "pi",
    recording: Recording | None = None,
    speed: float = 0,
    url: str = "",
    **settings: Any,
) -> Iterator[Edge]:
    """An edge with a token; it is not started, and killed at the end if it runs then.

    It sends over HTTP to the station, to `url`, or over MQTT when that is a broker's.
    """
    home = folder / f"edge-{device}"
    home.mkdir()
    (issued,) = invoke(home, "device", "add", device, "--no-qr", *station.where)
    token_file = home / "edge.token"
    token_file.touch(mode=0o600)
    token_file.write_text(issued["token"])
    address = url or station.url
    transport = "mqtt" if address.startswith("mqtt") else "http"
    document: dict[str, Any] = {
        "device": device,
        "transport": transport,
        "adapters": {transport: {"url": address, "deadline_s": 3.0}},
        "sources": {"host": {"type": "system", "every_s": 0.1}},
        **QUICK,
    }
    if recording is not None:
        document["sources"]["drive"] = recording.source(speed)
    for name, section in settings.items():
        document[name] = {**document.get(name, {}), **section}
    made = Edge(home, device, tomllib.loads(tomli_w.dumps(document)))
    try:
        yield made
    finally:
        if made.popen is not None and made.popen.poll() is None:
            made.popen.send_signal(signal.SIGCONT)
            made.kill()


def eventually(condition: Callable[[], Any], otherwise: str | Callable[[], str], within_s: float = WAIT_S) -> None:
    """Until it is true; `otherwise` is what is said when it never is."""
    ends_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends_s:
            raise AssertionError(
                f"not within {within_s:g} s: {otherwise if isinstance(otherwise, str) else otherwise()}"
            )
        time.sleep(POLL_S)


def acknowledged(status: Mapping[str, Any]) -> int:
    """Readings, over both lanes, in this run."""
    return sum(lane["acknowledged_readings"] for lane in status["lanes"].values())


def verified(station: Station, ledger: Path) -> dict[str, Any]:
    """The report of `sensorline verify`, in which the four figures are zero."""
    report: dict[str, Any] = invoke(ledger.parent, "verify", "--ledger", ledger, *station.where)[
        -1
    ]  # its exit code is 0
    four = {name: report[name] for name in ("lost_acked", "dup_stored", "corrupt", "unaccounted")}
    assert four == dict.fromkeys(four, 0), report
    return report


def four_zeros(station: Station, made: Edge) -> dict[str, Any]:
    """`verified`, and each end in the ledger is what became of the batch.

    All that is stored was acknowledged; nothing that was dropped is stored; nothing is left without an end.
    """
    report = verified(station, made.ledger)
    handed = made.handed()
    assert all(batch.end is not None for batch in handed)
    assert report["stored"] == report["sent"] > 0, report
    assert report["dropped"] == readings(handed, End.DROPPED), report
    return report


def readings(handed: Sequence[Handed], end: End, *reasons: str) -> int:
    """Readings of the batches that ended so."""
    return sum(b.readings for b in handed if b.end is end and (not reasons or b.reason in reasons))


def stored(station: Station, device: str, sensor: str) -> pa.Table:
    """All rows of a sensor, in order of time."""
    with pa.ipc.open_stream(
        io.BytesIO(station.get("/v1/export", device=device, sensor=sensor, format="arrow").content)
    ) as stream:
        table = stream.read_all()
    return table.sort_by([("t", "ascending"), ("seq", "ascending"), ("i", "ascending")])


def assert_replayed_once(station: Station, device: str, recording: Recording) -> None:
    """The store holds just the recording's readings: none skipped, none twice, none changed."""
    table = stored(station, device, "acceleration")
    times = table["t"].to_numpy()
    assert len(times) == len(recording), f"{len(times)} of {len(recording)} readings"
    assert np.array_equal(times, recording.times)
    rows = np.column_stack([np.asarray(table[axis].to_numpy(), np.float64) for axis in "xyz"])
    assert np.array_equal(rows, recording.rows)


async def aside(work: Callable[..., Any], *arguments: Any) -> Any:
    """In a thread: the proxies of a test live in its event loop."""
    return await asyncio.to_thread(work, *arguments)
