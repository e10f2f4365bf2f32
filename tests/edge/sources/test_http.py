"""The source `http` against a real server on this machine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import uvicorn

from edge.sources import SourceFailed, http
from telemetry.clock import ManualClock
from telemetry.errors import Misconfigured
from telemetry.outcome import Reason
from tests.edge.sources.harness import Driven, Kept, context

MAP = {"sensor": "temperature", "time": "dt", "fields": {"celsius": {"from": "main.temp", "unit": "K"}}}
Headers = list[tuple[bytes, bytes]]


@dataclass
class Api:
    """What the server answers next, and what it was asked."""

    body: bytes = b"[]"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    hangs: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/now"

    def rows(self, *rows: Any) -> None:
        self.body = orjson.dumps({"list": rows})

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        asked = {k.decode(): v.decode() for k, v in scope["headers"]}
        self.asked.append(asked)
        self.paths.append(f"{scope['path']}?{scope['query_string'].decode()}")
        unchanged = self.etag and asked.get("if-none-match") == self.etag
        headers = {**self.headers, **({"etag": self.etag} if self.etag else {})}
        pairs: Headers = [(k.encode(), v.encode()) for k, v in headers.items()]
        await send({"type": "http.response.start", "status": 304 if unchanged else self.status, "headers": pairs})
        if self.hangs:
            await asyncio.sleep(3600)
        await send({"type": "http.response.body", "body": b"" if unchanged else self.body})


@asynccontextmanager
async def serving() -> AsyncIterator[Api]:
    api = Api()
    config = uvicorn.Config(api, port=0, lifespan="off", log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.005)
    api.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield api
    finally:
        server.should_exit = server.force_exit = True
        await task


def opened(api: Api, clock: Any = None, folder: Path = Path(), cursor: str | None = None, **options: Any) -> Any:
    config = http.Config.model_validate({"url": api.url, "rows": "list", "map": MAP, "every_s": 60, **options})
    return http.open(config, replace(context(clock, folder), cursor=cursor))


def row(dt: int, kelvin: Any) -> dict[str, Any]:
    return {"dt": dt, "main": {"temp": kelvin}}


async def test_each_reading_comes_once_and_bad_rows_are_set_aside() -> None:
    clock = ManualClock()
    async with serving() as api:
        api.rows(row(102, 273.15), row(100, 300), row(101, "hot"), row(100, 301), 7)
        driven = Driven(opened(api, clock), clock)
        await driven.run_for(1)
        kept = driven.kept
        assert kept.times("temperature").tolist() == [100 * 10**9, 100 * 10**9, 102 * 10**9]
        assert kept.column("temperature", "celsius")[2] == 0.0
        assert [(b.line, b.reason) for b in kept.bad] == [(3, Reason.BAD_VALUES), (5, Reason.BAD_VALUES)]
        api.rows(row(103, 274.15), row(102, 273.15))
        await driven.run_for(60)
        assert kept.times("temperature").tolist()[3:] == [103 * 10**9]
        await driven.stop()
        api.rows(row(103, 274.15), row(104, 274.15))
        clock = ManualClock()
        again = Driven(opened(api, clock, cursor=kept.cursors[-1]), clock)
        await again.run_for(1)
        await again.stop()
        assert again.kept.times("temperature").tolist() == [104 * 10**9]


async def test_what_has_not_changed_is_not_read_again() -> None:
    clock = ManualClock()
    async with serving() as api:
        api.etag = '"1"'
        api.body = b'{"temp": 20.5}'
        driven = Driven(
            opened(api, clock, rows=None, map={"sensor": "temperature", "fields": {"celsius": "temp"}}), clock
        )
        await driven.run_for(130)
        assert len(api.asked) == 3
        assert "if-none-match" not in api.asked[0]
        assert api.asked[2]["if-none-match"] == '"1"'
        assert driven.kept.count("temperature") == 1
        assert not driven.kept.cursors
        api.etag = '"2"'
        await driven.run_for(60)
        await driven.stop()
        assert driven.kept.count("temperature") == 2
        assert np.diff(driven.kept.times("temperature"))[0] == 180 * 10**9


async def test_retry_after_is_honoured() -> None:
    clock = ManualClock()
    async with serving() as api:
        api.status, api.headers = 429, {"retry-after": "600"}
        driven = Driven(opened(api, clock), clock)
        await driven.run_for(599)
        assert len(api.asked) == 1
        await driven.run_for(2)
        assert len(api.asked) == 2
        await driven.stop()
        api.headers = {}
        with pytest.raises(SourceFailed, match="429"):
            await opened(api).run(Kept())
        api.status, api.headers = 500, {"retry-after": "7"}
        with pytest.raises(SourceFailed) as e:
            await opened(api).run(Kept())
        assert e.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"status": 404}, "404"),
        ({"status": 302, "headers": {"location": "http://elsewhere.invalid/"}}, "redirect"),
        ({"body": b"<html>log in</html>"}, "no JSON"),
        ({"body": b"[" + b"1," * 3000 + b"1]"}, "size_bytes_max"),
        ({"headers": {"content-encoding": "gzip"}}, "compressed"),
        ({"hangs": True}, r"within 0\.3 s"),
    ],
)
async def test_a_server_that_does_not_do_as_it_should(wrong: dict[str, Any], match: str) -> None:
    async with serving() as api:
        for name, value in wrong.items():
            setattr(api, name, value)
        with pytest.raises(SourceFailed, match=match):
            await opened(api, deadline_s=0.3 if api.hangs else 10, size_bytes_max=4096).run(Kept())


async def test_no_server_is_a_failed_source() -> None:
    api = Api(port=1)
    with pytest.raises(SourceFailed, match=r"127\.0\.0\.1: ConnectError"):
        await opened(api).run(Kept())


async def test_rows_that_are_not_there_are_set_aside() -> None:
    clock = ManualClock()
    async with serving() as api:
        api.body = b'{"error": "no such city"}'
        driven = Driven(opened(api, clock), clock)
        await driven.run_for(1)
        await driven.stop()
        assert [(b.reason, b.text) for b in driven.kept.bad] == [(Reason.NOT_AN_OBJECT, '{"error": "no such city"}')]


async def test_secrets_come_from_files_and_stay_there(tmp_path: Path) -> None:
    (tmp_path / "a.key").write_text("sesame\n")
    async with serving() as api:
        options = {
            "url": api.url + "?key=${file:a.key}",
            "headers": {"Authorization": "Bearer ${file:a.key}"},
            "folder": tmp_path,
        }
        api.rows(row(100, 300))
        assert await opened(api, **options).check() == "1 of temperature, 0 bad rows"
        assert api.asked[0]["authorization"] == "Bearer sesame"
        assert api.paths == ["/now?key=sesame"]
        api.status = 403
        with pytest.raises(SourceFailed) as e:
            await opened(api, **options).check()
        assert "sesame" not in str(e.value)
        (tmp_path / "a.key").unlink()
        with pytest.raises(Misconfigured, match=r"sources\.test\.headers\.Authorization"):
            await opened(api, **options).check()
        assert "key" not in repr(http.Config.model_validate({"url": api.url + "?key=x", "map": MAP}))


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="http"):
        http.Config.model_validate({"url": "ftp://a/b", "map": MAP})
    with pytest.raises(Misconfigured, match=r"sources\.test\.rows"):
        opened(Api(port=1), rows="a[[")
