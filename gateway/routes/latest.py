"""The newest reading of each device: what a page shows before anything new comes."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from gateway.access import Role, require
from gateway.answers import Answer, Asked, Json, Name, Time, within
from gateway.openapi import guarded
from gateway.services import Services
from telemetry import errors, ports
from telemetry.reading import CATALOGUE, Kind

SENSORS_MAX = 50
SENSORS = ("battery", "location")
SPAN_NS = 24 * 3600 * 10**9

router = APIRouter(prefix="/v1", tags=["query"], dependencies=[Depends(require(Role.VIEWER))])


class LatestListed(Answer):
    """A device's newest reading of a sensor."""

    device: str
    sensor: str
    t: int = Field(description="Event time, UTC nanoseconds.")
    values: dict[str, float | str | bool] = Field(description="The fields that it has.", examples=[{"level": 0.87}])


class Latest(Answer):
    """By device, then sensor; a device without a reading in the time is not in it."""

    latest: list[LatestListed]


@router.get("/latest", response_model=Latest, responses=guarded(errors.Invalid, errors.StoreUnavailable))
async def latest(
    services: Asked,
    sensor: Annotated[
        list[Name] | None,
        Query(max_length=SENSORS_MAX, description="Of these sensors; absent: battery and location."),
    ] = None,
    from_: Annotated[
        Time | None,
        Query(alias="from", description="Only readings of this event time or later; absent: of the last 24 hours."),
    ] = None,
) -> Json:
    """The newest reading of each device and sensor."""
    from_ns = services.clock.now_ns() - SPAN_NS if from_ is None else from_
    found = await within(services, services.store.latest(sensor or SENSORS, from_ns=from_ns))
    return Json({"latest": [_listed(row) for row in found if _is_readable(services, row.device)]})


def _is_readable(services: Services, device: str) -> bool:
    registry = services.registry
    return registry.deleted_ns(device) is None or registry.device(device) is not None


def _listed(row: ports.Latest) -> dict[str, Any]:
    known = CATALOGUE.get(row.sensor)
    kinds = {f.name: f.kind for f in known.fields} if known is not None else {}
    values = {name: np.float32(v) if kinds.get(name) is Kind.FLOAT32 else v for name, v in row.values.items()}
    return {"device": row.device, "sensor": row.sensor, "t": row.t, "values": values}
