"""SOURCE: somebody's JSON API, polled.

    [sources.weather]
    type = "http"
    url = "https://api.example/v1/now?key=${file:weather.key}"
    every_s = 60
    rows = "observations"              # JMESPath to the list of rows (or to one object); absent: the whole answer
    headers = {Authorization = "Bearer ${file:weather.token}"}
    map = {sensor = "temperature", time = "dt", fields = {celsius = "main.temp"}}

An answer that has not changed (ETag, Last-Modified) is not read again; Retry-After is honoured; redirects are not
followed, for the headers may hold a secret.

Delivery: with `map.time`, a reading whose time is not after the last one of its sensor counts as known, so each comes
once, and one that the API adds late, with an older time, is not seen.  Without `map.time` every poll that brings
something new is a reading.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
from pydantic import Field, field_validator

from edge.cleaning.clean import Cleaned, Cleaner, Maps, picked_readings
from edge.cleaning.rows import expression
from edge.sources import Bad, Context, Options, Outlet, SourceFailed, driver
from edge.sources._blocking import in_thread
from edge.sources._secrets import expanded
from telemetry.batch import Series
from telemetry.outcome import Reason

RETRY_AFTER_S_MAX = 3600.0
UNCHANGED = 304
_WAIT = frozenset({429, 503})


class Config(Options):
    """Of one API."""

    url: str = Field(repr=False, description="may hold ${file:name}")
    every_s: float = Field(60.0, ge=0.1, le=7 * 86_400)
    rows: str | None = None
    map: Maps
    headers: dict[str, str] = Field(default_factory=dict, repr=False, description="values may hold ${file:name}")
    deadline_s: float = Field(20.0, gt=0, le=600, description="of one poll")
    size_bytes_max: int = Field(4 * 2**20, gt=0, le=64 * 2**20, description="of one answer")

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a URL begins with http:// or https:// and a host")
        return url


def open(config: Config, context: Context) -> "HttpSource":  # noqa: A001 - the port's word
    """Connects when it is run.  Raises `Misconfigured`: units, JMESPath, a missing library."""
    httpx = driver("httpx", "poll")
    path = f"sources.{context.name}"
    cleaner = Cleaner.of(config.map, f"{path}.map").prepare_rows(f"{path}.map")
    rows = expression(config.rows, f"{path}.rows") if config.rows else None
    return HttpSource(config, context, cleaner, rows, httpx)


@dataclass(frozen=True, slots=True)
class _Answer:
    """`wait_s`: what the server asks for.  `body` None: nothing new."""

    body: bytes | None
    wait_s: float | None = None
    tags: Mapping[str, str] | None = None


class HttpSource:
    """One API."""

    def __init__(
        self, config: Config, context: Context, cleaner: Cleaner, rows: Callable[[Any], Any] | None, httpx: Any
    ) -> None:
        self._config = config
        self._context = context
        self._cleaner = cleaner
        self._rows = rows
        self._httpx = httpx
        self._where = f"{urlsplit(config.url).scheme}://{urlsplit(config.url).hostname}"
        self._last = _parsed(context.cursor)
        self._tags: Mapping[str, str] = {}

    async def run(self, outlet: Outlet) -> None:
        """Poll for ever.  Raises `SourceFailed`."""
        clock = self._context.clock
        async with self._client() as client:
            due_s = clock.monotonic_s()
            while True:
                answer = await self._poll(client)
                if answer.body is not None:
                    await self._hand_over(await in_thread(self._cleaned, answer.body), outlet)
                    self._tags = answer.tags or {}  # from here on: what came before is taken
                now_s = clock.monotonic_s()
                due_s = max(due_s + self._config.every_s, now_s)
                await clock.sleep(max(due_s - now_s, answer.wait_s or 0.0))

    async def check(self) -> str:
        """Poll once."""
        async with self._client() as client:
            answer = await self._poll(client)
        if answer.body is None:
            return f"{self._where} asks to wait {answer.wait_s or 0:g} s"
        cleaned = await in_thread(self._cleaned, answer.body)
        found = ", ".join(f"{len(s)} of {s.sensor}" for s in cleaned.series) or "no good readings"
        first = f", the first bad one: {cleaned.bad[0].detail or cleaned.bad[0].reason}" if cleaned.bad else ""
        return f"{found}, {len(cleaned.bad)} bad rows{first}"

    def _client(self) -> Any:
        limits = self._httpx.Limits(max_connections=1)
        return self._httpx.AsyncClient(limits=limits, timeout=None, follow_redirects=False, trust_env=False)

    async def _poll(self, client: Any) -> _Answer:
        try:
            async with asyncio.timeout(self._config.deadline_s):
                url, headers = await in_thread(self._request)
                async with client.stream("GET", url, headers=headers) as response:
                    return await self._read(response)
        except TimeoutError as e:
            raise SourceFailed(f"{self._where}: no answer within {self._config.deadline_s:g} s") from e
        except (self._httpx.HTTPError, self._httpx.InvalidURL, UnicodeError, ValueError) as e:
            # the text of these may hold the URL, and that a key; headers of a wrong form are a ValueError
            raise SourceFailed(f"{self._where}: {type(e).__name__}") from e

    def _request(self) -> tuple[str, dict[str, str]]:
        """Answers are asked for uncompressed, so that the bound on their size is one on memory too."""
        path, folder = f"sources.{self._context.name}", self._context.folder
        own = {k: expanded(v, folder, f"{path}.headers.{k}") for k, v in self._config.headers.items()}
        headers = {"accept": "application/json", **own, **self._tags, "accept-encoding": "identity"}
        return expanded(self._config.url, folder, f"{path}.url"), headers

    async def _read(self, response: Any) -> _Answer:
        status: int = response.status_code
        if status == UNCHANGED:
            return _Answer(None)
        if status in _WAIT and (wait_s := self._retry_after_s(response)) is not None:
            return _Answer(None, wait_s)
        if status != 200:
            to = " (a redirect: name its target as url)" if 300 <= status < 400 else ""
            raise SourceFailed(f"{self._where} answers {status}{to}", retry_after_s=self._retry_after_s(response))
        if response.headers.get("content-encoding", "identity") != "identity":
            raise SourceFailed(f"{self._where}: the answer is compressed, which was not asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._config.size_bytes_max:
                raise SourceFailed(f"{self._where}: the answer has more than size_bytes_max bytes")
        return _Answer(bytes(body), None, _tags(response.headers))

    def _retry_after_s(self, response: Any) -> float | None:
        from edge.transports.http import retry_after_s  # noqa: PLC0415 - with its library, which is loaded by now

        wait_s = retry_after_s(response.headers.get("retry-after"), self._context.clock.now_ns())
        return None if wait_s is None else min(wait_s, RETRY_AFTER_S_MAX)

    def _cleaned(self, body: bytes) -> Cleaned:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as e:
            raise SourceFailed(f"{self._where}: the answer is no JSON") from e
        rows = self._rows(document) if self._rows is not None else document
        if rows is None:
            detail = f"there is no {self._config.rows} in the answer"
            text = body[:200].decode("utf-8", "replace")
            return Cleaned((), (), (Bad(0, str(Reason.NOT_AN_OBJECT), text, detail),))
        listed = rows if isinstance(rows, list) else [rows]
        return self._cleaner.rows(listed, range(1, len(listed) + 1), arrived_ns=self._context.stamp.now_ns)

    async def _hand_over(self, cleaned: Cleaned, outlet: Outlet) -> None:
        if cleaned.bad:
            outlet.set_aside(cleaned.bad)
        new = self._new(cleaned.series)
        if new:
            await outlet.put(new, cursor=None if self._cleaner.is_stamped else self._text())

    def _new(self, series: Sequence[Series]) -> list[Series]:
        """In order of time, what is after the last; all of it for readings that are stamped on arrival."""
        if self._cleaner.is_stamped:
            return list(series)
        new: list[Series] = []
        last = dict(self._last)
        for one in series:
            order = np.argsort(one.t, kind="stable")
            later = order[one.t[order] > last.get(one.sensor, -1)]
            if len(later):
                new.append(
                    one if len(later) == len(one) and (np.diff(order) == 1).all() else picked_readings(one, later)
                )
                self._last[one.sensor] = max(int(one.t[later[-1]]), self._last.get(one.sensor, -1))
        return new

    def _text(self) -> str:
        return orjson.dumps({"v": 1, "last": self._last}).decode()


def _tags(headers: Any) -> dict[str, str]:
    """What asks "only if it is another" next time."""
    if "etag" in headers:
        return {"if-none-match": headers["etag"]}
    return {"if-modified-since": headers["last-modified"]} if "last-modified" in headers else {}


def _parsed(cursor: str | None) -> dict[str, int]:
    """A cursor that makes no sense is as if there were none."""
    try:
        return {str(sensor): int(t) for sensor, t in orjson.loads(cursor or "{}").get("last", {}).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
