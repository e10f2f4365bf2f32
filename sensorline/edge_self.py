"""An edge asks the gateway whose its token is; nothing is sent or stored."""

import asyncio

import httpx
import msgspec

from edge.settings import EdgeSettings
from edge.transports import http
from telemetry import adapters
from telemetry.errors import NotFound, Retryable

PATH = "/v1/device"
WAIT_S = 10.0


class Oneself(msgspec.Struct, frozen=True):
    """The gateway's answer; times in UTC nanoseconds."""

    device: str
    token_id: str
    now_ns: int
    expires_ns: int | None = None


async def ask(settings: EdgeSettings, token: str) -> Oneself:
    """Raises `NotFound` for a gateway that cannot say, `Retryable` when it does not answer."""
    config = adapters.configure(http, "http", settings.adapters.get("http", {}))
    assert isinstance(config, http.Config)  # noqa: S101 - for mypy
    url = httpx.URL(http.check_url(config.url))
    path = url.path.removesuffix("/").removesuffix(http.BATCHES_PATH) + PATH
    cafile = str(settings.folder / config.cafile) if config.cafile else None
    client = http.new_client(connections_max=1, cafile=cafile)
    try:
        async with asyncio.timeout(WAIT_S):
            answer = await client.get(url.copy_with(path=path), headers={"authorization": f"Bearer {token}"})
    except (httpx.HTTPError, TimeoutError) as e:
        raise Retryable(f"{PATH}: {type(e).__name__}: {e}") from e
    finally:
        await client.aclose()
    if answer.status_code != 200:
        raise NotFound(f"{PATH} was answered {answer.status_code}: whose the token is was not checked")
    try:
        return msgspec.json.decode(answer.content, type=Oneself)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise NotFound(f"{PATH} was answered by something else: {e}") from e
