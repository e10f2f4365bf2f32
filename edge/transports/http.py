"""Transport `http`: POSTs batches over one kept-alive connection; the far end is `gateway/listeners/http.py`.

Delivery: at most once a call.  A call without an answer may have been stored: send the same bytes again.
"""

import asyncio
import contextlib
import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import httpx
import orjson

from edge.transports import ANSWER_BYTES_MAX, Answer
from telemetry import compression, wire
from telemetry.clock import Clock, SystemClock
from telemetry.errors import Misconfigured

PROBLEM_TYPE = "urn:sensorline:error:"
CODE_HEADER = "sensorline-error"  # where an answer for people (Sensor Logger's 499) carries the code for machines


class HttpTransport:
    """One device's endpoint.  `encoding` (identity, gzip, zstd) is applied to every body as Content-Encoding."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        encoding: str = "zstd",
        deadline_s: float = 30.0,
        client: httpx.AsyncClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`client`, when given, is shared with others and not closed here.  Raises `Misconfigured` for a bad URL."""
        self._url = check_url(url)
        self._encoding = encoding
        self._deadline_s = deadline_s
        self._owns_client = client is None
        self._client = client or new_client(connections_max=1)
        self._clock = clock or SystemClock()
        self._headers = {
            "authorization": f"Bearer {token}",
            "content-type": wire.CONTENT_TYPE,
            "accept-encoding": "identity",
        }
        if encoding != "identity":
            self._headers["content-encoding"] = encoding

    async def send(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """POST once; see `Transport.send`."""
        packed = compression.deflate(body, self._encoding)
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                self._client.stream(
                    "POST", self._url, content=packed, headers={**self._headers, **(headers or {})}
                ) as response,
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


def new_client(*, connections_max: int, cafile: str | None = None) -> httpx.AsyncClient:
    """A client that keeps its connections; `cafile` names the authority of a gateway with its own certificate."""
    limits = httpx.Limits(max_connections=connections_max, max_keepalive_connections=connections_max)
    verify = httpx.create_ssl_context(verify=cafile) if cafile else True
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


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= ANSWER_BYTES_MAX:
            break
    return bytes(body[:ANSWER_BYTES_MAX])
