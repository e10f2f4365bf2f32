"""Load on a running station, from outside: phones with Sensor Logger, native devices, and people who ask.

    SENSORLINE_KEY=<operator's key> locust -f load/locustfile.py --headless -u 50 -r 10 -t 60s -H http://127.0.0.1:8080

Each device user is one device: a message a second (what a phone does), sent again until it is acknowledged.  Tokens
come from LOAD_TOKENS, a file of JSON lines {"device", "token"} (what `sensorline device add --json` writes), or are
issued with the key in SENSORLINE_KEY; the people who ask need the key in either case.
"""

import itertools
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random

import orjson
from locust import FastHttpUser, constant_throughput, task
from locust.exception import StopUser

from simulator.behaviours import BEHAVIOURS
from simulator.enrol import read_tokens
from simulator.speak import Spoken, native, sensor_logger
from simulator.world import SECOND_NS, World
from telemetry import compression

KEY = os.environ.get("SENSORLINE_KEY", "")
TOKENS: Iterator[tuple[str, str]] = iter(
    read_tokens(Path(os.environ["LOAD_TOKENS"])).items() if os.environ.get("LOAD_TOKENS") else ()
)
NUMBER = itertools.count()
SPAN_S = 60
POINTS = 300


class DeviceUser(FastHttpUser):
    """One device; a message that was not acknowledged is sent again the next second."""

    abstract = True
    wait_time = constant_throughput(1)

    def on_start(self) -> None:
        """Get a token and begin a session."""
        n = next(NUMBER)
        self.device, self.token = next(TOKENS, None) or self._enrol(f"load-{uuid.uuid4().hex[:12]}")
        self.session = str(uuid.uuid4())
        self.random = Random(n)
        self.world = World(n, sorted(BEHAVIOURS)[n % len(BEHAVIOURS)], time.time_ns() - SECOND_NS)
        self.seq = 0

    def _enrol(self, device: str) -> tuple[str, str]:
        if not KEY:
            raise StopUser("set SENSORLINE_KEY or LOAD_TOKENS")
        with self.client.post(
            "/v1/devices", json={"device": device}, headers=bearer(KEY), name="enrol", catch_response=True
        ) as answer:
            if answer.status_code != 201:
                answer.failure(f"{answer.status_code} {answer.text}")
                raise StopUser
        return device, answer.json()["token"]

    def speak(self) -> Spoken:
        """The bytes of the current message."""
        raise NotImplementedError

    @task
    def send(self) -> None:
        """One message; the same again until it is stored."""
        spoken = self.speak()
        headers = bearer(self.token) | {"content-type": "application/json", "content-encoding": spoken.encoding}
        body = compression.deflate(spoken.body, spoken.encoding)
        with self.client.post(spoken.path, data=body, headers=headers, catch_response=True) as answer:
            if answer.status_code == 200 and answer.json()["readings"] == spoken.expected.readings:
                self.seq += 1
            else:
                answer.failure(f"{answer.status_code} {answer.text}")


class SensorLoggerPhone(DeviceUser):
    """A phone with the app: plain JSON, a message a second."""

    weight = 3

    def speak(self) -> Spoken:
        """One of the app's messages."""
        random = Random(f"{self.device} {self.seq}")  # the same bytes when it is sent again
        return sensor_logger(self.device, self.session, self.seq, self.world.chunk(self.seq), random)


class NativeDevice(DeviceUser):
    """A Pi: canonical batches with zstd."""

    weight = 3

    def speak(self) -> Spoken:
        """One batch."""
        return native(self.device, self.session, self.seq, self.world.chunk(self.seq))


class Asker(FastHttpUser):
    """A person with a dashboard: which devices, one sensor's last minute in a few hundred points, what is missing."""

    weight = 1
    wait_time = constant_throughput(2)

    def on_start(self) -> None:
        """Needs a key."""
        if not KEY:
            raise StopUser("set SENSORLINE_KEY")
        self.random = Random(next(NUMBER))
        self.seen: list[str] = []

    @task(1)
    def devices(self) -> None:
        """The list of devices."""
        with self.client.get("/v1/devices", headers=bearer(KEY), catch_response=True) as answer:
            if answer.status_code == 200:
                listed = orjson.loads(answer.content)["devices"]
                self.seen = [d["device"] for d in listed if "acceleration" in d["sensors"]]

    @task(3)
    def readings(self) -> None:
        """The last minute of a device's acceleration, downsampled by the store."""
        if not self.seen:
            return self.devices()
        now_ns = time.time_ns()
        asked = f"device={self.random.choice(self.seen)}&sensor=acceleration&points={POINTS}"
        path = f"/v1/readings?{asked}&from={now_ns - SPAN_S * SECOND_NS}&to={now_ns}"
        with self.client.get(path, headers=bearer(KEY), name="/v1/readings", catch_response=True) as answer:
            if answer.status_code == 200 and not 0 <= answer.json()["rows"] <= POINTS:
                answer.failure(f"{answer.json()['rows']} rows for {POINTS} points")
        return None

    @task(1)
    def completeness(self) -> None:
        """What is missing of a device."""
        if not self.seen:
            return self.devices()
        path = f"/v1/completeness?device={self.random.choice(self.seen)}"
        self.client.get(path, headers=bearer(KEY), name="/v1/completeness")
        return None


def bearer(token: str) -> dict[str, str]:
    """The header of a token or key."""
    return {"authorization": f"Bearer {token}"}
