"""Windows of a sensor's readings and their features: what a span amounts to, also where no reading is kept."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from gateway.access import Role, require
from gateway.answers import Answer, Asked, Device, From, Json, Sensor, To, check_readable, columns_of, within
from gateway.openapi import guarded
from telemetry import errors
from telemetry.ports import Span

LIMIT_MAX = 100_000
LIMIT_DEFAULT = 10_000
WIDTH_S_MAX = 366 * 86_400.0

Kind = Literal["tumbling", "sliding", "session"]

router = APIRouter(prefix="/v1", tags=["query"], dependencies=[Depends(require(Role.VIEWER))])


class Windows(Answer):
    """By start, as columns of equal length; null where a window lacks the feature."""

    device: str
    sensor: str
    from_ns: int = Field(description="UTC nanoseconds.")
    to_ns: int = Field(description="UTC nanoseconds.")
    kind: Kind
    width_s: float = Field(description="0 for session windows, whose gap says how long they are.")
    columns: dict[str, list[float | int | str | None]] = Field(
        description="`t` (start) and `end` (excluded), UTC nanoseconds, `session`, `count` (readings), then the "
        "features, `<field>_<feature>`.",
        examples=[
            {"t": [1738324800000000000], "end": [1738324801000000000], "session": ["s"], "count": [100], "x_rms": [9.8]}
        ],
    )
    rows: int = Field(ge=0)
    truncated: bool = Field(description="There were more windows than `limit`.")


@router.get(
    "/windows", response_model=Windows, responses=guarded(errors.NotFound, errors.Invalid, errors.StoreUnavailable)
)
async def windows(
    *,
    services: Asked,
    device: Device,
    sensor: Sensor,
    from_: From,
    to: To,
    kind: Annotated[Kind, Query(description="How the readings were cut.")] = "tumbling",
    width_s: Annotated[
        float,
        Query(gt=0, le=WIDTH_S_MAX, allow_inf_nan=False, description="A window's length; session windows have none."),
    ] = 1.0,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="At most so many.")] = LIMIT_DEFAULT,
) -> Json:
    """The windows of one sensor that start in a time span; which there are, the settings `windows` say."""
    await check_readable(services, device)
    width_ns = 0 if kind == "session" else round(width_s * 1e9)
    span = Span(device, sensor, from_, to)
    question = services.store.windows(span, kind=kind, width_ns=width_ns, limit=limit + 1)
    found = await within(services, question)
    table = found.slice(0, limit)
    columns: dict[str, Any] = columns_of(table)
    return Json(
        {
            "device": device,
            "sensor": sensor,
            "from_ns": from_,
            "to_ns": to,
            "kind": kind,
            "width_s": width_ns / 1e9,
            "columns": columns,
            "rows": table.num_rows,
            "truncated": found.num_rows > limit,
        }
    )
