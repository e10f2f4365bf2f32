"""What the read side's answers share: a deadline on every question, one encoder, and who may still be read about."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Annotated, Any, TypeVar

import numpy as np
import orjson
import pyarrow as pa
from fastapi import Depends, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from starlette.requests import HTTPConnection
from starlette.responses import Response

from gateway.services import Services, services_of
from gateway.times import parse_ns
from telemetry.batch import NAME, TIME_NS_MAX
from telemetry.errors import NotFound, StoreUnavailable

T = TypeVar("T")
RETRY_AFTER_S = 1.0


class Answer(BaseModel):
    """Base of every answer's model."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _name(text: object) -> str:
    if not isinstance(text, str) or not NAME.fullmatch(text):
        raise ValueError("a name must match [A-Za-z0-9_.-]{1,64} and be neither '.' nor '..'")
    return text


_NAME_SCHEMA = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_.-]{1,64}$",
    "not": {"enum": [".", ".."]},
    "minLength": 1,
    "maxLength": 64,
}
_TIME_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": TIME_NS_MAX},
        {"type": "string", "format": "date-time"},
    ]
}

Name = Annotated[str, BeforeValidator(_name), WithJsonSchema(_NAME_SCHEMA)]
"""A device's, session's or sensor's name in a query or a path."""

Time = Annotated[int, BeforeValidator(parse_ns), WithJsonSchema(_TIME_SCHEMA)]
"""A time in a query, as UTC nanoseconds."""

Device = Annotated[Name, Query(description="The device.", examples=["pi-7f3a"])]
Sensor = Annotated[Name, Query(description="The sensor, as the catalogue calls it.", examples=["acceleration"])]
From = Annotated[
    Time,
    Query(
        alias="from",
        description="First event time, included: integer UTC nanoseconds or ISO 8601 (UTC when it names no zone).",
        examples=["2025-01-31T12:00:00Z"],
    ),
]
To = Annotated[Time, Query(alias="to", description="Event time up to here, excluded.", examples=[1738324805000000000])]


async def _services(connection: HTTPConnection) -> Services:
    """As `services_of`; FastAPI would run that, being no coroutine, in a thread of its own for each request."""
    return services_of(connection)


Asked = Annotated[Services, Depends(_services)]
"""What a route works with."""


class Json(Response):
    """A document encoded by orjson: numpy arrays as they are, NaN as null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes; models and dataclasses are not taken, only plain values and arrays."""
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


async def within(services: Services, question: Awaitable[T]) -> T:
    """The store's answer, or `StoreUnavailable` once the deadline of a query has passed."""
    wait_s = services.settings.gateway.query_wait_s
    try:
        async with asyncio.timeout(wait_s):
            return await question
    except TimeoutError as e:
        raise StoreUnavailable(
            f"the store did not answer within {wait_s:g} s: ask for less, or try again", retry_after_s=RETRY_AFTER_S
        ) from e


async def pieces_within(services: Services, pieces: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The same pieces, each under the deadline of a query; what the store holds open for them is let go at the end."""
    try:
        while True:
            try:
                piece = await within(services, anext(pieces))
            except StopAsyncIteration:
                return
            yield piece
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


async def check_readable(services: Services, device: str) -> None:
    """Raises `NotFound` for a device that was deleted, or of which nobody ever heard."""
    check_not_deleted(services, device)
    if services.registry.device(device) is None:  # a store that was filled before this log began knows more
        seen = await within(services, services.store.devices())
        if all(s.device != device for s in seen):
            raise _unknown(device)


def check_not_deleted(services: Services, device: str) -> None:
    """Raises `NotFound` for a device that was deleted and not enrolled again."""
    registry = services.registry
    if registry.deleted_ns(device) is not None and registry.device(device) is None:
        raise _unknown(device)


def _unknown(device: str) -> NotFound:
    return NotFound(f"there is no device {device}", path="device")


def columns_of(table: pa.Table) -> dict[str, Any]:
    """Numbers as numpy arrays, texts and truth values as lists, `extra` as the JSON that it is."""
    return {name: _column(name, table[name]) for name in table.column_names}


def _column(name: str, column: pa.ChunkedArray) -> Any:
    if name == "extra":
        return [None if text is None else orjson.Fragment(text) for text in column.to_pylist()]
    if pa.types.is_floating(column.type) or (pa.types.is_integer(column.type) and column.null_count == 0):
        return np.ascontiguousarray(column.to_numpy())
    return column.to_pylist()
