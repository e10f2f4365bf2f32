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
from gateway.services import Services
from telemetry import errors, ports
from telemetry.errors import Invalid
from telemetry.ports import DeviceSeen, Span
from telemetry.reading import CATALOGUE
from telemetry.session_clock import AHEAD_NS, BEHIND_NS, Basis, SessionClock

POINTS_MAX = 10_000
LIMIT_MAX = 100_000
LIMIT_DEFAULT = 10_000
ENVELOPE_PARTS = ("_min", "_max", "_mean")

Method = Literal["envelope", "minmax", "lttb"]
Ns = Annotated[int, Field(description="UTC nanoseconds.")]
Count = Annotated[int, Field(ge=0)]

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


class ClockListed(Answer):
    """The clock that stamped a session's readings; nothing is refused for it, and no time is changed."""

    offset_s: float | None = Field(
        description="To be added to the session's times, at most: the least of receive time minus `basis`. Null where "
        "nobody said when it sent and nothing lies in the future: a batch that comes late may just be late."
    )
    basis: Basis | None = Field(
        description="`sent`: when the sender says it sent, so the clock's error and the quickest batch's way. "
        "`newest`: its newest reading's time, which lies in the future, so the clock is ahead by as much or more."
    )
    latest_offset_s: float | None = Field(
        description="The same of the last ten minutes of which anything came: unlike `offset_s` where the clock "
        "drifts or has stepped."
    )
    synchronised: bool | None = Field(
        description="False if any batch was stamped before the sender's clock had been set; null if it never said."
    )
    correction_s: float | None = Field(description="The sender's own last word on what must be added to its times.")
    skewed: bool = Field(
        description=f"An offset is below -{AHEAD_NS / 1e9:g} s or above {BEHIND_NS / 1e9:g} s: more than a slow way."
    )


class SessionListed(Answer):
    """What came of a session and what did not; a batch counts as missing once a later one came."""

    device: str
    session: str
    numbered: bool = Field(
        description="False for a protocol without sequence numbers (OwnTracks, SenML): what is missing is not known."
    )
    received_batches: Count
    received_readings: Count
    missing_batches: Count
    missing: list[tuple[int, int]] = Field(description="Intervals of seq, both ends included.")
    duplicate_batches: Count
    reordered_batches: Count
    late_batches: Count
    dropped_readings: Count
    rejected_readings: Count
    first_received_ns: Ns
    last_received_ns: Ns
    clock: ClockListed


class Completeness(Answer):
    """Sessions, the one heard of last first; at most 10,000."""

    sessions: list[SessionListed]


class ClaimListed(Answer):
    """A batch that the store accepted, with the hash of its canonical bytes."""

    session: str
    seq: Count
    hash: str
    received_ns: Ns
    readings: Count
    expired: Count
    summarised: Count = Field(description="Kept as windows only.")


class Claims(Answer):
    """Batches by session and seq."""

    claims: list[ClaimListed]


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
    return Json({"sessions": [_session(s) for s in readable]})


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
    listed = [
        {
            "session": c.id.session,
            "seq": c.id.seq,
            "hash": c.content_hash,
            "received_ns": c.received_ns,
            "readings": c.readings,
            "expired": c.expired,
            "summarised": c.summarised,
        }
        for c in found
        if not services.registry.is_deleted(device, c.received_ns)
    ]
    return Json({"claims": listed})


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


def _session(s: ports.Session) -> dict[str, Any]:
    return {
        "device": s.device,
        "session": s.session,
        "numbered": s.is_numbered,
        "received_batches": s.received_batches,
        "received_readings": s.received_readings,
        "missing_batches": s.missing_batches,
        "missing": s.missing,
        "duplicate_batches": s.duplicate_batches,
        "reordered_batches": s.reordered_batches,
        "late_batches": s.late_batches,
        "dropped_readings": s.dropped_readings,
        "rejected_readings": s.rejected_readings,
        "first_received_ns": s.first_received_ns,
        "last_received_ns": s.last_received_ns,
        "clock": _clock(s.clock),
    }


def _clock(clock: SessionClock) -> dict[str, Any]:
    return {
        "offset_s": _seconds(clock.offset_ns),
        "basis": clock.basis,
        "latest_offset_s": _seconds(clock.latest_ns),
        "synchronised": clock.synchronised,
        "correction_s": _seconds(clock.correction_ns),
        "skewed": clock.is_skewed,
    }


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9
