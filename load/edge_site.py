"""Processes of the edge's bench: a real station, a real broker where MQTT is asked for, and the agent."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from load.edge_backlog import RATE_HZ, SENSORS, UNIT, counts
from sensorline.commands.edge_run import LEAN

DEVICE = "pi"
PROGRAM = Path(sys.executable).with_name("sensorline")
AGENT = Path(__file__).with_name("edge_process.py")
STOP_WAIT_S = 20.0
START_WAIT_S = 60.0
IMU = '[sources.imu]\ntype = "mpu6050"\nbus = 1\nrate_hz = 100\n'
SECOND_IMU = '[sources.imu-2]\ntype = "lsm6ds"\nbus = 3\nrate_hz = 100\n'
RECORDED = {"chips": SENSORS[2:], "replay": SENSORS, "imus": ()}


@dataclass(frozen=True, slots=True)
class Site:
    """A running station that knows the device."""

    folder: Path
    station: subprocess.Popen[str]
    url: str  # as the transport needs it
    token: str

    @property
    def data(self) -> Path:
        """The station's."""
        return self.folder / "station"


@contextlib.contextmanager
def site(folder: Path, transport: str) -> Iterator[Site]:
    """The station, and Mosquitto in front of it for `mqtt`."""
    with contextlib.ExitStack() as stack:
        broker_url = ""
        if transport == "mqtt":
            from tests.faults.mosquitto import mosquitto  # noqa: PLC0415 - only where it is asked for

            broker_url = stack.enter_context(mosquitto(folder)).url
        data = folder / "station"
        more = ["--set", f"gateway.mqtt.url={broker_url}"] if broker_url else []
        command = [PROGRAM, "up", "--json", "--port", "0", "--data-dir", data, *more]
        station, ready = stack.enter_context(started(command, folder / "station.log"))
        added = subprocess.run(
            [PROGRAM, "device", "add", DEVICE, "--json", "--no-qr", "--url", ready["url"], "--data-dir", data],
            capture_output=True,
            text=True,
            timeout=START_WAIT_S,
            check=True,
        )
        yield Site(folder, station, broker_url or ready["url"], json.loads(added.stdout.splitlines()[0])["token"])


@contextlib.contextmanager
def agent(where: Site, transport: str, sources: str, data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """The agent's own process, once it runs; stopped in good order at the end."""
    folder = data_dir.parent
    token = folder / "edge.token"
    token.touch(mode=0o600)
    token.write_text(where.token)
    (folder / "edge.toml").write_text(
        f'device = "{DEVICE}"\ndata_dir = "{data_dir.name}"\ntransport = "{transport}"\n'
        f'[adapters.{transport}]\nurl = "{where.url}"\n'
        "[clock]\nunsynchronised_wait_s = 0\n"  # a machine for tests is often kept by no time service
        + _sources(sources, folder)
    )
    command = [sys.executable, AGENT, "--config", folder / "edge.toml", "--json"]
    # as `sensorline edge run` starts it, and as an installed program: compiled
    env = LEAN | {"PYTHONPYCACHEPREFIX": str(where.folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    with started(command, folder / "edge.log", env) as (process, _):
        yield process


def recordings(folder: Path, seconds: int) -> None:
    """A CSV of each sensor, as long as that."""
    for sensor in SENSORS:
        with (folder / f"{sensor}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["t", "x", "y", "z"])
            for k, row in enumerate(counts(sensor, seconds, 3) * UNIT[sensor]):
                writer.writerow([k * 10**9 // RATE_HZ, *(f"{value:.6g}" for value in row)])


def stop(process: subprocess.Popen[Any]) -> None:
    """SIGTERM, and SIGKILL when that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _sources(which: str, folder: Path) -> str:
    chips = {"chips": IMU, "replay": "", "imus": IMU + SECOND_IMU}[which]
    return chips + "".join(_recorded(sensor, folder.parent / f"{sensor}.csv") for sensor in RECORDED[which])


def _recorded(sensor: str, path: Path) -> str:
    return (
        f'[sources.{sensor}]\ntype = "replay"\npath = "{path}"\ntimes = "now"\n'
        f'map = {{sensor = "{sensor}", time = "t", time_unit = "ns", fields = {{x = "x", y = "y", z = "z"}}}}\n'
    )


@contextlib.contextmanager
def started(
    command: list[str | Path], log: Path, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A process and the line of JSON with which it says that it is ready."""
    env = {name: text for name, text in os.environ.items() if not name.startswith("SENSORLINE_")} | dict(more)
    with log.open("a") as errors:
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=errors, text=True, env=env, cwd=log.parent
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"{command[0]} did not start:\n{log.read_text()[-2000:]}")
        yield process, json.loads(line)
    finally:
        stop(process)
        if process.stdout is not None:
            process.stdout.close()
