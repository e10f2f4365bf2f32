"""For supervisors and Prometheus: does the process live, may it be sent traffic, what has it counted."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.responses import Response

from gateway.access import Role, loopback_or
from gateway.answers import Answer, Asked, Json
from gateway.auth import check_fresh
from gateway.openapi import answers, guarded
from telemetry import errors, metrics
from telemetry.errors import LogUnavailable
from telemetry.ports import BATCHES

PROBE_WAIT_S = 2.0

router = APIRouter(tags=["health"])


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"]


class Ready(Answer):
    """It may be sent traffic."""

    status: Literal["ready"]
    devices_age_s: float = Field(ge=0, description="Since the device registry was last known to be current.")
    mqtt: Literal["off", "connected", "disconnected"] = Field(
        description="The broker; one that is away is no reason to send this gateway no HTTP."
    )


@router.get("/healthz", response_model=Alive)
async def healthz() -> Json:
    """The process lives.  Asks nothing else: a broker that is down is no reason to restart a gateway."""
    return Json({"status": "ok"})


@router.get("/readyz", response_model=Ready, responses=answers(errors.NotReady, errors.LogUnavailable))
async def readyz(services: Asked) -> Json:
    """The log answers and the device registry is loaded and fresh."""
    check_fresh(services)
    try:
        async with asyncio.timeout(PROBE_WAIT_S):
            await services.log.ends(BATCHES)
    except TimeoutError as e:
        raise LogUnavailable(f"the log did not answer within {PROBE_WAIT_S:g} s", retry_after_s=1.0) from e
    return Json({"status": "ready", "devices_age_s": services.registry.age_s(), "mqtt": services.mqtt.state})


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(loopback_or(Role.VIEWER))],
    responses={
        200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **guarded(),
    },
)
async def prometheus(services: Asked) -> Response:
    """What was counted since the process began; open on loopback without a key."""
    metrics.devices_age_seconds.set(services.registry.age_s())
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)
