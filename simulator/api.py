"""The gateway's HTTP API as the simulator uses it: patient with what passes, plain about what does not."""

import itertools
from collections.abc import Mapping
from io import BytesIO
from random import Random
from typing import IO, Any

import httpx
import orjson

from edge.retry import Free, RetryIn, decide
from edge.transports import Answer
from edge.transports.http import error_of, retry_after_s
from telemetry.clock import Clock, SystemClock
from telemetry.errors import Conflict, Forbidden, NotFound, NotReady, Permanent, SensorlineError, Unauthorised

_ERRORS: Mapping[int, type[SensorlineError]] = {401: Unauthorised, 403: Forbidden, 404: NotFound, 409: Conflict}


class Api:
    """Asks with an operator's key; what is retryable is asked again until `wait_s` is over."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, key: str | None, *, wait_s: float = 30.0, clock: Clock | None = None
    ) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._wait_s = wait_s
        self._clock = clock or SystemClock()
        self._random = Random()

    async def get(self, path: str, **params: str | int) -> Any:
        """The JSON answer; raises `Unauthorised`, `Forbidden`, `NotFound`, `Permanent`, or `NotReady` (too late)."""
        return orjson.loads(await self._until_good("GET", path, None, params=params))

    async def post(self, path: str, document: Mapping[str, Any]) -> Any:
        """As `get`, and `Conflict`."""
        return orjson.loads(await self._until_good("POST", path, None, json=document))

    async def download(self, path: str, params: Mapping[str, str], sink: IO[bytes]) -> None:
        """The whole body into `sink`, from its beginning, however often that takes; raises as `get`.

        The deadline is for each piece, not for the whole.
        """
        await self._until_good("GET", path, sink, params=params)

    async def _until_good(self, method: str, path: str, sink: IO[bytes] | None, **request: Any) -> bytes:
        ends_s = self._clock.monotonic_s() + self._wait_s
        for attempt in itertools.count():
            answer = await self._once(method, path, sink, request)
            action = decide(attempt, answer, self._random)
            if isinstance(action, Free):
                break
            if not isinstance(action, RetryIn):
                error = _ERRORS.get(answer.status or 0, Permanent)
                raise error(f"{method} {path}: {_words(answer)}")
            if self._clock.monotonic_s() + action.wait_s >= ends_s:
                raise NotReady(f"{method} {path}: no good answer within {self._wait_s:g} s; last: {_words(answer)}")
            await self._clock.sleep(action.wait_s)
        return answer.body

    async def _once(self, method: str, path: str, sink: IO[bytes] | None, request: Mapping[str, Any]) -> Answer:
        body = sink or BytesIO()
        body.seek(0)
        body.truncate()
        try:
            async with self._client.stream(
                method, self._url + path, headers=self._headers, timeout=self._wait_s, **request
            ) as response:
                async for piece in response.aiter_bytes():
                    body.write(piece)
        except httpx.HTTPError as e:
            return Answer(None, detail=f"{type(e).__name__}: {e}")
        body.seek(0)
        whole = b"" if sink and response.is_success else body.read()
        code, detail = error_of(response.status_code, response.headers, whole)
        wait_s = retry_after_s(response.headers.get("retry-after"), self._clock.now_ns())
        return Answer(response.status_code, wait_s, code, detail, whole)


def _words(answer: Answer) -> str:
    return " ".join(filter(None, (str(answer.status or "silence"), answer.code, answer.detail)))
