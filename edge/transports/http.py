"""Transport `http`: POSTs batches over one kept-alive connection; the far end is `gateway/listeners/http.py`.

Delivery: at most once a call.  A call without an answer may have been stored: send the same bytes again.
"""

import asyncio
import contextlib
import math
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field

from edge.transports import ANSWER_BYTES_MAX, Answer
from edge.transports._http1 import PORTS, Http1, Unanswered
from telemetry import compression, wire
from telemetry.clock import Clock, SystemClock
from telemetry.errors import Misconfigured
from telemetry.loopback import is_loopback

if TYPE_CHECKING:
    import httpx

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
    url = urlsplit(check_url(config.url))
    is_plain = url.scheme == "http"
    if is_plain and not config.plain_http_anywhere and not is_loopback(url.hostname or ""):
        raise Misconfigured(
            "setting adapters.http.url: the token would travel in the clear: use https://, "
            "or set plain_http_anywhere = true on a network of your own",
            path="adapters.http.url",
        )
    cafile = None if config.cafile is None else str(folder / config.cafile)
    try:
        client = Http1(connections_max=LANES, tls=None if is_plain else trusting(cafile))
    except OSError as e:  # includes ssl.SSLError: what is no certificate
        raise Misconfigured(f"setting adapters.http.cafile: {cafile}: {e}", path="adapters.http.cafile") from e
    return HttpTransport(
        urlunsplit(url._replace(path=BATCHES_PATH) if url.path in ("", "/") else url),
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
        client: Http1 | None = None,
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
        self._client = client or Http1(connections_max=1, tls=trusting() if url.startswith("https") else None)
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
            async with asyncio.timeout(self._deadline_s):
                reply = await self._client.post(self._url, sent, packed, answer_bytes_max=ANSWER_BYTES_MAX)
        except TimeoutError:
            return Answer(None, detail=f"no answer within {self._deadline_s:g} s")
        except Unanswered as e:
            return Answer(None, detail=str(e))
        code, detail = error_of(reply.status, reply.headers, reply.body)
        wait_s = retry_after_s(reply.headers.get("retry-after"), self._clock.now_ns())
        return Answer(reply.status, wait_s, code, detail, reply.body)

    async def close(self) -> None:
        """Let the connection go."""
        if self._owns_client:
            self._client.close()


def trusting(cafile: str | None = None) -> ssl.SSLContext:
    """What TLS connections trust: this authority, or the public ones.  Raises `OSError`."""
    if cafile is None:
        import certifi  # noqa: PLC0415 - only where it is needed

        cafile = certifi.where()
    return ssl.create_default_context(cafile=cafile)


def new_client(*, connections_max: int, cafile: str | None = None) -> "httpx.AsyncClient":
    """A general client that keeps its connections; `cafile` names the authority of a gateway with its own certificate.

    For programs beside the agent, which sends through `Http1`.
    """
    import httpx  # noqa: PLC0415 - not in the agent's memory

    limits = httpx.Limits(max_connections=connections_max, max_keepalive_connections=connections_max)
    verify = trusting(cafile)
    # each send has one deadline over the whole of it, so the client has none of its own
    return httpx.AsyncClient(limits=limits, timeout=None, verify=verify, trust_env=False)  # noqa: S113


def check_url(url: str) -> str:
    """`url` itself, or `Misconfigured`: a wrong one would look like silence for ever."""
    try:
        parsed = urlsplit(url)
        port = parsed.port
    except ValueError as e:
        raise Misconfigured(f"{url!r} is no URL: {e}") from e
    is_text = url.isascii() and url.isprintable() and " " not in url
    if not is_text or parsed.scheme not in PORTS or not parsed.hostname or port == 0:
        raise Misconfigured(f"{url!r} is no URL of a gateway: it begins with http:// or https:// and a host")
    return url


def retry_after_s(text: str | None, now_ns: int) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, 10.2.3: seconds or a date); None when absent or senseless."""
    if text is None:
        return None
    try:
        wait_s = float(text)
    except ValueError:
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - much, for what is rarely sent

        try:
            wait_s = parsedate_to_datetime(text).timestamp() - now_ns / 1e9
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, wait_s) if math.isfinite(wait_s) else None


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """The code and the text of a refusal: from the problem document, or from the header and plain text."""
    if 200 <= status < 300:
        return "", ""
    code = headers.get(CODE_HEADER, "")
    with contextlib.suppress(orjson.JSONDecodeError, AttributeError):
        problem = orjson.loads(body)
        return str(problem.get("type", code)).removeprefix(PROBLEM_TYPE), str(problem.get("detail", ""))[:500]
    return code, body[:500].decode(errors="replace")
