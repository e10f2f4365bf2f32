"""A reader of `/v1/live` for tests: the app called as a server calls it, its answer read event by event."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from gateway.app import App


@dataclass
class Heard:
    """One event."""

    name: str
    id: str
    data: dict[str, Any]


@dataclass
class Listening:
    """One open stream.  While `reads` is clear, the client takes nothing more."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""  # of a refusal
    beats: list[str] = field(default_factory=list)  # the ids that came with comments
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    _events: asyncio.Queue[Heard] = field(default_factory=asyncio.Queue)
    _rest: bytes = b""

    async def event(self, *names: str, within_s: float = 5.0) -> Heard:
        """The next event, or the next of these names."""
        async with asyncio.timeout(within_s):
            while True:
                heard = await self._events.get()
                if not names or heard.name in names:
                    return heard

    async def events(self, n: int, *names: str) -> list[Heard]:
        """The next n."""
        return [await self.event(*names) for _ in range(n)]

    def now(self) -> list[Heard]:
        """What has come and was not taken yet."""
        return [self._events.get_nowait() for _ in range(self._events.qsize())]

    def take(self, data: bytes) -> None:
        """More of the answer's body."""
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if not line.startswith(":"))
            if "event" in fields:
                self._events.put_nowait(Heard(fields["event"], fields["id"], orjson.loads(fields["data"])))
            else:
                self.beats.append(fields.get("id", ""))


@contextlib.asynccontextmanager
async def listening(
    app: App, key: str | None, *, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[Listening]:
    """A stream that is open, or was refused; its client goes at the end."""
    heard = Listening()
    heard.reads.set()
    gone, answered = asyncio.Event(), asyncio.Event()
    sent = {"authorization": f"Bearer {key}"} if key else {}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/live",
        "raw_path": b"/v1/live",
        "query_string": urlencode(query, doseq=True).encode(),
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode()) for k, v in (sent | (headers or {})).items()],
        "client": ("127.0.0.1", 50000),
        "server": ("gateway", 80),
    }
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            heard.status = message["status"]
            heard.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        await heard.reads.wait()
        if heard.status == 200:
            heard.take(message.get("body", b""))
        heard.body += message.get("body", b"") if heard.status != 200 else b""
        answered.set()

    async def call() -> None:
        try:
            await app(scope, receive, send)
        finally:
            heard.ended.set()
            answered.set()

    task = asyncio.create_task(call())
    try:
        async with asyncio.timeout(10):
            await answered.wait()
        yield heard
    finally:
        gone.set()
        heard.reads.set()
        async with asyncio.timeout(10):
            await task
