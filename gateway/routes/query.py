"""What a person or a program asks about readings: devices, readings, completeness, claims."""

from typing import Annotated, Any, Literal

import pyarrow as pa
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from gateway.access import Role, require
from gateway.answers import (
    Answer,
    Asked,
    Device,
    From,
    Json,
    Name,
    Sensor,
    To,
    check_readable,
    columns_of,
    within,
)
from gateway.downsample import downsample
from gateway.openapi import guarded
from gateway.routes._session_answers import Claims, Completeness, Count, Ns, claim_listed, session_listed
from gateway.services import Services
from telemetry import errors
from telemetry.errors import Invalid
from telemetry.ports import DeviceSeen, Span
from telemetry.reading import CATALOGUE

POINTS_MAX = 10_000
LIMIT_MAX = 100_000
LIMIT_DEFAULT = 10_000
ENVELOPE_PARTS = ("_min", "_max", "_mean")

Method = Literal["envelope", "minmax", "lttb"]

router = APIRouter(prefix="/v1", tags=["query"], dependencies=[Depends(require(Role.VIEWER))])


class TokenListed(Answer):
    """A token without its secret."""

    id: str
    created_ns: Ns
    expires_ns: Ns | None
    revoked_ns: Ns | None


class DeviceListed(Answer):
    """An enrolled device, or one that the store has readings of."""

    device: str
    registered: bool
    registered_ns: Ns | None
    platform: Literal["", "android", "ios"]
    standardised: bool
    readings: Count
    first_ns: Ns | None
    last_ns: Ns | None
    sensors: list[str]
    tokens: list[TokenListed]


class Devices(Answer):
    """Every device, by name."""

    devices: list[DeviceListed]


class Readings(Answer):
    """Rows by time, as columns of equal length; null where a reading lacks the field."""

    device: str
    sensor: str
    from_ns: Ns
    to_ns: Ns
    units: dict[str, str] = Field(description="SI unit of each numeric field, empty where it has none.")
    columns: dict[str, list[float | int | str | bool | dict[str, Any] | None]] = Field(
        description="`t` and the fields; raw rows add `extra`, `session`, `seq`, `series`, `i`; an envelope has "
        "`count` and `<field>_min`, `_max`, `_mean` for each bucket, `t` being its start.",
        examples=[{"t": [1738324800000000000], "x": [0.1], "y": [0.2], "z": [9.81]}],
    )
    rows: Count
    truncated: bool = Field(description="There were more rows than `limit`.")


@router.get("/devices", response_model=Devices, responses=guarded(errors.StoreUnavailable))
async def devices(services: Asked) -> Json:
    """Every device: how it measures, what the store has of it, and its tokens (never their secrets)."""
    seen = {s.device: s for s in await within(services, services.store.devices())}
    registry = services.registry
    enrolled = registry.devices()
    listed = [
        _device(d.name, seen.pop(d.name, None))
        | {
            "registered": True,
            "registered_ns": d.registered_ns,
            "platform": d.platform,
            "standardised": d.standardised,
            "tokens": [
                {"id": t.id, "created_ns": t.created_ns, "expires_ns": t.expires_ns, "revoked_ns": t.revoked_ns}
                for t in registry.tokens(d)
            ],
        }
        for d in enrolled
    ]
    listed += [_device(name, s) for name, s in seen.items() if registry.deleted_ns(name) is None]
    return Json({"devices": sorted(listed, key=lambda d: str(d["device"]))})


@router.get(
    "/readings",
    response_model=Readings,
    responses=guarded(errors.NotFound, errors.Invalid, errors.StoreUnavailable),
)
async def readings(
    *,
    services: Asked,
    device: Device,
    sensor: Sensor,
    from_: From,
    to: To,
    points: Annotated[
        int | None, Query(ge=1, le=POINTS_MAX, description="At most so many rows, downsampled; absent: raw rows.")
    ] = None,
    method: Annotated[
        Method, Query(description="How `points` is reached: a bucket's envelope, or real readings.")
    ] = "envelope",
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="At most so many raw rows.")] = LIMIT_DEFAULT,
) -> Json:
    """One sensor's readings of a time span: raw, or few enough to draw."""
    await check_readable(services, device)
    span = Span(device, sensor, from_, to)
    if points is None:
        table = await within(services, services.store.readings(span, limit=limit + 1))
        return _answer(span, table.slice(0, limit), truncated=table.num_rows > limit)
    if method == "envelope":
        return _answer(span, await within(services, services.store.envelope(span, points=points)))
    return _answer(span, downsample(await _raw(services, span), points=points, method=method))


@router.get(
    "/completeness",
    response_model=Completeness,
    responses=guarded(errors.NotFound, errors.Invalid, errors.StoreUnavailable),
)
async def completeness(
    services: Asked,
    device: Annotated[Name | None, Query(description="Only this device's.")] = None,
    session: Annotated[Name | None, Query(description="Only this session.")] = None,
) -> Json:
    """What was received, and what is missing, duplicate, reordered, late or dropped, by session; and its clock."""
    if device is not None:
        await check_readable(services, device)
    found = await within(services, services.store.completeness(device, session))
    readable = (s for s in found if not services.registry.is_deleted(s.device, s.last_received_ns))
    return Json({"sessions": [session_listed(s) for s in readable]})


@router.get(
    "/claims", response_model=Claims, responses=guarded(errors.NotFound, errors.Invalid, errors.StoreUnavailable)
)
async def claims(
    services: Asked,
    device: Device,
    session: Annotated[Name | None, Query(description="Only this session.")] = None,
) -> Json:
    """The batches that the store accepted: compare the hashes with what was handed over."""
    await check_readable(services, device)
    found = await within(services, services.store.claims(device, session))
    readable = (c for c in found if not services.registry.is_deleted(device, c.received_ns))
    return Json({"claims": [claim_listed(c) for c in readable]})


async def _raw(services: Services, span: Span) -> pa.Table:
    """All rows of the span; raises `Invalid` when there are more than may be looked at."""
    rows_max = services.settings.gateway.limits.raw_rows_max
    table = await within(services, services.store.readings(span, limit=rows_max + 1))
    if table.num_rows > rows_max:
        raise Invalid(
            f"the span holds more than {rows_max} readings: ask for a shorter one, or for method=envelope", path="to"
        )
    return table


def _answer(span: Span, table: pa.Table, *, truncated: bool = False) -> Json:
    return Json(
        {
            "device": span.device,
            "sensor": span.sensor,
            "from_ns": span.from_ns,
            "to_ns": span.to_ns,
            "units": _units(span.sensor, table.column_names),
            "columns": columns_of(table),
            "rows": table.num_rows,
            "truncated": truncated,
        }
    )


def _units(sensor: str, columns: list[str]) -> dict[str, str]:
    known = CATALOGUE.get(sensor)
    shown = {name.removesuffix(part) for name in columns for part in ("", *ENVELOPE_PARTS)}
    return {f.name: f.unit for f in known.fields if f.kind.is_number and f.name in shown} if known else {}


def _device(name: str, seen: DeviceSeen | None) -> dict[str, Any]:
    return {
        "device": name,
        "registered": False,
        "registered_ns": None,
        "platform": "",
        "standardised": False,
        "readings": seen.readings if seen else 0,
        "first_ns": seen.first_ns if seen else None,
        "last_ns": seen.last_ns if seen else None,
        "sensors": list(seen.sensors) if seen else [],
        "tokens": [],
    }
