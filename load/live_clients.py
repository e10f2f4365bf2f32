"""The two ends of the live stream's bench, on raw sockets: phones that send, and readers of `/v1/live`."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson

SENSORS = ("acceleration", "gyroscope", "magnetometer")
RATE_HZ = 100
NS = 10**9
STREAM_BYTES_MAX = 2**20


@dataclass
class Sent:
    """What the phones have sent, by what the events call it.  Times are wall clock, nanoseconds."""

    at_ns: dict[tuple[str, int], int] = field(default_factory=dict)
    seq_of: dict[tuple[str, float], int] = field(default_factory=dict)  # by the newest reading's time, ms
    acknowledged_ms: list[float] = field(default_factory=list)

    def began(self, device: str, seq: int, newest_ns: int) -> None:
        """Just before a POST's first byte."""
        self.seq_of[device, newest_ns // 1_000_000] = seq
        self.at_ns[device, seq] = time.time_ns()


class Phone:
    """One device on one connection: a batch a second, of the second before."""

    def __init__(self, device: str, token: str, where: tuple[str, int], sent: Sent) -> None:
        self.device = device
        self._token = token
        self._where = where
        self._sent = sent
        rng = random.Random(device)
        ticks = ",".join(str(k * NS // RATE_HZ) for k in range(RATE_HZ))
        self._series = [
            (f'{{"sensor":"{sensor}","t0":', f',"dt":[{ticks}],"values":{self._values(rng)}}}') for sensor in SENSORS
        ]

    async def send(self, seconds: float, phase: float, first_seq: int) -> None:
        """So long, beginning `phase` of a second from now; seqs from `first_seq` on."""
        reader, writer = await asyncio.open_connection(*self._where)
        loop = asyncio.get_running_loop()
        began_s = loop.time() + phase
        for n in range(int(seconds)):
            await asyncio.sleep(began_s + n - loop.time())
            body, newest_ns = self._batch(first_seq + n)
            head = (
                f"POST /v1/batches HTTP/1.1\r\nHost: station\r\nAuthorization: Bearer {self._token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            self._sent.began(self.device, first_seq + n, newest_ns)
            began = time.perf_counter()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode())
            await reader.readexactly(int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
            self._sent.acknowledged_ms.append((time.perf_counter() - began) * 1e3)
        writer.close()

    def _batch(self, seq: int) -> tuple[bytes, int]:
        newest_ns = time.time_ns() // 1_000_000 * 1_000_000
        t0 = newest_ns - (RATE_HZ - 1) * NS // RATE_HZ
        series = ",".join(f"{head}{t0}{tail}" for head, tail in self._series)
        body = f'{{"v":1,"device":"{self.device}","session":"bench","seq":{seq},"series":[{series}]}}'
        return body.encode(), newest_ns

    @staticmethod
    def _values(rng: random.Random) -> str:
        return json.dumps({axis: [round(rng.gauss(0, 3), 5) for _ in range(RATE_HZ)] for axis in "xyz"})


@dataclass
class Watcher:
    """One reader of the stream; `late_ms` of each event, and what it never saw."""

    query: str
    late_ms: list[float] = field(default_factory=list)
    seen: set[tuple[str, int, str]] = field(default_factory=set)
    batches: int = 0
    told_lost: int = 0
    is_measuring: bool = False

    def take(self, name: str, data: dict[str, Any], now_ns: int, sent: Sent) -> None:
        """One event, received at `now_ns`."""
        if name == "lost":
            self.told_lost += data["events"]
        if name == "readings":
            self._note(data["device"], data["seq"], now_ns, sent)
            self.seen.add((data["device"], data["seq"], data["sensor"]))
        if name == "pulse":
            self.batches += data["batches"] if self.is_measuring else 0
            self._note(data["device"], sent.seq_of[data["device"], data["newest"]], now_ns, sent)

    def _note(self, device: str, seq: int, now_ns: int, sent: Sent) -> None:
        if self.is_measuring:
            self.late_ms.append((now_ns - sent.at_ns[device, seq]) / 1e6)


@contextlib.asynccontextmanager
async def watching(where: tuple[str, int], key: str, watcher: Watcher, sent: Sent) -> AsyncIterator[Watcher]:
    """The reader, with its stream open."""
    reader, writer = await asyncio.open_connection(*where, limit=STREAM_BYTES_MAX)
    head = f"GET /v1/live?{watcher.query} HTTP/1.1\r\nHost: station\r\nAuthorization: Bearer {key}\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(answer.decode())

    async def read() -> None:
        rest = b""
        while data := await _chunk(reader):
            now_ns = time.time_ns()
            *blocks, rest = (rest + data).split(b"\n\n")
            for block in blocks:
                lines = dict(line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":"))
                if b"event" in lines:
                    watcher.take(lines[b"event"].decode(), orjson.loads(lines[b"data"]), now_ns, sent)

    task = asyncio.create_task(read())
    try:
        yield watcher
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        writer.close()


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """One piece of a chunked body; b"" at its end."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    data = await reader.readexactly(size + 2)
    return data[:-2]
