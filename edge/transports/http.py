"""Transport `http`: POSTs batches over one kept-alive connection; the far end is `gateway/listeners/http.py`.

Delivery: at most once a call.  A call without an answer may have been stored: send the same bytes again.
"""

import asyncio
import contextlib
import math
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field

from edge.transports import ANSWER_BYTES_MAX, Answer
from telemetry import compression, wire
from telemetry.clock import Clock, SystemClock
from telemetry.errors import Misconfigured

PROBLEM_TYPE = "urn:sensorline:error:"
BATCHES_PATH = "/v1/batches"
LANES = 2
CODE_HEADER = "sensorline-error"  # where an answer for people (Sensor Logger's 499) carries the code for machines


class Config(BaseModel):
    """Settings under [adapters.http] of an edge's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="of the gateway, e.g. https://station.example:8443; a bare one gets /v1/batches")
    cafile: Path | None = Field(None, description="authority of a gateway with a certificate of its own")
    encoding: Literal["zstd", "gzip", "identity"] = "zstd"
    deadline_s: float = Field(30.0, gt=0, le=600, description="of one send, the answer included")
    plain_http_anywhere: bool = Field(default=False, description="send the token over plain HTTP beyond this machine")


def open(config: Config, *, device: str, token: Callable[[], str], clock: Clock, folder: Path) -> "HttpTransport":  # noqa: A001 - the port's word
    """The way to the gateway; connects when something is sent.  Raises `Misconfigured`."""
    url = httpx.URL(check_url(config.url))
    is_plain = url.scheme == "http"
    if is_plain and not config.plain_http_anywhere and not _is_loopback(url.host):
        raise Misconfigured(
            "setting adapters.http.url: the token would travel in the clear: use https://, "
            "or set plain_http_anywhere = true on a network of your own",
            path="adapters.http.url",
        )
    cafile = None if config.cafile is None else str(folder / config.cafile)
    try:
        client = new_client(connections_max=LANES, cafile=cafile, is_plain=is_plain)
    except OSError as e:  # includes ssl.SSLError: what is no certificate
        raise Misconfigured(f"setting adapters.http.cafile: {cafile}: {e}", path="adapters.http.cafile") from e
    return HttpTransport(
        str(url.copy_with(path=BATCHES_PATH) if url.path in ("", "/") else url),
        token,
        encoding=config.encoding,
        deadline_s=config.deadline_s,
        client=client,
        clock=clock,
        owns_client=True,
    )


class HttpTransport:
    """One device's endpoint.  `encoding` (identity, gzip, zstd) is applied to every body as Content-Encoding."""

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str],
        *,
        encoding: str = "zstd",
        deadline_s: float = 30.0,
        client: httpx.AsyncClient | None = None,
        clock: Clock | None = None,
        owns_client: bool = False,
    ) -> None:
        """`client`, when given, is shared with others and not closed here unless it `owns_client`.

        `token` may be a function: it is asked for each send.  Raises `Misconfigured` for a bad URL.
        """
        self._url = check_url(url)
        self._encoding = encoding
        self._deadline_s = deadline_s
        self._owns_client = owns_client or client is None
        self._token = token
        self._client = client or new_client(connections_max=1)
        self._clock = clock or SystemClock()
        self._headers = {
            "content-type": wire.CONTENT_TYPE,
            "accept-encoding": "identity",
        }
        if encoding != "identity":
            self._headers["content-encoding"] = encoding

    async def send(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """POST once; see `Transport.send`."""
        packed = compression.deflate(body, self._encoding)
        token = self._token if isinstance(self._token, str) else self._token()
        sent = {"authorization": f"Bearer {token}", **self._headers, **(headers or {})}
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                self._client.stream("POST", self._url, content=packed, headers=sent) as response,
            ):
                return await self._answer(response)
        except TimeoutError:
            return Answer(None, detail=f"no answer within {self._deadline_s:g} s")
        except httpx.HTTPError as e:  # every way a request can fail before it has an answer
            return Answer(None, detail=f"{type(e).__name__}: {e}")

    async def close(self) -> None:
        """Let the connection go."""
        if self._owns_client:
            await self._client.aclose()

    async def _answer(self, response: httpx.Response) -> Answer:
        body = await _read(response)
        code, detail = error_of(response, body)
        wait_s = retry_after_s(response.headers.get("retry-after"), self._clock.now_ns())
        return Answer(response.status_code, wait_s, code, detail, body)


def new_client(*, connections_max: int, cafile: str | None = None, is_plain: bool = False) -> httpx.AsyncClient:
    """A client that keeps its connections; `cafile` names the authority of a gateway with its own certificate.

    `is_plain`: it will only speak plain HTTP, so the memory that authorities' certificates take is saved.
    """
    limits = httpx.Limits(max_connections=connections_max, max_keepalive_connections=connections_max)
    verify = ssl.create_default_context(cafile=cafile) if cafile else not is_plain
    # each send has one deadline over the whole of it, so the client has none of its own
    return httpx.AsyncClient(limits=limits, timeout=None, verify=verify, trust_env=False)  # noqa: S113


def check_url(url: str) -> str:
    """`url` itself, or `Misconfigured`: a wrong one would look like silence for ever."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as e:
        raise Misconfigured(f"{url!r} is no URL: {e}") from e
    if parsed.scheme not in ("http", "https") or not parsed.host or not 0 < (parsed.port or 80) < 65536:
        raise Misconfigured(f"{url!r} is no URL of a gateway: it begins with http:// or https:// and a host")
    return url


def retry_after_s(text: str | None, now_ns: int) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, 10.2.3: seconds or a date); None when absent or senseless."""
    if text is None:
        return None
    try:
        wait_s = float(text)
    except ValueError:
        try:
            wait_s = parsedate_to_datetime(text).timestamp() - now_ns / 1e9
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, wait_s) if math.isfinite(wait_s) else None


def error_of(response: httpx.Response, body: bytes) -> tuple[str, str]:
    """The code and the text of a refusal: from the problem document, or from the header and plain text."""
    if response.is_success:
        return "", ""
    code = response.headers.get(CODE_HEADER, "")
    with contextlib.suppress(orjson.JSONDecodeError, AttributeError):
        problem = orjson.loads(body)
        return str(problem.get("type", code)).removeprefix(PROBLEM_TYPE), str(problem.get("detail", ""))[:500]
    return code, body[:500].decode(errors="replace")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= ANSWER_BYTES_MAX:
            break
    return bytes(body[:ANSWER_BYTES_MAX])
