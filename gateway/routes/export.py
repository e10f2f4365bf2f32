"""A device's readings taken home, streamed: whatever the size, a few pieces are in memory."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal, NamedTuple

import pyarrow as pa
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import StreamingResponse

from gateway.access import Role, require, while_held
from gateway.answers import Asked, Device, Name, Time, check_not_deleted, check_readable, pieces_within, within
from gateway.export import Format, Writer, load_format
from gateway.openapi import guarded
from gateway.services import Services
from telemetry import errors
from telemetry.batch import TIME_NS_MAX
from telemetry.errors import Invalid

Piece = tuple[str, pa.Table]
FormatName = Literal["csv", "parquet", "arrow", "gpx", "geojson"]


class Wanted(NamedTuple):
    """Which rows."""

    device: str
    session: str | None
    from_ns: int
    to_ns: int


router = APIRouter(prefix="/v1", tags=["query"], dependencies=[Depends(require(Role.VIEWER))])

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_DOCUMENT: dict[str, Any] = {
    "description": "The document.  A connection that ends without the last chunk is an export that failed.",
    "headers": {"Content-Disposition": {"schema": {"type": "string"}, "required": True}},
    "content": {
        "text/csv": _TEXT,
        "application/vnd.apache.parquet": _BINARY,
        "application/vnd.apache.arrow.stream": _BINARY,
        "application/gpx+xml": _TEXT,
        "application/geo+json": {"schema": {"type": "object"}},
    },
}


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: _DOCUMENT, **guarded(errors.NotFound, errors.Invalid, errors.StoreUnavailable)},
)
async def export(
    *,
    services: Asked,
    request: Request,
    device: Device,
    file_format: Annotated[FormatName, Query(alias="format", description="gpx and geojson hold `location` only.")],
    session: Annotated[Name | None, Query(description="Only this session.")] = None,
    sensor: Annotated[Name | None, Query(description="Only this sensor.")] = None,
    from_: Annotated[Time, Query(alias="from", description="First event time, included.")] = 0,
    to: Annotated[Time, Query(description="Event time up to here, excluded.")] = TIME_NS_MAX,
) -> StreamingResponse:
    """All readings of a device, or some, as a file; by sensor, session, seq, series and index.

    csv, parquet and arrow are one table: sensor, session, seq, series, i, t, the fields, extra.  In csv a text that a
    spreadsheet would run as a formula has an apostrophe in front; parquet and arrow hold every text untouched.
    """
    await check_readable(services, device)
    form = load_format(file_format)
    if form.sensor is not None and sensor not in (None, form.sensor):
        raise Invalid(f"{file_format} shows {form.sensor} only, not {sensor}", path="sensor")
    only = form.sensor or sensor
    sensors = [only] if only else await _sensors(services, device)
    pieces = _pieces(services, sensors, Wanted(device, session, from_, to))
    first = await anext(pieces, None)  # what the store refuses is still an answer with a status
    headers = {"Content-Disposition": f'attachment; filename="{_file_name(device, session, only, form)}"'}
    body = _body(services, device, form.open(device, sensors), first, pieces)
    return StreamingResponse(while_held(request, Role.VIEWER, body), headers=headers, media_type=form.media_type)


async def _sensors(services: Services, device: str) -> list[str]:
    seen = await within(services, services.store.devices())
    return sorted(sensor for s in seen if s.device == device for sensor in s.sensors)


async def _pieces(services: Services, sensors: list[str], wanted: Wanted) -> AsyncGenerator[Piece, None]:
    """Sensor by sensor: one that appears meanwhile is not among the columns, and so not in the export."""
    for sensor in sensors:
        exported = services.store.export(
            wanted.device, session=wanted.session, sensor=sensor, from_ns=wanted.from_ns, to_ns=wanted.to_ns
        )
        async with aclosing(pieces_within(services, exported)) as pieces:
            async for piece in pieces:
                yield piece


async def _body(
    services: Services, device: str, writer: Writer, first: Piece | None, rest: AsyncGenerator[Piece, None]
) -> AsyncGenerator[bytes, None]:
    """The bytes; a device that is deleted meanwhile cuts the connection."""
    piece = first
    async with aclosing(rest):
        while piece is not None:
            if chunk := await asyncio.to_thread(writer.write, *piece):
                yield chunk
            check_not_deleted(services, device)
            piece = await anext(rest, None)
    yield await asyncio.to_thread(writer.end)


def _file_name(device: str, session: str | None, sensor: str | None, form: Format) -> str:
    """Of names that match `[A-Za-z0-9_.-]` only, never beginning with a dot."""
    parts = [part for part in (device, session, sensor) if part]
    return f"sensorline_{'_'.join(parts)}.{form.suffix}"
