"""What a message costs between the socket and the log, and what reading it back costs: process CPU time, no I/O.

    .venv/bin/python load/bench_parse.py [--rounds 400]

The message is the design phone's second: five 100 Hz motion sensors, 500 readings, about 83 KB of Sensor Logger JSON.
Prints one JSON line: the medians of each step in milliseconds a message, and CPU seconds per million readings.
Compare runs made side by side on a quiet machine.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable

import orjson

from telemetry import wire
from telemetry.dialects import sensor_logger
from telemetry.ports import Sender

READINGS = 500
_XYZ = ("accelerometer", "gravity", "gyroscope", "magnetometer")
_ORIENTATION = ("qz", "qy", "qx", "qw", "roll", "pitch", "yaw")


def message(rng: random.Random) -> bytes:
    """One second of a phone's motion."""
    payload: list[dict[str, object]] = []
    for i in range(100):
        t = 1_700_000_000_000_000_000 + i * 10_000_000
        payload += [_reading(name, {axis: rng.gauss(0, 1) for axis in "zyx"}, t) for name in _XYZ]
        payload.append(_reading("orientation", {part: rng.gauss(0, 1) for part in _ORIENTATION}, t))
    return orjson.dumps({"messageId": 0, "sessionId": "bench", "deviceId": "phone", "payload": payload})


def _reading(name: str, values: dict[str, float], t: int) -> dict[str, object]:
    return {"name": name, "values": values, "accuracy": 3, "time": t}


def beside(body: bytes) -> bytes:
    """The app's other shape: the fields beside `name` and `time`."""
    document = orjson.loads(body)
    for reading in document["payload"]:
        reading.update(reading.pop("values"))
    return orjson.dumps(document)


def median_ms(step: Callable[[], object], rounds: int) -> float:
    """The median CPU time of one call."""
    spent = []
    for _ in range(rounds):
        before = time.process_time_ns()
        step()
        spent.append(time.process_time_ns() - before)
    return statistics.median(spent) / 1e6


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=400)
    rounds = arguments.parse_args().rounds
    body = message(random.Random(7))
    other, odd = beside(body), orjson.dumps(orjson.loads(body) | {"payload": [*orjson.loads(body)["payload"], None]})
    (batch,) = sensor_logger.parse(body, Sender("phone", "android"), readings_max=20_000).batches
    if batch.readings != READINGS:
        raise SystemExit(f"the message gave {batch.readings} readings, not {READINGS}")
    canonical = wire.encode(batch)

    def parse(text: bytes, platform: str = "android") -> Callable[[], object]:
        return lambda: sensor_logger.parse(text, Sender("phone", platform), readings_max=20_000)

    steps: dict[str, Callable[[], object]] = {
        "parse": parse(body),
        "parse_ios": parse(body, "ios"),
        "parse_one_bad": parse(odd),
        "parse_beside": parse(other),
        "encode": lambda: wire.encode(batch),
        "hash": lambda: wire.content_hash(canonical),
        "decode_own": lambda: wire.decode_own(canonical),
        "decode": lambda: wire.decode(canonical),
    }
    ms = {name: round(median_ms(step, rounds), 3) for name, step in steps.items()}
    journey_ms = ms["parse"] + ms["encode"] + ms["hash"] + ms["decode_own"]
    print(
        json.dumps(
            {
                "message_bytes": len(body),
                "canonical_bytes": len(canonical),
                "readings": READINGS,
                "ms_per_message": ms,
                "cpu_s_per_M": {name: round(value * 1e3 / READINGS, 2) for name, value in ms.items()},
                "cpu_s_per_M_parse_encode_hash_decode_own": round(journey_ms * 1e3 / READINGS, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
