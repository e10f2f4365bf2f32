"""What one message costs the gateway's process: HTTP, token, parse, append; no store, no consumer.

usage: python load/bench_gateway.py [--messages 3000] [--phones 20] [--log memory] [--dialect sensor_logger]
       [--readings 500] [--profile FILE]

A gateway in a process of its own (log in memory unless told otherwise) takes messages shaped like the design phone's:
one second of five 100 Hz motion sensors, 500 readings, about 83 KB.  Prints one line of JSON: CPU milliseconds a
message in all, and how much of that is the dialect and the record (measured alone, in this process).  Memory and
SQLite only: compare runs made side by side.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
import uvloop

from gateway.app import create_app
from gateway.listeners.http import Server
from gateway.services import Services
from telemetry import wire
from telemetry.clock import SystemClock
from telemetry.dialects import load_dialect
from telemetry.labels import Labels
from telemetry.logs import open_log
from telemetry.ports import DEVICES, LABELS, Sender
from telemetry.records import batch_record
from telemetry.registry import Registry
from telemetry.settings import Gateway, Limits, Settings
from telemetry.stores import open_store
from telemetry.table import Table

SENSORS = ("accelerometer", "gravity", "gyroscope", "magnetometer")
ANGLES = ("qz", "qy", "qx", "qw", "roll", "pitch", "yaw")


def message(rng: random.Random, seq: int, readings: int) -> bytes:
    """One Sensor Logger message."""
    payload: list[dict[str, Any]] = []
    for i in range(readings // 5):
        t = 1_700_000_000_000_000_000 + seq * 1_000_000_000 + i * 10_000_000
        for name in SENSORS:
            values = {axis: rng.gauss(0, 1) for axis in "zyx"}
            payload.append({"name": name, "values": values, "accuracy": 3, "time": t})
        payload.append(
            {"name": "orientation", "values": dict.fromkeys(ANGLES, 0.1 * rng.random()), "accuracy": 3, "time": t}
        )
    return orjson.dumps({"messageId": seq, "sessionId": "bench", "deviceId": "app", "payload": payload})


async def serve(options: argparse.Namespace) -> None:
    """The gateway; tells its port and tokens on standard output and ends with its input."""

    async def lag() -> dict[str, int]:
        return {}

    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(port=0, limits=Limits(requests_per_s=1e6, requests_burst=1_000_000))
        settings = Settings(log=options.log, store="memory", data_dir=Path(folder), gateway=gateway)
        log, store, clock = (
            open_log(options.log, {}, Path(folder)),
            open_store("memory", {}, Path(folder), retention_days=1),
            SystemClock(),
        )
        await log.start()
        table = await Table.open(log, DEVICES)
        labels = await Table.open(log, LABELS)
        services = Services.build(
            settings=settings,
            clock=clock,
            log=log,
            store=store,
            registry=Registry(table),
            labels=Labels(labels),
            lag=lag,
        )
        tokens = [
            (await services.enrolment.enrol(f"phone-{n}", platform="android")).token for n in range(options.phones)
        ]
        server = Server(gateway, create_app(services))
        port = await server.start()
        print(json.dumps({"port": port, "tokens": tokens}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await server.stop()
        await labels.close()
        await table.close()
        await log.close()


async def phone(port: int, token: str, bodies: list[bytes], path: str) -> None:
    """One phone on one connection, one message at a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for body in bodies:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(answer.decode())
        size = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(size)
    writer.close()


def cpu_s(pid: int) -> tuple[float, float]:
    """CPU seconds of a process so far: its own code's, and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def alone_ms(bodies: list[bytes], dialect: str) -> float:
    """CPU milliseconds a message for what is no gateway's: inflate, parse, canonical bytes, hash."""
    module, sender = load_dialect(dialect), Sender("phone-0", "android")
    took_s = 0.0
    for _ in range(2):  # the first warms up
        began_s = time.process_time()
        for body in bodies:
            (batch,) = module.parse(body, sender, readings_max=20_000).batches
            batch_record(batch, received_ns=1, dialect=dialect)
        took_s = time.process_time() - began_s
    return took_s / len(bodies) * 1e3


async def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--phones", type=int, default=20)
    parser.add_argument("--readings", type=int, default=500)
    parser.add_argument("--log", default="memory")
    parser.add_argument("--dialect", choices=("sensor_logger", "native"), default="sensor_logger")
    parser.add_argument("--profile", default="")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        await serve(options)
        return
    rng = random.Random(7)
    each = options.messages // options.phones
    messages = [message(rng, seq, options.readings) for seq in range(each)]
    bodies = [messages] * options.phones
    path = "/v1/sensor-logger"
    if options.dialect == "native":
        bodies, path = [[as_native(m, f"phone-{n}") for m in messages] for n in range(options.phones)], "/v1/batches"
    profiled = ["-m", "cProfile", "-o", options.profile] if options.profile else []
    command = [sys.executable, *profiled, __file__, "--serve", "--phones", str(options.phones), "--log", options.log]
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    told = json.loads(await child.stdout.readline())
    warm = each // 5
    await asyncio.gather(*(phone(told["port"], t, b[:warm], path) for t, b in zip(told["tokens"], bodies, strict=True)))
    before_s, began_s = cpu_s(child.pid), time.perf_counter()
    await asyncio.gather(*(phone(told["port"], t, b[warm:], path) for t, b in zip(told["tokens"], bodies, strict=True)))
    took_s = time.perf_counter() - began_s
    user_s, kernel_s = (after - before for after, before in zip(cpu_s(child.pid), before_s, strict=True))
    used_s = user_s + kernel_s
    child.stdin.close()
    await child.wait()
    sent = (each - warm) * options.phones
    in_all_ms, parse_ms = used_s / sent * 1e3, alone_ms(bodies[0][:100], options.dialect)
    result = {
        "messages": sent, "bytes_a_message": len(bodies[0][0]), "messages_per_s": round(sent / took_s),
        "cpu_ms_a_message": round(in_all_ms, 3), "of_which_kernel": round(kernel_s / sent * 1e3, 3),
        "of_which_parse_and_record": round(parse_ms, 3),
        "http_auth_append": round(in_all_ms - parse_ms, 3),
        "cpu_s_per_M_readings": round(used_s / sent / options.readings * 1e6, 2),
    }  # fmt: skip
    print(json.dumps(result))


def as_native(body: bytes, device: str) -> bytes:
    """The same readings as a native batch."""
    (batch,) = load_dialect("sensor_logger").parse(body, Sender(device, "android"), readings_max=20_000).batches
    return wire.encode(batch)


if __name__ == "__main__":
    (uvloop if "--serve" in sys.argv else asyncio).run(main())
