"""What happens now, as server-sent events: whoever watches sees a reading a moment after its POST."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.access import Principal, Role, require, still_holds
from gateway.answers import Asked, Name
from gateway.live.events import ANOMALY, PULSE, READINGS
from gateway.live.hub import Hub
from gateway.live.reader import Reader
from gateway.live.stream import Wanted
from gateway.live.thinning import POINTS_LEAST
from gateway.openapi import guarded
from gateway.routes._anomaly_answers import listed
from telemetry import errors
from telemetry.errors import Invalid

BEAT_S = 10.0
DEVICES_MAX = 100
SENSORS_MAX = 50
POINTS_MAX = 1_000
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would hold events back
}

router = APIRouter(prefix="/v1", tags=["query"], dependencies=[Depends(require(Role.VIEWER))])

_STREAM: dict[str, Any] = {
    "description": "Events: `hello`, `readings`, `pulse`, `anomaly`, `lost` (this reader was too slow for so many), "
    "`reset` (what the id says cannot be gone on from: load history). Each has an id to go on from, and the data is "
    "JSON; times are milliseconds since the epoch. A comment every 10 s. Ends when the session or key no longer holds, "
    "and when this gateway cannot go on: connect again with the last id.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


class EventStream(Response):
    """One open stream: sends as fast as it is read, until either side ends it."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, reader: Reader, request: Request) -> None:
        super().__init__()
        self._hub = hub
        self._reader = reader
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the reader goes, the gateway stops, or who asked may no longer."""
        gone = asyncio.create_task(_gone(receive, self._reader))
        try:
            headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send(send)
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._hub.leave(self._reader)
            gone.cancel()

    async def _send(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        beat_at_s = loop.time() + BEAT_S
        while (frames := await self._reader.next(max(0.0, beat_at_s - loop.time()))) is not None:
            if loop.time() >= beat_at_s:
                if not still_holds(self._request):
                    return
                beat_at_s = loop.time() + BEAT_S
                frames += self._reader.beat()
            if frames:
                await send({"type": "http.response.body", "body": frames, "more_body": True})


async def _gone(receive: Receive, reader: Reader) -> None:
    """End the reader when its client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.end()


@router.get(
    "/live",
    response_class=Response,
    responses={200: _STREAM, **guarded(errors.Invalid, errors.RateLimited, errors.LogUnavailable)},
)
async def live(
    *,
    services: Asked,
    request: Request,
    principal: Annotated[Principal, Depends(require(Role.VIEWER))],
    kinds: Annotated[
        str,
        Query(
            pattern=r"^(readings|pulse|anomaly)(,(readings|pulse|anomaly))*$",
            description="What to tell: `readings` (of named devices), `pulse`, `anomaly`, with commas between.",
            examples=["readings,anomaly"],
        ),
    ] = f"{PULSE},{ANOMALY}",
    device: Annotated[
        list[Name] | None, Query(max_length=DEVICES_MAX, description="Only of these devices.", examples=[["pi-7f3a"]])
    ] = None,
    sensor: Annotated[
        list[Name] | None, Query(max_length=SENSORS_MAX, description="`readings` of these sensors; absent: all.")
    ] = None,
    points: Annotated[
        int, Query(ge=POINTS_LEAST, le=POINTS_MAX, description="At most so many rows of a series of a batch.")
    ] = 100,
    after: Annotated[
        str | None, Query(max_length=16_384, description="The id of the last event that was seen: go on behind it.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(max_length=16_384, description="The same, as browsers say it; it goes before `after`.")
    ] = None,
) -> Response:
    """Readings, signs of life and anomalies as they come."""
    asked = frozenset(kinds.split(","))
    if READINGS in asked and not device:
        raise Invalid("kinds=readings needs at least one device", path="device")
    wanted = Wanted(asked, frozenset(device) if device else None, frozenset(sensor) if sensor else None, points)
    shown = partial(listed, services=services)
    reader = await services.live.open(wanted, principal.name, shown, last_event_id or after)
    return EventStream(services.live, reader, request)
