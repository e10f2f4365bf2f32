"""Counts only: what can be queried now, and how far the consumers are behind."""

from fastapi import APIRouter, Depends
from pydantic import Field

from gateway.access import Role, loopback_or
from gateway.answers import Answer, Asked, Json, within
from gateway.openapi import guarded
from telemetry import errors

router = APIRouter(prefix="/v1", tags=["query"], dependencies=[Depends(loopback_or(Role.VIEWER))])


class Stats(Answer):
    """What can be queried now."""

    readings: int = Field(ge=0)
    batches: int = Field(ge=0)
    devices: int = Field(ge=0, description="Devices that have readings.")
    lag: dict[str, int] = Field(
        description="Records not yet committed, by consumer.", examples=[{"index": 0, "ledger": 0}]
    )


@router.get("/stats", response_model=Stats, responses=guarded(errors.StoreUnavailable, errors.LogUnavailable))
async def stats(services: Asked) -> Json:
    """Readings, batches and devices that can be queried, and the lag; open on loopback without a key."""
    counts = await within(services, services.store.counts())
    lag = await within(services, services.lag())
    return Json({"readings": counts.readings, "batches": counts.batches, "devices": counts.devices, "lag": lag})
